"""A stage that mirrors: canary is judged on copies of requests, and no user gets an answer of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Missing, Problem, Route, Share, Side, Value, Verification
from sparkrelease.decide.plan import SetWeight
from sparkrelease.decide.replay import replay
from unit.decide.world import FOREIGN, World, spec

STAGES: list[dict[str, object]] = [
    {"name": "shadow", "weight": 0, "mirror": 100, "duration": "1m"},
    {"name": "one", "weight": 1, "duration": "1m"},
    {"name": "full", "weight": 100, "duration": "1m"},
]
DRIFT: dict[str, object] = {"name": "drift", "bad": "different_total", "total": "compared_total"}
HTTP: dict[str, object] = {"name": "http", "bad": "bad_total", "total": "all_total"}


def shadowed(**changes: object) -> SparkReleaseSpec:
    """A release that begins with a mirror of all requests."""
    return spec(**{"stages": STAGES} | changes)


def shadowing(**changes: object) -> World:
    """A world whose run is in its shadow stage, the mirror verified."""
    world = World(spec=shadowed(**changes))
    world.run_for(20)
    assert (world.route.canary_weight, world.status.weight.verified) == (0.0, True), world.why()
    assert world.route.mirror
    return world


def test_a_shadow_stage_mirrors_and_gives_canary_no_weight_until_its_gate_passes() -> None:
    world = World(spec=shadowed())
    world.reach(1.0)
    assert world.weights[:2] == [0.0, 1.0]
    assert world.route.mirror == 0.0
    assert world.route.mark is not None
    assert (world.route.mark.weight, world.route.mark.mirror) == (1.0, 0.0)
    entered = next(e for e in world.entries if e.kind is Reason.STAGE_ENTERED)
    assert (entered.data["weight"], entered.data["mirror"]) == (0.0, 100.0)
    assert entered.message == "stage shadow (1/3): canary weight 0, 100 % of the requests mirrored to it"
    passed = next(e for e in world.entries if e.kind is Reason.GATE_PASSED)
    assert (passed.data["stage"], passed.data["mirror"]) == ("shadow", 100.0)


def test_evidence_is_stored_before_anything_is_mirrored() -> None:
    world = World(spec=shadowed())
    world.evidence_works = False
    world.run_for(60)
    assert world.route.mirror == 0.0
    world.evidence_works = True
    world.run_for(10)
    assert world.route.mirror == 100.0


def test_a_shadow_stage_is_told_as_one() -> None:
    world = shadowing()
    assert world.status.stage_text == "mirror 1/3"
    assert world.status.weight.mirror == 100
    assert (world.status.weight.desired, world.status.weight.verified) == (0, True)
    assert "100 % mirrored" in world.why()
    world.reach(1.0)
    assert (world.status.stage_text, world.status.weight.mirror) == ("2/3", None)


@pytest.mark.parametrize("stages", [STAGES, STAGES[1:]])
def test_a_run_goes_from_its_first_stage_to_the_promotion(stages: list[dict[str, object]]) -> None:
    world = World(spec=shadowed(stages=stages))
    world.run_for(600, until=Phase.SUCCEEDED)
    assert world.status.phase is Phase.SUCCEEDED, world.why()
    assert world.route.mirror == 0.0
    assert replay(world.stored()).difference is None


def test_a_trigger_takes_the_mirror_away_at_once_and_refuses_the_version() -> None:
    world = shadowing()
    world.reading = Counts(200, 1000)
    plan = world.round()
    assert isinstance(plan.route, SetWeight)
    assert (plan.urgent, plan.route.canary, plan.route.mirror, plan.route.mark.rollback) == (True, 0.0, 0.0, "burst")
    world.settle_rounds()
    assert (world.route.mirror, world.status.phase) == (0.0, Phase.ROLLED_BACK)
    record = world.status.rollback
    assert record is not None
    assert (record.stage, record.from_weight, record.from_mirror) == ("shadow", 0, 100)
    ended = next(e for e in world.entries if e.kind is Reason.ROLLED_BACK)
    assert "; nothing is mirrored to canary any more after " in ended.message
    decided = next(e for e in world.entries if e.kind is Reason.TRIGGER_FIRED)
    assert decided.message.startswith("rolling back from a mirror of 100 %: ")
    assert decided.data["fromMirror"] == 100.0
    assert max(world.weights) == 0.0
    world.run_for(60)
    assert world.route.mark is None
    assert replay(world.stored()).difference is None


def test_a_rollback_is_not_over_before_the_mirror_is_gone() -> None:
    world = shadowing()
    world.route_writable = False
    world.reading = Counts(200, 1000)
    world.run_for(20)
    assert world.status.phase is Phase.ROLLING_BACK
    world.route_writable = True
    world.run_for(10)
    assert (world.status.phase, world.route.mirror) == (Phase.ROLLED_BACK, 0.0)


def test_the_gate_of_a_shadow_stage_refuses_a_canary_whose_results_drift() -> None:
    drift = {"name": "same-results", "metric": "drift", "max": 0.001, "minRequests": 100, "at": "mirror"}
    world = shadowing(metrics=[HTTP, DRIFT], thresholds=[drift])
    world.readings["drift"] = (Counts(30, 1000), Missing(Reason.NO_DATA, "stable compares nothing"))
    world.run_for(120, until=Phase.ROLLED_BACK)
    assert world.status.phase is Phase.ROLLED_BACK
    record = world.status.rollback
    assert record is not None
    assert (record.trigger, record.reason) == ("gate shadow", "GateFailed")
    assert "same-results: drift 3%" in record.message
    assert max(world.weights) == 0.0
    assert world.status.refused[0].version == "v2"


def test_a_threshold_at_mirror_is_asked_for_by_no_other_gate() -> None:
    drift = {"name": "same-results", "metric": "drift", "max": 0.001, "minRequests": 100, "at": "mirror"}
    errors = {"name": "errors", "metric": "http", "max": 0.01}
    world = shadowing(metrics=[HTTP, DRIFT], thresholds=[errors, drift])
    world.readings["drift"] = (Counts(0, 1000), Missing(Reason.NO_DATA, "stable compares nothing"))
    world.run_for(5)
    assert world.status.gate_text == "2/2"
    world.reach(1.0)
    world.readings["drift"] = (Missing(Reason.NO_DATA, "no copies"), Missing(Reason.NO_DATA, "no copies"))
    world.run_for(5)
    assert world.status.gate_text == "1/1"
    world.run_for(600, until=Phase.SUCCEEDED)
    assert world.status.phase is Phase.SUCCEEDED, world.why()


def test_a_mean_that_differs_from_stables_on_the_same_requests_is_drift() -> None:
    value = {"name": "price", "value": "sum by ($by)(rate(price_sum{$sel}[1m]))"}
    drifts = {"name": "drift", "all": [{"metric": "price", "kind": "vsStable", "factor": 1.01}], "for": "10s"}
    world = shadowing(metrics=[HTTP, value], triggers=[drifts])
    world.readings["price"] = (Value(100.5), Value(100))
    world.run_for(20)
    assert world.route.mirror == 100.0
    world.readings["price"] = (Value(103), Value(100))
    world.run_for(20)
    assert (world.status.phase, world.route.mirror) == (Phase.ROLLED_BACK, 0.0)


# ---------------------------------------------------------------- data


def test_missing_data_holds_a_shadow_stage_and_never_passes_it() -> None:
    world = shadowing()
    world.blind()
    world.run_for(660)
    assert world.route.mirror == 100.0, "nobody is served by what is not known"
    assert Reason.GATE_PASSED not in world.kinds()
    assert world.reason() == "ProgressDeadlineExceeded"


def test_a_canary_that_gets_no_copies_does_not_pass() -> None:
    world = shadowing()
    world.reading = Missing(Reason.NO_DATA, "no series")
    world.run_for(300)
    assert Reason.GATE_PASSED not in world.kinds()
    assert world.condition(ConditionType.METRICS_AVAILABLE) == "False", "copies of 1,000 requests were to be expected"


def test_a_shadow_stage_without_requests_of_users_waits_for_some() -> None:
    world = shadowing()
    world.reading, world.stable_reading = Missing(Reason.NO_DATA, "no series"), Counts(0, 3)
    world.run_for(300)
    assert Reason.GATE_PASSED not in world.kinds()
    assert world.condition(ConditionType.METRICS_AVAILABLE) == "True"


# ---------------------------------------------------------------- the route


def share(world: World, canary: float, stable: float) -> Share:
    return Share(stable=stable, canary=canary, window=timedelta(seconds=5), at=world.now, judged=True)


def count(world: World, canary: float, stable: float) -> None:
    """Two measurements of what reached each role."""
    for _ in range(4):
        world.now += world.tick
        world.share = share(world, canary, stable)
        world.settle_rounds()


def test_copies_counted_by_the_gateway_are_what_a_mirror_is_verified_by() -> None:
    world = shadowing()
    count(world, 1000, 1000)
    assert (world.status.weight.verified, world.status.weight.measured_share) == (True, 100.0)
    count(world, 0, 1000)
    assert not world.status.weight.verified
    assert world.status.weight.reason == "canary gets 0 % of the requests, the route is to mirror 100 %"
    assert world.reason() == "ShareMismatch"


def test_a_gateway_that_mirrors_all_requests_where_a_tenth_is_wanted_is_found_out() -> None:
    part = [STAGES[0] | {"mirror": 10}, *STAGES[1:]]
    world = World(spec=shadowed(stages=part))
    world.run_for(20)
    assert world.route.mirror == 10
    count(world, 100, 1000)
    assert world.status.weight.verified
    count(world, 1000, 1000)
    assert not world.status.weight.verified


@pytest.mark.parametrize("mirror", [0.0, 50.0, None])
def test_a_mirror_that_somebody_changed_is_set_again(mirror: float | None) -> None:
    world = shadowing()
    generation = world.route.generation + 1
    world.route = replace(world.route, mirror=mirror, manager=FOREIGN, generation=generation)
    world.settle_rounds()
    assert world.route.mirror == 100.0
    reverted = next(e for e in world.events if e.reason is Reason.TRAFFIC_REVERTED)
    assert reverted.message.startswith(f"{FOREIGN} changed the canary weight to ")
    assert reverted.message.endswith("a mirror of 100 % is wanted")


def test_a_mirror_that_somebody_adds_in_a_later_stage_is_taken_away() -> None:
    world = World(spec=spec())
    world.reach(1.0)
    world.route = replace(world.route, mirror=100.0, manager=FOREIGN, generation=world.route.generation + 1)
    world.settle_rounds()
    assert (world.route.mirror, world.route.canary_weight) == (0.0, 1.0)


def test_a_contested_mirror_is_never_more_than_wanted_and_ends_in_a_rollback() -> None:
    world = shadowing(stages=[STAGES[0] | {"mirror": 10, "duration": "1h"}, *STAGES[1:]])
    for _ in range(4):
        world.route = replace(world.route, mirror=100.0, manager=FOREIGN, generation=world.route.generation + 1)
        world.settle_rounds()
        assert world.route.mirror == 10.0
        world.now += world.tick
    assert world.condition(ConditionType.TRAFFIC_CONTESTED) == "True"
    world.run_for(330)
    assert (world.status.phase, world.route.mirror) == (Phase.ROLLED_BACK, 0.0)
    assert world.status.rollback is not None
    assert world.status.rollback.reason == "RouteContested"


def test_no_run_starts_while_somebody_mirrors_to_canary() -> None:
    world = World(spec=shadowed())
    world.route = replace(world.route, mirror=100.0)
    world.run_for(60)
    assert (world.status.run, world.reason()) == (None, "TrafficNotOnStable")
    assert "remove the RequestMirror filter" in world.why()
    assert world.weights == []


def test_a_mirror_that_is_not_accepted_yet_is_no_observation() -> None:
    world = shadowing()
    world.route = replace(world.route, verification=Verification.PENDING)
    world.run_for(300)
    assert Reason.GATE_PASSED not in world.kinds()


# ---------------------------------------------------------------- ends and ways back


def test_a_canary_without_a_ready_pod_is_refused_in_the_shadow_too() -> None:
    world = shadowing()
    world.canary = Side(exists=True, ready=0, not_ready=2)
    world.settle_rounds()
    assert world.status.rollback is not None
    assert world.status.rollback.message == "canary has no ready endpoint while requests are mirrored to it"


@pytest.mark.parametrize("how", ["command", "version", "deletion", "unreadable"])
def test_every_end_of_a_run_ends_its_mirror(how: str) -> None:
    world = shadowing()
    if how == "command":
        world.say(Verb.ROLLBACK)
    elif how == "version":
        world.spec = world.spec.model_copy(update={"version": "v3"})
    elif how == "deletion":
        world.deleting = True
    else:
        world.spec_problem = Problem(Reason.INVALID_SPEC, "broken")
        world.say(Verb.ROLLBACK)
    world.settle_rounds()
    assert world.route.mirror == 0.0
    assert world.route.canary_weight == 0.0


def test_a_pause_keeps_the_mirror_and_a_promotion_by_command_ends_it() -> None:
    world = shadowing()
    world.say(Verb.PAUSE)
    world.run_for(300)
    assert world.route.mirror == 100.0
    world.say(Verb.RESUME)
    world.run_for(5)
    world.say(Verb.PROMOTE)
    world.settle_rounds()
    assert (world.route.canary_weight, world.route.mirror) == (1.0, 0.0)


def test_an_incident_that_stable_has_too_ends_the_copies_until_it_is_over() -> None:
    world = shadowing(sharedRollbackAfter="10m")
    world.reading = world.stable_reading = Counts(200, 1000)
    world.settle_rounds()
    assert (world.route.mirror, world.status.stage_text) == (0.0, "1/3")
    assert world.status.incident is not None
    world.reading = world.stable_reading = Counts(0, 1000)
    world.run_for(80)
    assert (world.route.mirror, world.status.stage_text) == (100.0, "mirror 1/3"), world.why()
    assert Outcome.ROLLED_BACK not in {h.outcome for h in world.status.history}


def test_a_step_back_from_the_first_weight_goes_back_into_the_shadow() -> None:
    back = {"name": "back", "all": [{"metric": "http", "value": 0.05}], "action": "stepBack"}
    world = World(spec=shadowed(triggers=[back]))
    world.reach(1.0)
    world.reading = Counts(200, 1000)
    plan = world.round()
    assert plan.urgent
    world.settle_rounds()
    assert (world.route.canary_weight, world.route.mirror) == (0.0, 100.0)
    assert world.status.stage_text == "mirror 1/3"
    stepped = next(e for e in world.entries if e.kind is Reason.STEPPED_BACK)
    assert stepped.message.startswith("stepping back from 1 % to a mirror of 100 %: ")


def test_a_dry_run_of_a_shadow_stage_writes_nothing() -> None:
    world = World(spec=shadowed(dryRun=True))
    world.run_for(600)
    assert (world.weights, world.route.mirror) == ([], 0.0)
    assert Reason.DRY_RUN in world.kinds()


def test_a_restarted_operator_goes_on_with_the_rollback_of_a_mirror() -> None:
    world = shadowing()
    assert world.route.mark is not None
    world.route = replace(world.route, mark=replace(world.route.mark, rollback="burst"))
    world.settle_rounds()
    assert (world.route.mirror, world.status.phase) == (0.0, Phase.ROLLED_BACK)


def test_a_route_that_cannot_be_read_is_not_taken_for_one_without_a_mirror() -> None:
    world = shadowing()
    world.route = Route(problem=Problem(Reason.ROUTE_WRITE_FAILED, "500"), exists=True)
    world.reading = Counts(200, 1000)
    world.route_writable = False
    world.run_for(20)
    assert world.status.phase is Phase.ROLLING_BACK
