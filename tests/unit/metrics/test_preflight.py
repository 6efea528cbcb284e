"""What preflight says of a release's metrics."""

from __future__ import annotations

from datetime import datetime

from fakes.metric_source import RATIO, T0, UNREACHABLE, FakeSource, config, healthy, key, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, Row
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.metrics import OperatorMetrics


def measuring(source: FakeSource, **fields: object) -> Measurements:
    return Measurements(source, config(**fields), OperatorMetrics())


async def findings(source: FakeSource, **fields: object) -> list[tuple[str, bool, Reason]]:
    found = await measuring(source).preflight(key(), spec(**fields), T0)
    return [(one.check, one.fatal, one.problem.reason) for one in found]


async def test_preflight_finds_nothing_wrong_with_a_healthy_release() -> None:
    assert await findings(FakeSource()) == []


async def test_preflight_takes_a_canary_without_requests_as_it_is() -> None:
    def stable_only(_: str, promql: str, at: datetime) -> Answer:
        return Answer([row for row in healthy(promql, at).rows if row.labels["service"] == "shop-stable"])

    assert await findings(FakeSource(stable_only)) == []


async def test_a_metric_that_matches_nothing_fails_preflight() -> None:
    assert await findings(FakeSource(lambda *_: Answer([]))) == [
        ("metrics/http", True, Reason.NO_SERIES),
        ("metrics/latency", True, Reason.NO_SERIES),
        ("metrics/lag", True, Reason.NO_SERIES),
    ]


async def test_a_metric_that_no_rule_reads_can_only_be_warned_of() -> None:
    found = await findings(FakeSource(lambda *_: Answer([])), triggers=[], thresholds=[])
    assert {fatal for _, fatal, _ in found} == {False}


async def test_bad_events_told_by_a_label_that_no_series_has_fail_preflight() -> None:
    def without(_: str, promql: str, at: datetime) -> Answer:
        return Answer([row for row in healthy(promql, at).rows if row.labels["sr_part"] not in {"bad", "label"}])

    assert await findings(FakeSource(without)) == [("metrics/http", True, Reason.NO_SERIES)]
    other = [RATIO | {"bad": "errors_total"}]
    only = {"metrics": other, "triggers": [], "thresholds": [{"name": "e", "metric": "http", "max": 1}]}
    assert await findings(FakeSource(without), **only) == [("metrics/http", False, Reason.NO_SERIES)]


async def test_a_limit_that_is_no_bucket_edge_fails_preflight_and_the_nearest_are_named() -> None:
    thresholds = [{"name": "p95", "metric": "latency", "max": 0.4}]
    found = await measuring(FakeSource()).preflight(key(), spec(thresholds=thresholds, triggers=[]), T0)
    assert {one.fatal for one in found} == {True}
    problem = found[0].problem
    assert problem.reason is Reason.BUCKET_EDGE
    assert "0.4" in problem.message
    assert "0.2 and 1" in problem.message


NATIVE = [{"name": "latency", "buckets": "request_seconds_bucket", "quantile": 0.95}]


def native_alone(_: str, promql: str, at: datetime) -> Answer:
    """A server on which the histogram is a native one: it has no series with an edge."""
    if "histogram_count(request_seconds{" not in promql:
        return Answer([])
    return Answer([Row({"namespace": "trading", "service": "shop-stable", "sr_part": "series"}, 2.0)])


async def test_a_native_histogram_is_refused_by_name_and_with_its_remedy() -> None:
    limit = {"metrics": NATIVE, "triggers": [], "thresholds": [{"name": "p95", "metric": "latency", "max": 0.2}]}
    found = await measuring(FakeSource(native_alone)).preflight(key(), spec(**limit), T0)
    assert [(one.check, one.fatal, one.problem.reason) for one in found] == [
        ("metrics/latency", True, Reason.NATIVE_HISTOGRAM)
    ]
    assert "always_scrape_classic_histograms" in found[0].problem.message


async def test_a_server_that_knows_no_native_histograms_is_asked_in_vain() -> None:
    def old(server: str, promql: str, at: datetime) -> Answer | Missing:
        refused = Missing(Reason.INVALID_QUERY, "unknown function histogram_count")
        return refused if "histogram_count" in promql else Answer([])

    limit = {"metrics": NATIVE, "triggers": [], "thresholds": [{"name": "p95", "metric": "latency", "max": 0.2}]}
    assert await findings(FakeSource(old), **limit) == [("metrics/latency", True, Reason.NO_SERIES)]


async def test_preflight_fails_while_the_server_is_blind_and_says_why() -> None:
    found = await findings(FakeSource(lambda *_: UNREACHABLE))
    assert {reason for _, _, reason in found} == {Reason.PROMETHEUS_UNREACHABLE}
    assert all(fatal for _, fatal, _ in found)


async def test_an_expression_with_several_values_per_service_fails_preflight() -> None:
    def twice(_: str, promql: str, at: datetime) -> Answer:
        found = healthy(promql, at).rows
        return Answer([*found, *found]) if "lag_seconds" in promql else Answer(found)

    assert ("metrics/lag", True, Reason.AMBIGUOUS_RESULT) in await findings(FakeSource(twice))
