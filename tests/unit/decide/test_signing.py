"""Runs that wait for people before their first weight, and what goes on while they wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Baseline, Finding, Problem, Regression, Side
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.notices import topic_of
from unit.decide.signatures import CHECKLIST, check_replay, refuse, sign, wait, waiting
from unit.decide.world import FP1, FP2, FP3, World, spec


def test_a_run_waits_before_any_weight_and_says_who_is_missing() -> None:
    world = waiting()
    assert world.weights == []
    assert world.condition(ConditionType.AWAITING_APPROVAL) == "True"
    assert world.condition(ConditionType.RECONCILING) == "True"
    assert world.status.gate_text == "0/2"
    assert "0 of 2 signed; missing backups, decimals (2 more)" in world.why()
    assert world.kinds() == [Reason.RUN_STARTED]
    assert world.finalizer is False
    assert world.last is not None and not world.last.active
    assert world.last.wake_at is None, "only a signature wakes it"
    assert [event.reason for event in world.events].count(Reason.AWAITING_APPROVAL) == 1


def test_the_last_signature_lets_it_go_and_evidence_has_each_of_them() -> None:
    world = waiting()
    sign(world, "jane")
    wait(world, 60)
    assert (world.status.gate_text, world.weights) == ("1/2", [])
    sign(world, "bob", "decimals", comment="looked at all of them")
    wait(world, 60)
    assert world.weights == [1]
    assert world.status.phase is Phase.PROGRESSING
    assert world.condition(ConditionType.AWAITING_APPROVAL) is None
    assert world.finalizer
    (go,) = [entry for entry in world.entries if entry.kind is Reason.APPROVED]
    assert go.message == "GO by jane, bob: 2/2 signed"
    items = go.data["items"]
    assert isinstance(items, dict)
    assert {name: item["by"] for name, item in items.items()} == {"backups": ["jane"], "decimals": ["jane", "bob"]}
    approvals = go.data["approvals"]
    assert isinstance(approvals, list)
    assert [(one["by"], one["items"], one["comment"]) for one in approvals] == [
        ("jane", (), ""),
        ("bob", ("decimals",), "looked at all of them"),
    ]
    world.run_for(600, until=Phase.SUCCEEDED)
    assert world.weights == [1, 25, 100]
    check_replay(world)


def test_signatures_of_an_old_run_give_nothing_to_a_new_one() -> None:
    world = waiting()
    sign(world, "jane")
    sign(world, "bob")
    first = world.status.run
    world.canary = Side(exists=True, ready=2, fingerprints=FP3)
    wait(world, 30)
    assert first and world.status.run and world.status.run.id != first.id
    assert world.status.phase is Phase.AWAITING_APPROVAL
    assert world.weights == []
    assert "not counted: jane: it is for run" in world.why()


def test_a_no_go_ends_the_run_as_blocked_and_nothing_was_shifted() -> None:
    world = waiting()
    sign(world, "jane")
    refuse(world, "bob", "orders are lost")
    wait(world, 5)
    assert world.status.phase is Phase.BLOCKED
    assert world.reason() == Reason.NO_GO
    assert "NO-GO by bob: orders are lost" in world.why()
    assert world.condition(ConditionType.STALLED) == "True"
    assert world.status.history[0].outcome is Outcome.BLOCKED
    assert (world.weights, world.route.mark, world.finalizer) == ([], None, False)
    entry = world.entries[-1]
    assert entry.kind is Reason.NO_GO
    assert isinstance(entry.data["noGo"], dict) and entry.data["noGo"]["by"] == "bob"
    before = world.status
    world.run_for(300)
    assert world.status == before, "it stays so, in the same words"
    check_replay(world)


def test_after_a_no_go_only_a_retry_or_a_new_version_begins_anew_and_it_is_signed_anew() -> None:
    world = waiting()
    first = world.status.run
    refuse(world, "bob")
    wait(world, 5)
    world.say(Verb.RETRY)
    wait(world, 5)
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    assert first and world.status.run and world.status.run.id != first.id
    refuse(world, "bob")
    wait(world, 5)
    assert world.status.phase is Phase.BLOCKED
    world.spec = spec(version="v3", checklist=CHECKLIST)
    wait(world, 30)
    assert world.reason() == Reason.CANARY_NOT_READY, "these pods are those of the run that got a NO-GO"
    world.canary = Side(exists=True, ready=2, fingerprints=FP3)
    wait(world, 30)
    assert world.status.phase is Phase.AWAITING_APPROVAL


def test_a_version_that_got_a_no_go_before_another_one_stays_refused() -> None:
    world = waiting()
    refuse(world, "bob")
    wait(world, 5)
    world.spec, world.canary = spec(version="v3", checklist=CHECKLIST), replace(world.canary, fingerprints=FP3)
    wait(world, 30)
    world.spec, world.canary = spec(checklist=CHECKLIST), replace(world.canary, fingerprints=FP2)
    wait(world, 30)
    assert world.reason() == Reason.VERSION_REFUSED


def test_a_signature_that_runs_out_wakes_the_release_and_is_missing_again() -> None:
    world = waiting(approvalExpires="30m")
    sign(world, "jane")
    signed_at = world.now
    wait(world, 60)
    assert world.last is not None
    assert world.last.wake_at == signed_at.replace(microsecond=0) + timedelta(minutes=30)
    wait(world, 1800)
    assert "0 of 2 signed" in world.why()
    sign(world, "bob", name="b1")
    sign(world, "eve", name="e1")
    wait(world, 5)
    assert world.weights == [1]


def test_a_pause_keeps_a_signed_run_where_it_is() -> None:
    world = waiting()
    world.spec = spec(checklist=CHECKLIST, paused=True)
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 60)
    assert (world.weights, world.reason()) == ([], Reason.PAUSED)
    world.spec = spec(checklist=CHECKLIST)
    wait(world, 5)
    assert world.weights == [1]


def test_a_dry_run_waits_for_the_same_signatures_and_moves_nothing() -> None:
    world = waiting(dryRun=True)
    sign(world, "jane")
    sign(world, "bob")
    world.run_for(600)
    assert world.weights == []
    assert world.reason() == Reason.DRY_RUN
    assert Reason.APPROVED in world.kinds()


def test_a_new_version_supersedes_a_run_that_waits_without_touching_the_route() -> None:
    world = waiting()
    world.spec, world.canary = spec(version="v3", checklist=CHECKLIST), replace(world.canary, fingerprints=FP3)
    wait(world, 30)
    assert world.status.history[0].outcome is Outcome.SUPERSEDED
    assert world.status.run and world.status.run.version == "v3"
    assert (world.weights, world.route.generation) == ([], 1)


def test_deleting_a_release_that_waits_keeps_nobody_waiting() -> None:
    world = waiting()
    world.deleting = True
    wait(world, 5)
    assert world.last is not None and world.last.finalizer is False
    assert world.status.history[0].outcome is Outcome.DELETED
    assert (world.weights, world.route.generation) == ([], 1)


def test_a_rollback_command_ends_a_run_that_waits() -> None:
    world = waiting()
    world.say(Verb.ROLLBACK)
    wait(world, 5)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.route.canary_weight == 0


def test_a_promote_command_does_not_stand_for_the_go_no_go() -> None:
    world = waiting()
    world.say(Verb.PROMOTE)
    wait(world, 5)
    assert world.weights == []
    assert world.status.command and "the run waits for its go/no-go: 0 of 2 signed" in world.status.command.result


def test_checks_are_made_again_before_the_first_weight_and_failed_ones_keep_it() -> None:
    world = waiting()
    world.preflight = (Finding("route", True, Problem(Reason.ROUTE_CONFLICT, "another route takes its requests")),)
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 5)
    assert (world.weights, world.status.phase, world.reason()) == ([], Phase.BLOCKED, Reason.ROUTE_CONFLICT)
    assert world.last is not None and world.last.wake_at is not None
    world.preflight = ()
    wait(world, 30)
    assert world.weights == [1]


def test_what_a_run_is_compared_with_is_what_was_before_its_first_weight_not_before_the_waiting() -> None:
    world = waiting()
    world.baselines = {"http": Baseline("q", world.now, timedelta(hours=1), 0.004)}
    world.stable = replace(world.stable, ready=5)
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 7200)
    assert world.weights == [1]
    assert [baseline.value for baseline in world.status.baselines] == [0.004]
    assert world.status.run and world.status.run.capacity_floor == 5
    check_replay(world)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"canary": Side(exists=True, ready=1, not_ready=1, fingerprints=FP2)}, Reason.CANARY_NOT_READY),
        ({"stable": Side(exists=True, ready=0, not_ready=1, fingerprints=FP1)}, Reason.STABLE_NOT_READY),
    ],
)
def test_a_signed_run_waits_for_pods_as_any_run_does(changes: dict[str, Side], reason: Reason) -> None:
    world = waiting()
    for name, side in changes.items():
        setattr(world, name, side)
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 5)
    assert (world.weights, world.reason()) == ([], reason)


def test_a_route_that_somebody_moved_meanwhile_keeps_a_signed_run_from_its_weight() -> None:
    world = waiting()
    world.edit_route(20)
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 5)
    assert (world.weights, world.reason()) == ([], Reason.TRAFFIC_NOT_ON_STABLE)


def test_a_stable_that_became_what_was_on_trial_cancels_the_run() -> None:
    world = waiting()
    world.stable = replace(world.stable, fingerprints=FP2)
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 5)
    assert world.status.history[0].outcome is Outcome.CANCELLED
    assert world.reason() == Reason.NOTHING_TO_RELEASE


def test_where_signatures_cannot_be_read_what_needs_one_waits_and_the_rest_goes_on() -> None:
    unreadable = Problem(Reason.APPROVALS_UNREADABLE, "not served")
    world = World(spec=spec(checklist=CHECKLIST), approvals_problem=unreadable)
    world.run_for(30)
    assert (world.status.phase, world.reason()) == (Phase.AWAITING_APPROVAL, Reason.APPROVALS_UNREADABLE)
    other = World(approvals_problem=unreadable)
    other.reach(25)


def test_evidence_that_cannot_be_stored_keeps_a_signed_run_from_its_weight() -> None:
    world = waiting()
    world.evidence_works = False
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 30)
    assert world.weights == []
    world.evidence_works = True
    wait(world, 5)
    assert world.weights == [1]


def test_a_run_that_came_back_older_than_its_evidence_gets_no_weight_by_signatures_alone() -> None:
    world = waiting()
    run = world.status.run
    assert run is not None and world.frozen is not None
    older = Regression("the status is older than the evidence", run.id, None)
    world.status = decide(world.frozen, world.status, replace(world.facts(), regression=older), world.now).status
    sign(world, "jane")
    sign(world, "bob")
    wait(world, 30)
    assert (world.weights[-1:] or [0], world.reason()) == ([0], Reason.STATE_REGRESSED)
    world.say(Verb.RESUME)
    wait(world, 5)
    assert world.route.canary_weight == 1


def test_who_is_told_of_what_is_blocked_is_told_that_a_run_waits_and_of_a_no_go() -> None:
    world = waiting()
    refuse(world, "bob")
    wait(world, 5)
    told = [(event.reason, topic_of(event)) for event in world.events if topic_of(event) is Topic.BLOCKED]
    assert told == [(Reason.AWAITING_APPROVAL, Topic.BLOCKED), (Reason.NO_GO, Topic.BLOCKED)]


def test_edits_of_what_is_to_be_signed_wait_for_the_next_run() -> None:
    world = waiting()
    world.spec = spec()
    world.generation += 1
    wait(world, 30)
    assert world.status.phase is Phase.AWAITING_APPROVAL
    assert world.weights == []
