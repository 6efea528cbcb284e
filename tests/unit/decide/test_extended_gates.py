"""The patience of a gate is counted in the status alone: an operator that starts anew amid it goes on counting."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, SparkReleaseStatus
from sparkrelease.decide.facts import Counts
from sparkrelease.decide.replay import replay
from unit.decide.world import START, World, spec

MINUTE = timedelta(minutes=1)
TICK = timedelta(seconds=5)
FORGIVEN = 3 * TICK + timedelta(seconds=2)
"""Between two looks: a longer gap is no observation."""

ENDS = ("hold", "rollback", "proceed")


def doubtful(end: str, minutes: int = 1, seconds: int = 0) -> World:
    """A release whose first stage has too few requests for a verdict, at the end of its time."""
    stages = [
        {"name": "one", "weight": 1, "duration": f"{minutes}m{seconds}s", "onInconclusive": end},
        {"name": "full", "weight": 100, "duration": "1m"},
    ]
    world = World(spec=spec(stages=stages), tick=TICK, reading=Counts(0, 100))
    while not patient(world):
        assert world.now - START < (minutes + 1) * MINUTE, world.why()
        look(world)
    return world


def patient(world: World) -> bool:
    """Whether the gate is still extended."""
    return world.reason() == Reason.GATE_INCONCLUSIVE and "extended for at most" in world.why()


def restarted(world: World, down: timedelta) -> World:
    """The same cluster under another process, after a time without any: it knows what is written, and nothing else."""
    status = SparkReleaseStatus.model_validate_json(world.status.model_dump_json(by_alias=True))
    kept = ("spec", "frozen", "route", "tick", "reading", "chain", "finalizer", "weights")
    known = {name: getattr(world, name) for name in kept}
    return World(status=status, now=world.now + down, epoch=world.epoch + 1, **known)


def ended(world: World, end: str) -> bool:
    """Whether the gate did what the stage says it does when its patience is over."""
    match end:
        case "rollback":
            return world.status.rollback is not None
        case "proceed":
            return world.route.canary_weight == 100
        case _:
            return world.reason() == Reason.GATE_INCONCLUSIVE and not patient(world)


def look(world: World) -> None:
    world.now += world.tick
    world.settle_rounds()


downtimes = st.sampled_from([0, 1, 5, 12, 13, 30, 90, 3600]).map(lambda seconds: timedelta(seconds=seconds))
breaks = st.lists(st.tuples(st.integers(0, 11), downtimes), max_size=4)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(end=st.sampled_from(ENDS), breaks=breaks)
@example(end="proceed", breaks=[(6, timedelta(hours=1))])
@example(end="rollback", breaks=[(11, timedelta(seconds=12))])
@example(end="hold", breaks=[(3, timedelta(seconds=12)), (3, timedelta(seconds=13))])
def test_a_gate_is_extended_as_long_however_often_the_operator_starts_anew(
    end: str, breaks: list[tuple[int, timedelta]]
) -> None:
    """Each break comes after so many looks. Twice the duration is observed in all: not a look more, nor one less."""
    world = doubtful(end)
    stage = world.status.stage
    assert stage is not None and stage.observed == MINUTE
    observed = MINUTE
    for after, down in breaks:
        for _ in range(after):
            if ended(world, end):
                break
            look(world)
            observed += TICK
        if ended(world, end):
            break
        world = restarted(world, down)
        look(world)
        observed += down + TICK if down + TICK <= FORGIVEN else timedelta(0)
    while not ended(world, end):
        assert observed < 2 * MINUTE, f"{world.why()} after {observed}"
        if world.status.stage is not None:
            assert world.status.stage.observed == observed
        look(world)
        observed += TICK
    assert observed >= 2 * MINUTE
    assert replay(world.stored()).difference is None


@pytest.mark.parametrize("end", ENDS)
def test_an_extended_gate_that_ended_is_not_extended_again_by_a_restart(end: str) -> None:
    world = doubtful(end)
    while not ended(world, end):
        look(world)
    before = dataclasses.replace(world.route)
    world = restarted(world, timedelta(minutes=5))
    look(world)
    assert ended(world, end) and not patient(world)
    assert world.route.canary_weight == before.canary_weight or world.status.phase is Phase.ROLLED_BACK


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "pause"), [(1, 5), (15, 45), (120, 60)])
def test_a_gate_in_doubt_is_asked_again_a_few_times_in_its_duration_and_not_at_every_look(
    minutes: int, pause: int
) -> None:
    """Hundreds of releases with few requests would otherwise ask over a span of their own at every tick."""
    world = doubtful("hold", minutes)
    assert len(world.asked_gates) == 1
    why = world.why()
    for _ in range(minutes * 12 - 1):
        look(world)
        assert world.why() == why, "what it waits for is said at every look, asked or not"
    look(world)
    assert ended(world, "hold"), "when its patience is over it is asked and told"
    assert len(world.asked_gates) - 1 == pytest.approx(minutes * 60 / pause, abs=1)
    for _ in range(minutes * 12):
        look(world)
        assert ended(world, "hold")
    assert len(world.asked_gates) - 1 == pytest.approx(2 * minutes * 60 / pause, abs=2)
    assert replay(world.stored()).difference is None


@pytest.mark.slow
def test_a_gate_in_doubt_passes_within_a_minute_of_the_requests_it_waited_for() -> None:
    world = doubtful("hold", 120)
    for _ in range(30):
        look(world)
    world.reading = Counts(0, 1000)
    enough = world.now
    while world.route.canary_weight != 100:
        look(world)
        assert world.now - enough <= MINUTE, world.why()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["rollback", "proceed"])
def test_a_gate_whose_patience_is_over_is_asked_at_that_very_look(end: str) -> None:
    """Also where that is amid a pause of a minute."""
    world, patience = doubtful(end, 50, 20), timedelta(minutes=100, seconds=40)
    while not ended(world, end):
        look(world)
        stage = world.status.stage
        assert stage is None or stage.name != "one" or stage.observed < patience
    assert world.asked_gates[-1] >= patience
