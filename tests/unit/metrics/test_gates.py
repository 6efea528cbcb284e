"""A gate is judged over the whole stage, by the extreme that could break the limit."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from fakes.metric_source import T0, UNREACHABLE, FakeSource, after, config, healthy, key, rows, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Counts, MetricFacts, Missing, SpanAsk, Value
from sparkrelease.decide.series import Answer
from sparkrelease.decide.thresholds import judge_threshold
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.metrics import OperatorMetrics


def measuring(source: FakeSource, **fields: object) -> Measurements:
    return Measurements(source, config(**fields), OperatorMetrics())


def canary(facts: Mapping[str, MetricFacts], metric: str = "http") -> object:
    return facts[metric].canary


async def test_a_gate_is_judged_over_the_stage_and_nothing_before_it() -> None:
    source = FakeSource()
    asked = measuring(source)
    facts = await asked.gate(key(), spec(), timedelta(seconds=900.4), after(1000.25))
    assert set(facts) == {"errors", "p95", "lag"}
    one = facts["errors"]
    assert one.at == after(1000)
    assert one.window == timedelta(seconds=900), "from second 99.85, that is from 100 on"
    assert facts["lag"].canary == Value(7), "the highest value of the stage"


def stage_of(low: float, high: float) -> FakeSource:
    """A server whose lag was between two values over any stage, and that answers the extremes it is asked for."""

    def reply(_: str, promql: str, at: datetime) -> Answer:
        parts = {part: value for part, value in {"low": low, "high": high}.items() if f'"{part}"' in promql}
        return Answer([row for side in ("stable", "canary") for row in rows("trading", f"shop-{side}", at, parts)])

    return FakeSource(reply)


@pytest.mark.parametrize(
    ("limits", "low", "high", "decides", "verdict"),
    [
        ({"maxVsBaseline": 1.5}, 5, 15, 15, Verdict.PASS),
        ({"maxVsBaseline": 1.5}, 5, 16, 16, Verdict.FAIL),
        ({"min": 1, "maxVsBaseline": 1.5}, 5, 15, 15, Verdict.PASS),
        ({"min": 1, "maxVsBaseline": 1.5}, 5, 100, 100, Verdict.FAIL),
        ({"min": 6, "maxVsBaseline": 1.5}, 5, 15, 5, Verdict.FAIL),
        ({"max": 1000, "maxVsBaseline": 1.5}, 5, 15, 15, Verdict.PASS),
        ({"max": 1000, "maxVsBaseline": 1.5}, 5, 100, 100, Verdict.FAIL),
        ({"min": 1, "max": 1000, "maxVsBaseline": 1.5}, 5, 100, 100, Verdict.FAIL),
        ({"max": 15}, 5, 100, 100, Verdict.FAIL),
        ({"min": 6}, 5, 100, 5, Verdict.FAIL),
    ],
)
async def test_every_limit_of_a_value_is_judged_by_the_extreme_of_the_stage_that_could_break_it(
    limits: dict[str, float], low: float, high: float, decides: float, verdict: Verdict
) -> None:
    release = spec(thresholds=[{"name": "lag", "metric": "lag", **limits}], triggers=[])
    facts = await measuring(stage_of(low, high)).gate(key(), release, timedelta(minutes=15), T0)
    assert facts["lag"].canary == facts["lag"].stable == Value(decides)
    judged = judge_threshold(release.thresholds[0], release.metric("lag"), facts["lag"].canary, baseline=10)
    assert judged.verdict is verdict


@pytest.mark.parametrize("limits", [{"max": 15}, {"maxVsBaseline": 1.5}, {"min": 1, "maxVsBaseline": 1.5}])
async def test_a_value_below_all_numbers_is_no_value_where_it_would_pass(limits: dict[str, float]) -> None:
    release = spec(thresholds=[{"name": "lag", "metric": "lag", **limits}], triggers=[])
    source = stage_of(-math.inf, -math.inf)
    asked = measuring(source)
    gate = await asked.gate(key(), release, timedelta(minutes=15), T0)
    source.reply = lambda _, __, at: Answer(
        [row for side in ("stable", "canary") for row in rows("trading", f"shop-{side}", at, {"value": -math.inf})]
    )
    asked.follow(key(), release)
    await asked.tick(T0)
    for found in (gate["lag"].canary, canary(asked.readings(key()), "lag")):
        assert isinstance(found, Missing) and found.reason is Reason.NOT_A_NUMBER


async def test_releases_at_the_same_gate_are_answered_by_one_query() -> None:
    names = [f"r{i}" for i in range(50)]
    source = FakeSource(lambda _, promql, at: healthy(promql, at, *names))
    asked = measuring(source)
    thresholds = [{"name": "errors", "metric": "http", "max": 0.01}, {"name": "few", "metric": "http", "max": 0.5}]
    gates = await asyncio.gather(
        *(
            asked.gate(key(name), spec(name, thresholds=thresholds), timedelta(minutes=15), after(1000.1 + i / 1000))
            for i, name in enumerate(names)
        )
    )
    assert len(source.queries) == 1
    assert all(gate["few"].canary == Counts(1, 100) for gate in gates)


@pytest.mark.parametrize("metric", ["http", "latency"])
async def test_over_a_time_that_outlasts_pods_what_those_did_that_are_gone_counts_too(metric: str) -> None:
    """A difference of two samples would lose every pod that was replaced."""
    release, source = spec(), FakeSource()
    threshold = next(one for one in release.thresholds if one.metric == metric)
    for whole in (True, False):
        asks = [SpanAsk("since", threshold, timedelta(hours=1), whole=whole)]
        facts = await measuring(source).spans(key(), release, asks, T0)
        (_, promql, _) = source.queries[-1]
        assert ("increase(" in promql, " offset " in promql) == (whole, not whole)
        assert ("increase(" in facts["since"].query) is whole


async def test_a_gate_of_a_blind_server_says_so() -> None:
    asked = measuring(FakeSource(lambda *_: UNREACHABLE))
    facts = await asked.gate(key(), spec(), timedelta(minutes=15), T0)
    assert {fact.canary for fact in facts.values()} == {UNREACHABLE}
