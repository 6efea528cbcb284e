"""A run from its start to its end, the pods it is about, and what people ask of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Side
from unit.decide.world import FP1, FP2, FP3, START, World, promoted, settled, spec

# ---------------------------------------------------------------- the good way


def test_a_healthy_run_walks_every_stage_is_promoted_and_settles_when_stable_catches_up() -> None:
    world = promoted()
    assert world.weights == [1, 25, 100]
    assert world.condition(ConditionType.PROMOTED) == "True"
    assert world.condition(ConditionType.SETTLED) == "False"
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(60)
    assert world.weights == [1, 25, 100, 50, 0]
    assert world.status.settled and world.status.settled.version == "v2"
    assert world.status.history[0].outcome is Outcome.SETTLED
    assert world.condition(ConditionType.SETTLED) == "True"
    assert world.route.mark is None
    assert not world.finalizer


def test_each_stage_takes_its_time_from_the_moment_its_weight_is_verified() -> None:
    world = promoted()
    stages = 3 * timedelta(minutes=1)
    assert stages <= world.now - START <= stages + 4 * world.tick


def test_evidence_tells_the_run_from_its_spec_to_its_settlement() -> None:
    world = settled()
    first = world.entries[0]
    assert first.kind is Reason.RUN_STARTED
    assert first.data["specDigest"] == world.status.run.spec_digest  # type: ignore[union-attr]
    assert world.kinds().count(Reason.GATE_PASSED) == 3
    assert world.kinds()[-1] is Reason.SETTLED


def test_a_settled_release_at_rest_wants_nothing_more() -> None:
    world = settled()
    before = (world.status, world.route, len(world.events), len(world.entries))
    world.run_for(600)
    assert (world.status, world.route, len(world.events), len(world.entries)) == before
    assert world.last is not None
    assert not world.last.active
    assert world.last.wake_at is None


def test_two_releases_in_a_row_start_from_the_true_stable() -> None:
    world = settled()
    world.spec = spec(version="v3")
    world.generation += 1
    world.run_for(5)
    assert world.route.canary_weight == 0, "canary still runs v2, which is what stable runs"
    world.canary = Side(exists=True, ready=2, fingerprints=FP3)
    world.reach(25)
    world.reading = Counts(200, 1000)
    world.run_for(30)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.history[0].version == "v3"
    assert world.status.settled and world.status.settled.version == "v2"


# ---------------------------------------------------------------- identity


def test_other_pods_behind_canary_take_the_weight_away_at_once_and_start_a_new_run() -> None:
    world = World()
    world.reach(25)
    first = world.status.run
    world.canary = Side(exists=True, ready=2, not_ready=1, fingerprints=frozenset({"fp2", "fp3"}))
    plan = world.round()
    assert plan.urgent
    assert world.route.canary_weight == 0
    assert world.status.history[0].reason == Reason.CANARY_CHANGED
    world.canary = Side(exists=True, ready=2, fingerprints=FP3)
    world.reach(1)
    assert first and world.status.run and world.status.run.id != first.id


def test_a_git_revert_cancels_the_run() -> None:
    world = World(spec=spec(version="v1"), canary=Side(exists=True, ready=2, fingerprints=FP1))
    world.run_for(5)
    assert world.reason() == Reason.NOTHING_TO_RELEASE
    world.spec, world.canary = spec(), Side(exists=True, ready=2, fingerprints=FP2)
    world.reach(25)
    world.spec = spec(version="v1")
    world.run_for(30)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.CANCELLED
    world.canary = Side(exists=True, ready=2, fingerprints=FP1)
    world.run_for(30)
    assert world.status.phase is Phase.SUCCEEDED
    assert world.weights[-1] == 0


def test_a_new_version_supersedes_and_starts_at_its_first_stage_once_its_pods_run() -> None:
    world = World()
    world.reach(25)
    world.spec = spec(version="v3")
    world.run_for(20)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.SUPERSEDED
    world.canary = replace(world.canary, fingerprints=FP3)
    world.reach(1)
    assert world.status.run and world.status.run.version == "v3"


def test_first_apply_on_a_live_service_releases_nothing() -> None:
    world = World(spec=spec(version="v1"), canary=Side(exists=True, ready=2, fingerprints=FP1))
    world.run_for(300)
    assert world.weights == []
    assert world.status.phase is Phase.SUCCEEDED
    assert world.condition(ConditionType.READY) == "True"


def test_a_version_applied_before_its_pods_are_rolled_out_still_gets_its_run() -> None:
    world = World(canary=Side(exists=True, ready=2, fingerprints=FP1))
    world.run_for(30)
    assert world.status.phase is Phase.SUCCEEDED
    world.canary = Side(exists=True, ready=2, not_ready=1, fingerprints=frozenset({"fp1", "fp2"}))
    world.run_for(10)
    assert world.reason() == Reason.CANARY_NOT_READY
    world.canary = Side(exists=True, ready=2, fingerprints=FP2)
    world.reach(1)


def test_an_edited_spec_waits_for_the_next_run() -> None:
    world = World()
    world.reach(25)
    world.spec = spec(stages=[{"name": "all", "weight": 100, "duration": "1s"}])
    world.generation += 1
    world.run_for(20)
    assert world.route.canary_weight == 25
    assert Reason.SPEC_CHANGED_DURING_RUN in [e.reason for e in world.events]


# ---------------------------------------------------------------- people


def test_paused_moves_nothing_but_a_rollback() -> None:
    world = World()
    world.reach(1)
    world.spec = spec(paused=True)
    world.run_for(600)
    assert world.route.canary_weight == 1
    assert world.condition(ConditionType.PAUSED) == "True"
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert world.route.canary_weight == 0


def test_a_pause_by_command_lasts_until_resume() -> None:
    world = World()
    world.reach(1)
    world.say(Verb.PAUSE)
    world.run_for(600)
    assert world.route.canary_weight == 1
    world.say(Verb.RESUME)
    world.reach(25)


def test_a_command_is_taken_once_and_never_for_another_run() -> None:
    world = World()
    world.reach(25)
    world.say(Verb.ROLLBACK, run="v1-000000")
    world.run_for(5)
    assert world.route.canary_weight == 25
    assert world.status.command and world.status.command.result.startswith("refused")
    world.say(Verb.ROLLBACK, run=world.status.run.id)  # type: ignore[union-attr]
    world.run_for(5)
    assert world.route.canary_weight == 0
    taken = [e for e in world.events if e.reason is Reason.COMMAND_TAKEN]
    world.run_for(60)
    assert [e for e in world.events if e.reason is Reason.COMMAND_TAKEN] == taken


def test_an_unreadable_command_is_said_once() -> None:
    world = World()
    world.reach(1)
    world.command_problem = "not JSON"
    world.run_for(30)
    assert [e.reason for e in world.events].count(Reason.INVALID_COMMAND) == 1


def test_promote_skips_gates_but_never_triggers() -> None:
    world = World()
    world.reach(1)
    world.say(Verb.PROMOTE)
    world.run_for(5)
    assert world.route.canary_weight == 25
    world.say(Verb.PROMOTE, full=True)
    world.run_for(5)
    assert world.route.canary_weight == 100
    assert world.condition(ConditionType.PROMOTED) == "True"
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert world.route.canary_weight == 0
