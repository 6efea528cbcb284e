"""A promoted version that never came to stable: its successor is not judged against the version before it unasked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase, Settled
from sparkrelease.decide.facts import Side, Verification
from unit.decide.managed_world import at_rest, ship
from unit.decide.test_feature_flag import world as flag_world
from unit.decide.world import FP1, FP2, FP3, START, World, promoted, spec


def left() -> World:
    """v2 is promoted and not on stable when v3 comes, version and pods together."""
    world = promoted()
    world.status = world.status.model_copy(
        update={"settled": Settled(version="v1", fingerprint="fp1", at=START, observed=True)}
    )
    world.spec = spec(version="v3")
    world.generation += 1
    world.canary = replace(world.canary, fingerprints=FP3)
    world.run_for(60)
    return world


def test_the_next_version_is_blocked_at_weight_0_and_people_are_told_which_old_version_serves() -> None:
    world = left()
    world.run_for(3600)
    assert world.weights == [1, 25, 100, 0]
    assert (world.status.phase, world.reason()) == (Phase.BLOCKED, Reason.NOT_SETTLED)
    assert "v1 (fp1) serves all requests again: v2 was promoted and is not on stable" in world.why()
    assert world.condition(ConditionType.STALLED) == "True"
    assert world.condition(ConditionType.PROMOTED) == "False"
    loud = [e for e in world.events if e.reason is Reason.NOT_SETTLED]
    assert len(loud) == 1
    assert "v1 (fp1) serves" in loud[0].message


def test_it_starts_against_the_promoted_version_once_that_is_on_stable_which_counts_as_settled() -> None:
    world = left()
    world.stable = Side(exists=True, ready=1, not_ready=1, fingerprints=FP1 | FP2)
    world.run_for(60)
    assert world.weights[-1] == 0
    world.stable = Side(exists=True, ready=2, fingerprints=FP2)
    world.reach(25)
    run, settled = world.status.run, world.status.settled
    assert run is not None
    assert settled is not None
    assert (run.version, run.stable_fingerprint) == ("v3", "fp2")
    assert (settled.version, settled.fingerprint, settled.observed) == ("v2", "fp2", False)


@pytest.mark.parametrize("verb", [Verb.SETTLE, Verb.RETRY])
def test_a_person_may_have_it_tried_against_the_old_version(verb: Verb) -> None:
    world = left()
    world.say(verb)
    world.reach(25)
    assert world.status.command is not None
    assert world.status.command.result == "taken"
    assert Reason.COMMAND_TAKEN in world.kinds()
    assert world.status.run is not None
    assert (world.status.run.version, world.status.run.stable_fingerprint) == ("v3", "fp1")


def test_the_promoted_pods_back_behind_canary_are_tried_anew() -> None:
    world = left()
    world.spec = spec(version="v2")
    world.canary = replace(world.canary, fingerprints=FP2)
    world.reach(25)
    assert world.status.run is not None
    assert world.status.run.version == "v2"


def test_the_new_pods_on_both_sides_leave_nothing_to_release() -> None:
    world = left()
    world.stable = replace(world.stable, fingerprints=FP3)
    world.run_for(30)
    assert (world.status.phase, world.reason()) == (Phase.SUCCEEDED, Reason.NOTHING_TO_RELEASE)


def test_other_pods_of_the_promoted_version_itself_wait_in_the_same_way() -> None:
    world = promoted()
    world.canary = replace(world.canary, fingerprints=FP3)
    world.run_for(300)
    assert world.weights[-1] == 0
    assert world.reason() == Reason.NOT_SETTLED
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(30)
    assert world.reason() == Reason.SETTLED
    assert world.condition(ConditionType.PROMOTED) == "True"


def test_it_is_said_once_and_then_all_is_quiet() -> None:
    world = left()
    before = (world.status, len(world.events), len(world.entries))
    world.run_for(3600)
    assert (world.status, len(world.events), len(world.entries)) == before


def test_a_new_template_right_after_a_managed_promotion_is_tried_but_not_silently() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.works = False
    world.tick_by_tick(400)
    assert world.reason() == Reason.PROMOTED
    ship(world, "v3", "t3")
    world.works = True
    world.tick_by_tick(120)
    assert Outcome.SUPERSEDED in [one.outcome for one in world.status.history]
    assert Reason.NOT_SETTLED in [event.reason for event in world.events]
    assert world.status.run is not None
    assert (world.status.run.version, world.status.run.end) == ("v3", None)


def test_new_pods_of_one_workload_wait_for_no_stable_of_another_kind() -> None:
    world = flag_world()
    world.reach(10)
    world.route = replace(world.route, verification=Verification.PENDING)
    world.say(Verb.PROMOTE, full=True)
    world.run_for(10)
    assert world.reason() == Reason.PROMOTED
    world.stable = replace(world.stable, fingerprints=FP2 | FP3)
    world.canary = replace(world.canary, fingerprints=FP2 | FP3)
    world.run_for(10)
    assert world.status.history[0].reason == Reason.CANARY_CHANGED
    assert world.reason() != Reason.NOT_SETTLED
    assert Reason.NOT_SETTLED not in [event.reason for event in world.events]
