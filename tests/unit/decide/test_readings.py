"""How readings are judged: quantiles at their edges, plain values at their bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Buckets, Share, Value
from unit.decide.world import World, spec


def test_a_quantile_is_judged_at_its_bucket_edge_without_interpolation() -> None:
    metrics = [{"name": "http", "buckets": "lat_bucket", "quantile": 0.95, "unit": "s"}]
    limits = {"thresholds": [{"name": "p95", "metric": "http", "max": 0.2}], "triggers": []}
    world = World(spec=spec(metrics=metrics, **limits), reading=Buckets({0.1: 900, 0.2: 960}, 1000))
    world.reach(25)
    world.reading = Buckets({0.1: 900, 0.2: 920}, 1000)
    world.run_for(90)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.rollback and "92% <= 0.2s" in world.status.rollback.message


def test_a_limit_between_edges_is_an_error_and_never_a_pass() -> None:
    metrics = [{"name": "http", "buckets": "lat_bucket", "quantile": 0.95, "unit": "s"}]
    limits = {"thresholds": [{"name": "p95", "metric": "http", "max": 0.15}], "triggers": []}
    world = World(spec=spec(metrics=metrics, **limits), reading=Buckets({0.1: 900, 0.2: 1000}, 1000))
    world.run_for(600)
    assert world.route.canary_weight == 1
    assert world.status.verdict is Verdict.ERROR


def test_a_plain_value_is_judged_against_both_bounds() -> None:
    metrics = [{"name": "http", "value": "depth"}]
    limits = {"thresholds": [{"name": "depth", "metric": "http", "min": 1, "max": 5}], "triggers": []}
    world = World(spec=spec(metrics=metrics, **limits), reading=Value(3))
    world.reach(25)
    world.reading = Value(0.5)
    world.run_for(90)
    assert world.status.phase is Phase.ROLLED_BACK


def off_by_far(world: World) -> Share:
    return Share(stable=5000, canary=5000, window=timedelta(seconds=10), at=world.now, judged=True)


def test_requests_that_contradict_the_weight_twice_stop_the_clock() -> None:
    world = World()
    world.reach(25)
    world.run_for(30)
    world.share = off_by_far(world)
    world.settle_rounds()
    world.settle_rounds()
    assert world.status.weight.mismatches == 1, "one measurement counts once, however often it is looked at"
    world.now += world.tick
    world.share = off_by_far(world)
    world.settle_rounds()
    assert world.reason(ConditionType.TRAFFIC_IN_SYNC) == Reason.SHARE_MISMATCH
    assert world.reason(ConditionType.PROGRESSING) == Reason.SHARE_MISMATCH


def test_an_application_s_own_counter_is_shown_and_not_judged() -> None:
    world = World()
    world.reach(25)
    for _ in range(5):
        world.now += world.tick
        world.share = replace(off_by_far(world), judged=False)
        world.settle_rounds()
    assert world.status.weight.measured_share == 50
    assert world.condition(ConditionType.TRAFFIC_IN_SYNC) == "True"
