"""What thresholds say between gates and checks is shown, and decides nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, RuleVerdict, Verdict, read_glance
from sparkrelease.decide.facts import Counts, Finding, Missing, Problem, Value
from sparkrelease.decide.inputs import status_data
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan
from unit.decide.signatures import CHECKLIST
from unit.decide.test_shadow import shadowing
from unit.decide.watch_world import METRICS, THRESHOLDS, to_check, watched
from unit.decide.world import FP3, World, spec


def glances(world: World) -> dict[str, RuleVerdict]:
    read = [read_glance(text) for text in world.status.glances]
    return {one.rule: one for one in read if one is not None}


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
    assert world.status.glances == ()


def test_a_step_back_leaves_those_of_the_heavier_stage_behind() -> None:
    legs = [{"metric": "http", "op": ">", "value": 0.05}]
    world = World(spec=spec(triggers=[{"name": "burst", "all": legs, "for": "0s", "action": "stepBack"}]))
    world.reach(25)
    world.run_for(10)
    assert glances(world)
    world.reading = Counts(500, 1000)
    while not any(e.reason is Reason.STEPPED_BACK for e in world.events):
        world.now += world.tick
        world.round()
    assert world.status.glances == ()


def test_a_new_run_begins_without_those_of_one_that_went_back() -> None:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(60, until="RolledBack")
    assert glances(world), "as it was when it went back"
    run = world.status.run
    world.spec = spec(version="v3", checklist=CHECKLIST)  # it waits for people before any stage
    world.canary = replace(world.canary, fingerprints=FP3)
    while world.status.run == run:
        world.now += world.tick
        world.round()
    assert world.status.run is not None and world.status.run.version == "v3"
    assert world.status.glances == ()


def test_a_stage_that_may_not_go_on_shows_what_its_thresholds_say_all_the_same() -> None:
    world = World(spec=spec(triggers=[], progressDeadline="1m", paused=False))
    world.reach(25)
    world.spec = spec(triggers=[], progressDeadline="1m", paused=True)
    world.run_for(180)
    assert world.reason(ConditionType.STALLED) == Reason.PROGRESS_DEADLINE_EXCEEDED
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert words(world) == {"errors": Verdict.FAIL}


def test_a_promoted_release_shows_nothing_that_nobody_looks_at_any_more() -> None:
    world = World(spec=spec(triggers=[]))
    world.over_stage = Counts(0, 1000)
    world.reach(100)
    world.reading = Counts(20, 1000)
    world.run_for(120, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED
    assert world.status.glances == ()


def test_a_silent_canary_of_a_mirror_stage_is_missing_and_not_short_of_requests() -> None:
    world = shadowing()
    world.reading = Missing(Reason.NO_DATA, "no series")
    world.run_for(5)
    assert set(words(world).values()) == {Verdict.NO_DATA}


def test_warnings_of_preflight_stay_until_a_rule_has_its_verdict() -> None:
    world = World(spec=spec(triggers=[]))
    world.preflight = (Finding("alerts", fatal=False, problem=Problem(Reason.ALERTS_NOT_DECLARED, "none")),)
    world.reach(1)
    world.run_for(10)
    assert glances(world)
    assert [(v.kind, v.rule) for v in world.status.verdicts] == [("preflight", "alerts")]


def test_evidence_holds_none() -> None:
    world = World()
    world.reach(25)
    world.run_for(10)
    assert glances(world)
    bare = world.status.model_copy(update={"glances": ()})
    assert status_data(bare) == status_data(world.status)


def test_as_many_rules_as_a_release_may_have_keep_their_verdicts() -> None:
    limits = [{"name": f"t{n}", "metric": "http", "max": 0.01} for n in range(64)]
    legs = [{"metric": "http", "op": ">", "value": 0.05}]
    world = World(spec=spec(thresholds=limits, triggers=[{"name": f"r{n}", "all": legs} for n in range(64)]))
    world.reach(25)
    world.reading = Counts(20, 1000)
    world.run_for(80)
    assert len(world.status.glances) == 64
    assert sum(v.kind == "threshold" for v in world.status.verdicts) == 64
    assert sum(v.kind == "trigger" for v in world.status.verdicts) == 64


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_decided_by_them(seed: int) -> None:
    """Whatever was said before, or could not be read: the plan moves and tells the same."""
    chance = random.Random(seed)
    world = watched() if seed % 2 else World(spec=spec(metrics=METRICS, thresholds=THRESHOLDS))
    world.readings["dlq"] = (Value(0), Value(0))
    for _ in range(60):
        world.reading = chance.choice([Counts(chance.randrange(60), 1000), Missing(Reason.NO_DATA, "none")])
        world.readings["dlq"] = (Value(chance.randrange(3)), Value(0))
        others = [world.status.model_copy(update={"glances": said}) for said in ((), ("not one",))]
        resolved = world.frozen or world.resolved()
        one, *more = [_done(decide(resolved, s, world.facts(), world.now)) for s in (world.status, *others)]
        assert more == [one, one]
        world.run_for(5)


def _done(plan: Plan) -> tuple[object, ...]:
    status, entries = status_data(plan.status), [(e.kind, e.message, e.data) for e in plan.entries]
    return (plan.route, plan.wants, entries, plan.events, plan.change, plan.urgent, plan.finalizer, status)
