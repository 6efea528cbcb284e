"""What tools wait for: conditions of the version that is wanted, under its generation, and Stalled only where it is."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Side
from unit.decide.world import FP1, FP2, FP3, World, promoted, settled, spec

LOOSER = [{"name": "errors", "metric": "http", "max": 0.02}]
UNKNOWN = Problem(Reason.PODS_UNKNOWN, "nobody has looked at its pods yet")


def waited_for(world: World, kind: ConditionType) -> bool:
    """What `kubectl wait --for=condition=...` answers: True, and said of no older generation than the object has."""
    said = find(world.status.conditions, kind)
    return said is not None and said.status == "True" and said.observed_generation >= world.generation


def edit(world: World, **changes: object) -> None:
    """Git changes the object."""
    world.spec = spec(**changes)
    world.generation += 1
    world.run_for(20)


def rolled_back() -> World:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(20)
    world.reading = Counts(0, 1000)
    assert world.status.phase is Phase.ROLLED_BACK
    return world


# ---------------------------------------------------------------- kubectl wait


def test_promoted_is_not_said_of_a_version_that_waits_for_the_one_before_it() -> None:
    world = promoted()
    assert waited_for(world, ConditionType.PROMOTED)
    edit(world, version="v3")
    assert world.reason() == Reason.NOT_SETTLED
    assert not waited_for(world, ConditionType.PROMOTED)
    edit(world, version="v2")
    assert waited_for(world, ConditionType.PROMOTED)


@pytest.mark.parametrize("kind", [ConditionType.PROMOTED, ConditionType.SETTLED, ConditionType.TRAFFIC_IN_SYNC])
def test_an_edit_that_leaves_a_settled_version_does_not_make_who_waits_for_it_wait_for_ever(
    kind: ConditionType,
) -> None:
    world = settled()
    edit(world, thresholds=LOOSER)
    assert waited_for(world, kind)


@pytest.mark.parametrize("kind", [ConditionType.ROLLED_BACK, ConditionType.TRAFFIC_IN_SYNC])
def test_an_edit_that_leaves_a_rolled_back_version_does_not_make_who_waits_for_it_wait_for_ever(
    kind: ConditionType,
) -> None:
    world = rolled_back()
    edit(world, thresholds=LOOSER)
    assert waited_for(world, kind)
    assert world.status.phase is Phase.ROLLED_BACK


def test_it_is_renewed_while_something_else_is_in_the_way_of_a_run_too() -> None:
    world = settled()
    world.canary = replace(world.canary, problem=UNKNOWN)
    edit(world, thresholds=LOOSER)
    assert world.reason() == Reason.PODS_UNKNOWN
    assert waited_for(world, ConditionType.PROMOTED)


def test_what_was_said_of_the_version_before_is_not_said_of_the_next_one() -> None:
    world = settled()
    edit(world, version="v3")
    assert not waited_for(world, ConditionType.PROMOTED)
    other = rolled_back()
    edit(other, version="v3")
    assert not waited_for(other, ConditionType.ROLLED_BACK)


def test_ready_is_not_said_of_a_version_whose_pods_are_nowhere_yet() -> None:
    """Git applies the object and the workload in one go, and the pods come later."""
    world = settled()
    world.canary = replace(world.canary, fingerprints=FP2)
    assert waited_for(world, ConditionType.READY)
    edit(world, version="v3")
    assert not waited_for(world, ConditionType.READY)
    assert world.why() == "CanaryNotReady: stable and canary run the pods of v2; roll v3 out on canary"
    assert world.condition(ConditionType.STALLED) != "True"
    world.canary = replace(world.canary, fingerprints=FP3)
    world.run_for(20)
    assert world.status.run is not None
    assert (world.status.run.version, world.status.run.end) == ("v3", None)


def test_another_name_for_what_was_found_on_both_sides_is_nothing_to_release() -> None:
    world = World()
    world.canary = replace(world.canary, fingerprints=FP1)
    world.run_for(20)
    edit(world, version="v3")
    assert waited_for(world, ConditionType.READY)
    assert world.reason() == Reason.NOTHING_TO_RELEASE


def test_renewing_is_no_flip() -> None:
    world = settled()
    before = find(world.status.conditions, ConditionType.PROMOTED)
    edit(world, thresholds=LOOSER)
    after = find(world.status.conditions, ConditionType.PROMOTED)
    assert before is not None
    assert after == before.model_copy(update={"observed_generation": world.generation})


# ---------------------------------------------------------------- Stalled


@cache
def _at_rest(after: str) -> World:
    if after == "nothing":
        return World(canary=Side(exists=True, ready=2, fingerprints=FP1))
    world = rolled_back() if after == "rollback" else settled()
    world.spec = spec(version="v3")
    world.generation += 1
    return world


@st.composite
def sides(draw: st.DrawFn) -> Side:
    """Pods on their way: some ready, some not, of one or two kinds, or not to be told."""
    ready, prints = draw(st.integers(0, 2)), draw(st.sampled_from([FP1, FP2, FP3, FP1 | FP3]))
    problem = draw(st.sampled_from([None, None, UNKNOWN]))
    fingerprints = prints if ready and problem is None else frozenset[str]()
    return Side(exists=True, ready=ready, not_ready=draw(st.integers(0, 1)), fingerprints=fingerprints, problem=problem)


@pytest.mark.slow
@given(after=st.sampled_from(["nothing", "rollback", "settled"]), stable=sides(), canary=sides())
def test_what_goes_on_by_itself_once_pods_and_clock_come_to_it_was_never_stalled(
    after: str, stable: Side, canary: Side
) -> None:
    world = deepcopy(_at_rest(after))
    world.stable, world.canary = stable, canary
    world.run_for(5)
    stalled = world.condition(ConditionType.STALLED) == "True"
    runs = world.status.run
    world.stable = Side(exists=True, ready=2, fingerprints=FP1)
    world.canary = Side(exists=True, ready=2, fingerprints=frozenset({"fp4"}))
    world.run_for(180)
    assert world.status.run is not None
    if world.status.run != runs:  # it went on without an edit and without a command
        assert not stalled


def test_requests_of_the_run_before_are_waited_out_and_nothing_is_stalled_meanwhile() -> None:
    world = rolled_back()
    world.canary = replace(world.canary, fingerprints=FP3)
    edit(world, version="v3")
    assert world.reason() == Reason.EARLIER_REQUESTS
    assert world.condition(ConditionType.STALLED) is None
    assert world.condition(ConditionType.RECONCILING) == "True"
    world.reach(1)


def test_pods_that_are_still_unknown_are_waited_for_and_nothing_is_stalled_meanwhile() -> None:
    world = World()
    world.canary = replace(world.canary, problem=UNKNOWN)
    world.run_for(10)
    assert world.reason() == Reason.PODS_UNKNOWN
    assert world.condition(ConditionType.STALLED) is None
    assert world.condition(ConditionType.RECONCILING) == "True"
