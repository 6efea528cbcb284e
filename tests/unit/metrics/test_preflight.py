"""What preflight says of a release's metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import pytest

from fakes.metric_source import RATIO, T0, UNREACHABLE, FakeSource, config, healthy, key, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.native import Bucket, histogram_of
from sparkrelease.decide.series import Answer, Row, row_of
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
    message = found[0].problem.message
    assert "(buckets: request_seconds)" in message and "always_scrape_classic_histograms" in message


def native(buckets: Sequence[Bucket], *more: Row) -> FakeSource:
    """A server that has a native histogram of stable, and none of canary yet."""

    def reply(_: str, promql: str, at: datetime) -> Answer:
        if '"sr_part", "native"' not in promql:
            return Answer([])
        labels, total = {"namespace": "trading", "service": "shop-stable"}, sum(bucket.events for bucket in buckets)
        row = row_of({**labels, "sr_part": "native"}, histogram_of(total, buckets))
        return Answer([row, Row({**labels, "sr_part": "total"}, total), *more])

    return FakeSource(reply)


async def limited(source: FakeSource, limit: float) -> list[tuple[bool, Reason, str]]:
    """What preflight says of one limit on a histogram that may be a native one."""
    metrics = [{"name": "latency", "buckets": "request_seconds", "quantile": 0.95}]
    thresholds = [{"name": "p95", "metric": "latency", "max": limit}]
    declared = spec(metrics=metrics, thresholds=thresholds, triggers=[])
    found = await measuring(source).preflight(key(), declared, T0)
    return [(one.fatal, one.problem.reason, one.problem.message) for one in found]


FINE = [Bucket(0, 0.125, 0.1363134665831572, 9), Bucket(0, 0.5, 0.5452538663326288, 9)]
"""Of scale 3."""

POWERS = [Bucket(0, 0.25, 0.5, 9)]
"""Of scale 0, or of bounds that are powers of two."""


async def test_a_limit_on_a_bound_of_a_native_histogram_is_accepted() -> None:
    for limit in (0.25, 0.5, 0.5453, 0.2973):
        assert await limited(native(FINE), limit) == []


@pytest.mark.parametrize(("limit", "nearest"), [(0.13, "0.125 and 0.1363"), (0.2, "0.1928 and 0.2102")])
async def test_a_limit_on_no_bound_fails_preflight_though_there_are_no_events_near_it(
    limit: float, nearest: str
) -> None:
    ((fatal, reason, message),) = await limited(native(FINE), limit)
    assert (fatal, reason) == (True, Reason.BUCKET_EDGE)
    assert f"{limit:g}" in message and nearest in message


async def test_between_powers_of_two_a_limit_is_refused_only_where_there_are_events() -> None:
    ((fatal, reason, message),) = await limited(native(POWERS), 0.3)
    assert (fatal, reason) == (True, Reason.BUCKET_EDGE)
    assert "0.25 and 0.5" in message
    ((fatal, reason, message),) = await limited(native(POWERS), 0.2)
    assert (fatal, reason) == (False, Reason.BUCKET_EDGE), "others may have bounds there"
    assert "0.125 and 0.25" in message


async def test_custom_bounds_are_known_where_there_are_events() -> None:
    custom = native([Bucket(3, -math.inf, 0.1, 9), Bucket(0, 0.2, 0.5, 9)])
    assert await limited(custom, 0.1) == await limited(custom, 0.2) == await limited(custom, 0.15) == []
    assert [one[:2] for one in await limited(custom, 0.3)] == [(True, Reason.BUCKET_EDGE)]


async def test_a_native_histogram_without_an_event_passes_preflight() -> None:
    assert await limited(native([]), 0.2) == []


async def test_native_histograms_that_cannot_be_added_up_fail_preflight() -> None:
    more = Row({"namespace": "trading", "service": "shop-canary", "sr_part": "total"}, 5.0)
    assert [one[:2] for one in await limited(native(FINE, more), 0.25)] == [(True, Reason.INCONSISTENT_COUNTS)]


async def test_a_name_without_a_series_is_told_how_classic_buckets_are_named() -> None:
    ((fatal, reason, message),) = await limited(FakeSource(lambda *_: Answer([])), 0.25)
    assert (fatal, reason) == (True, Reason.NO_SERIES)
    assert "_bucket at the end" in message


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
