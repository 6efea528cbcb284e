"""What stable runs is part of what a run is about: it is looked at until the promotion, as canary is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType, is_true
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Side
from unit.decide.test_feature_flag import world as flag_world
from unit.decide.world import FP1, FP2, FP3, World, spec

MIX = FP1 | FP2
UNKNOWN = Problem(Reason.PODS_UNKNOWN, "1 of 2 ready endpoints have no pod with its labels")


def on_trial(**changes: object) -> World:
    world = World(spec=spec(**changes))
    world.reach(25)
    return world


def rolled(world: World, fingerprints: frozenset[str]) -> None:
    """Somebody rolls something else out on stable, as a whole or in part."""
    world.stable = replace(world.stable, fingerprints=fingerprints)


def changed(*, fingerprints: frozenset[str] = FP3) -> World:
    world = on_trial()
    rolled(world, fingerprints)
    world.run_for(10)
    return world


# ---------------------------------------------------------------- the version on trial went to stable


def test_a_version_that_is_rolled_out_on_stable_during_its_run_ends_the_run_at_weight_0() -> None:
    world = on_trial()
    rolled(world, FP2)
    plan = world.round()
    assert plan.urgent
    assert world.route.canary_weight == 0
    ended = world.status.history[0]
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, Reason.CANCELLED)
    assert "went there beside the run" in world.entries[-1].message
    world.run_for(600)
    assert world.weights[-1] == 0
    assert (world.status.phase, world.reason()) == (Phase.SUCCEEDED, Reason.NOTHING_TO_RELEASE)
    assert world.status.refused == ()


def test_a_rollout_on_stable_that_is_not_complete_ends_nothing_yet() -> None:
    world = on_trial()
    world.stable = Side(exists=True, ready=2, not_ready=1, fingerprints=FP2)
    world.run_for(60)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.PROGRESSING) == Reason.STABLE_CHANGED
    world.stable = Side(exists=True, ready=2, fingerprints=FP2)
    world.run_for(5)
    assert world.status.history[0].outcome is Outcome.CANCELLED


def test_a_dry_run_ends_too_when_its_version_is_on_stable() -> None:
    world = World(spec=spec(dryRun=True))
    world.run_for(80)
    rolled(world, FP2)
    world.run_for(5)
    assert world.status.history[0].outcome is Outcome.CANCELLED
    assert world.weights == []


# ---------------------------------------------------------------- stable runs something else


@pytest.mark.parametrize("now", [FP3, MIX, FP1 | FP3])
def test_nothing_is_raised_while_stable_is_not_what_it_was_and_a_person_is_told_what_is(now: frozenset[str]) -> None:
    world = changed(fingerprints=now)
    world.run_for(3600)
    assert world.weights == [1, 25]
    assert world.reason(ConditionType.PROGRESSING) == Reason.STABLE_CHANGED
    assert f"stable ran fp1 when the run started, now it runs {' and '.join(sorted(now))}" in world.why()
    assert world.condition(ConditionType.STALLED) == "True"
    assert world.kinds().count(Reason.STABLE_CHANGED) == 1
    assert [e.reason for e in world.events].count(Reason.STABLE_CHANGED) == 1


def test_the_run_goes_on_when_stable_is_put_back() -> None:
    world = changed()
    rolled(world, FP1)
    world.run_for(5)
    assert world.reason(ConditionType.PROGRESSING) == Reason.PROGRESSING
    world.reach(100)
    assert world.status.history == ()


def test_time_with_another_stable_is_not_observation() -> None:
    world = changed()
    stage = world.status.stage
    assert stage is not None
    world.run_for(30)
    assert world.status.stage is not None
    assert world.status.stage.observed == stage.observed


def test_triggers_still_act_and_the_rollback_says_that_stable_is_not_what_it_was() -> None:
    world = changed()
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert world.route.canary_weight == 0
    assert world.status.phase is Phase.ROLLED_BACK
    record = world.status.rollback
    assert record is not None
    assert record.message.endswith(
        "traffic goes to another stable: stable ran fp1 when the run started, now it runs fp3"
    )
    assert "another stable" in world.why()


def test_a_long_reason_of_a_rollback_does_not_hide_that_stable_is_another() -> None:
    world = changed()
    world.say(Verb.ROLLBACK, reason="x" * 512)
    world.run_for(5)
    record = world.status.rollback
    assert record is not None
    assert record.message.endswith("now it runs fp3")
    assert len(record.message) == 512


def test_a_retry_tries_the_version_from_its_first_stage_against_what_stable_runs_now() -> None:
    world = changed()
    first = world.status.run
    world.say(Verb.RETRY)
    world.run_for(5)
    assert world.route.canary_weight == 0
    ended = world.status.history[0]
    assert (ended.outcome, ended.reason) == (Outcome.SUPERSEDED, Reason.SUPERSEDED)
    world.reach(25)
    run = world.status.run
    assert first is not None
    assert run is not None
    assert run.id != first.id
    assert (run.version, run.stable_fingerprint) == ("v2", "fp3")
    assert world.weights == [1, 25, 0, 1, 25]


def test_a_retry_of_a_run_whose_stable_is_what_it_was_is_refused() -> None:
    world = on_trial()
    world.say(Verb.RETRY)
    world.run_for(5)
    assert world.status.command is not None
    assert world.status.command.result.startswith("refused")
    assert world.route.canary_weight == 25


def test_another_version_takes_the_place_of_a_run_that_is_held() -> None:
    world = changed()
    world.spec = spec(version="v4")
    world.canary = replace(world.canary, fingerprints=frozenset({"fp4"}))
    world.run_for(5)
    assert world.route.canary_weight == 0
    world.reach(1)
    assert world.status.run is not None
    assert (world.status.run.version, world.status.run.stable_fingerprint) == ("v4", "fp3")


def test_a_promotion_by_command_raises_nothing_either() -> None:
    world = changed()
    world.say(Verb.PROMOTE)
    world.run_for(5)
    assert world.status.command is not None
    assert world.status.command.result.startswith("refused: stable ran fp1")
    assert world.route.canary_weight == 25


def test_a_watched_weight_is_not_promoted_beside_another_stable() -> None:
    world = World(spec=spec(watch={"duration": "2m", "every": "1m"}))
    world.run_for(400, until=Phase.WATCHING)
    assert world.status.phase is Phase.WATCHING
    rolled(world, MIX)
    world.run_for(600)
    assert world.condition(ConditionType.PROMOTED) is None
    assert world.route.canary_weight == 100


def test_after_the_promotion_stable_is_free_to_change() -> None:
    world = World()
    world.run_for(600, until=Phase.SUCCEEDED)
    rolled(world, MIX)
    world.run_for(60)
    assert world.reason() == Reason.PROMOTED
    assert world.status.history == ()


@given(st.lists(st.sampled_from([FP1, FP1, FP1, FP3, MIX, frozenset[str]()]), min_size=20, max_size=60))
def test_no_weight_rises_in_a_round_that_sees_another_stable(seen: list[frozenset[str]]) -> None:
    world = World()
    world.reach(1)
    for fingerprints in seen:
        rolled(world, fingerprints)
        before = world.route.canary_weight or 0
        world.run_for(10)
        if fingerprints - FP1:
            assert (world.route.canary_weight or 0) <= before


# ---------------------------------------------------------------- what is no change


def test_stable_pods_that_restart_with_the_same_image_change_nothing() -> None:
    world = on_trial()
    world.stable = Side(exists=True, ready=2, not_ready=1, fingerprints=FP1)
    world.run_for(20)
    world.stable = Side(exists=True, ready=0, not_ready=2)
    world.run_for(10)
    assert world.reason(ConditionType.PROGRESSING) == Reason.STABLE_CAPACITY_LOW
    world.stable = Side(exists=True, ready=3, fingerprints=FP1)
    world.reach(100)
    assert Reason.STABLE_CHANGED not in world.kinds()


def test_pods_of_stable_that_nobody_can_tell_are_no_change() -> None:
    world = on_trial()
    world.stable = Side(exists=True, ready=2, fingerprints=FP2, problem=UNKNOWN)
    world.run_for(20)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.PROGRESSING) == Reason.PROGRESSING


def test_new_pods_of_one_workload_are_told_as_those_of_canary() -> None:
    world = flag_world()
    world.reach(10)
    world.stable = replace(world.stable, fingerprints=FP3)
    world.run_for(20)
    assert world.reason(ConditionType.PROGRESSING) != Reason.STABLE_CHANGED
    world.canary = replace(world.canary, fingerprints=FP3)
    world.run_for(5)
    assert world.status.history[0].reason == Reason.CANARY_CHANGED


# ---------------------------------------------------------------- pods that cannot be read


@pytest.mark.parametrize("side", ["canary", "stable"])
def test_pods_that_cannot_be_read_at_a_raise_are_told_as_what_they_are(side: str) -> None:
    world = on_trial()
    setattr(world, side, replace(getattr(world, side), problem=UNKNOWN, fingerprints=frozenset()))
    world.run_for(120)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.PROGRESSING) == Reason.PODS_UNKNOWN
    assert UNKNOWN.message in world.why()
    assert not is_true(world.status.conditions, ConditionType.STALLED)
    world.say(Verb.PROMOTE)
    world.run_for(5)
    assert world.status.command is not None
    assert world.status.command.result == f"refused: {UNKNOWN.message}"
