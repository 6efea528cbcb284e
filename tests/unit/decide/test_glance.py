"""What thresholds say between gates and checks is shown, and decides nothing."""

from __future__ import annotations

import random

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import GLANCE, Phase, RuleVerdict, Verdict, without_glances, without_stage
from sparkrelease.decide.facts import Counts, Missing, Value
from sparkrelease.decide.inputs import status_data
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan
from unit.decide.watch_world import METRICS, THRESHOLDS, to_check, watched
from unit.decide.world import World, spec


def glances(world: World) -> dict[str, RuleVerdict]:
    return {v.rule: v for v in world.status.verdicts if v.kind == GLANCE}


def words(world: World) -> dict[str, Verdict]:
    return {name: v.verdict for name, v in glances(world).items()}


def test_each_threshold_of_the_stage_says_its_value_now() -> None:
    world = World(spec=spec(triggers=[]))
    world.reach(25)
    world.run_for(10)
    assert words(world) == {"errors": Verdict.PASS}
    world.reading = Counts(20, 1000)
    world.run_for(5)
    (now,) = glances(world).values()
    assert (now.verdict, now.value) == (Verdict.FAIL, "2% (20/1000)")
    assert world.status.verdict is None, "the worst verdict is of what decides"
    assert world.status.phase is Phase.PROGRESSING


def test_what_is_not_measured_is_no_pass() -> None:
    world = World(spec=spec(triggers=[]))
    world.reach(25)
    world.reading = Missing(Reason.NO_DATA, "no series")
    world.run_for(5)
    assert words(world) == {"errors": Verdict.NO_DATA}
    world.blind()
    world.run_for(5)
    assert words(world)["errors"] is not Verdict.PASS


def test_a_threshold_of_the_watch_alone_says_nothing_before_it() -> None:
    world = World(spec=spec(watch={"duration": "10m", "every": "2m"}, metrics=METRICS, thresholds=THRESHOLDS))
    world.readings["dlq"] = (Value(0), Value(0))
    world.reach(25)
    world.run_for(5)
    assert set(words(world)) == {"errors"}
    world.run_for(400, until="Watching")
    world.run_for(5)
    assert set(words(world)) == {"errors", "dead-letters"}


def test_between_two_checks_of_the_watch_each_says_its_value_now() -> None:
    world = watched()
    to_check(world, 1)
    world.readings["dlq"] = (Value(7), Value(0))
    world.run_for(5)
    judged = {v.rule: v.verdict for v in world.status.verdicts if v.kind == "threshold"}
    assert judged == {"errors": Verdict.PASS, "dead-letters": Verdict.PASS}, "as of the last check"
    assert words(world) == {"errors": Verdict.PASS, "dead-letters": Verdict.FAIL}
    assert world.status.gate_text == "2/2"
    assert world.status.verdict is Verdict.PASS


def test_a_new_stage_begins_without_those_of_the_one_before() -> None:
    world = World(spec=spec(triggers=[]))
    world.reach(1)
    world.run_for(20)
    assert glances(world)
    while not any(e.reason is Reason.STAGE_ENTERED and "quarter" in e.message for e in world.events):
        world.now += world.tick
        world.round()
    assert without_stage(world.status.verdicts) == world.status.verdicts


def test_evidence_holds_none() -> None:
    world = World()
    world.reach(25)
    world.run_for(10)
    assert glances(world)
    bare = world.status.model_copy(update={"verdicts": without_glances(world.status.verdicts)})
    assert status_data(bare) == status_data(world.status)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_decided_by_them(seed: int) -> None:
    """Whatever is measured: a plan from a status without them moves and tells the same."""
    chance = random.Random(seed)
    world = watched() if seed % 2 else World(spec=spec(metrics=METRICS, thresholds=THRESHOLDS))
    world.readings["dlq"] = (Value(0), Value(0))
    for _ in range(60):
        world.reading = chance.choice([Counts(chance.randrange(60), 1000), Missing(Reason.NO_DATA, "none")])
        world.readings["dlq"] = (Value(chance.randrange(3)), Value(0))
        bare = world.status.model_copy(update={"verdicts": without_glances(world.status.verdicts)})
        resolved = world.frozen or world.resolved()
        one = decide(resolved, world.status, world.facts(), world.now)
        assert _done(one) == _done(decide(resolved, bare, world.facts(), world.now))
        world.run_for(5)


def _done(plan: Plan) -> tuple[object, ...]:
    status, entries = status_data(plan.status), [(e.kind, e.message, e.data) for e in plan.entries]
    return (plan.route, plan.wants, entries, plan.events, plan.change, plan.urgent, plan.finalizer, status)
