"""Native histograms on their way from a server's JSON to readings and windows: exact, or missing with a reason."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.metric_source import T0
from fakes.prometheus_server import MisbehavingServer
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.adapters.prometheus.answers import read_answer, read_range
from sparkrelease.adapters.prometheus.client import HTTPAnswer
from sparkrelease.api.config import MetricsServer, RoleLabels
from sparkrelease.api.metrics import Attribution, Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Missing, Reading, Value, Window
from sparkrelease.decide.grouping import fold, sort_answer
from sparkrelease.decide.native import Bucket, Histogram, histogram_of
from sparkrelease.decide.ranges import baseline_of_counts, sort_steps
from sparkrelease.decide.readings import Look, read
from sparkrelease.decide.series import Answer, RangeAnswer, Row, row_of
from sparkrelease.decide.templates import POD_LABELS, Template, template_of
from sparkrelease.decide.windows import MOST_EDGES, window_of, window_template

STABLE, CANARY = ("trading", "shop-stable"), ("trading", "shop-canary")
LABELS = {"namespace": "trading", "service": "shop-canary"}
LATENCY = {"name": "latency", "buckets": "request_seconds", "quantile": 0.95}
LOOK = Look.of(T0, timedelta(minutes=1))

FILLED = [Bucket(0, 0.125, 0.25, 60), Bucket(0, 0.25, 0.29730177875068026, 30), Bucket(0, 1, 2, 10)]


def template(*limits: float, **fields: object) -> Template:
    made = template_of(Metric.model_validate({**LATENCY, **fields}), RoleLabels(), limits, None)
    assert isinstance(made, Template)
    return made


def sample(buckets: Sequence[Bucket] = FILLED, total: float | None = None, part: str = "native", **more: str) -> Row:
    found = histogram_of(sum(b.events for b in buckets) if total is None else total, buckets)
    return row_of({**LABELS, "sr_part": part, **more}, found)


def number(part: str, value: float, **more: str) -> Row:
    return Row({**LABELS, "sr_part": part, **more}, value)


NEWEST = number("newestnative", T0.timestamp())


def reading(made: Template, *rows: Row, left_out: str = "") -> Reading:
    return read(sort_answer(Answer(rows, left_out=left_out), made.labels, made), CANARY, made, LOOK)


def reason(made: Template, *rows: Row, left_out: str = "") -> Reason:
    found = reading(made, *rows, left_out=left_out)
    assert isinstance(found, Missing), found
    return found.reason


def window(*rows: Row) -> Window:
    made = window_template(template(0.25), timedelta(seconds=15))
    return window_of(sort_answer(Answer(rows), made.labels, made), made, T0, STABLE, CANARY)


# ---------------------------------------------------------------- what a server says


def said(*result: object, kind: str = "vector", **more: object) -> HTTPAnswer:
    body = {"status": "success", "data": {"resultType": kind, "result": result}, **more}
    return HTTPAnswer(200, json.dumps(body).encode())


def compound(**more: object) -> dict[str, object]:
    """As Prometheus writes it: numbers are texts, and buckets without an event are not there."""
    buckets = [[3, "-0.001", "0.001", "1"], [0, "0.25", "0.5", "2"], [0, "1", "+Inf", "3"]]
    return {"count": "7", "sum": "9.5", "buckets": buckets, **more}


WANTED = [Bucket(3, -0.001, 0.001, 1), Bucket(0, 0.25, 0.5, 2), Bucket(0, 1, math.inf, 3)]


def test_a_compound_sample_is_read_with_all_its_buckets() -> None:
    found = read_answer(said({"metric": LABELS, "histogram": [1.0, compound()]}))
    assert isinstance(found, Answer)
    (row,) = found.rows
    assert row.labels == LABELS
    assert math.isnan(row.value), "who wants a number gets none"
    assert row.histogram == histogram_of(7, WANTED)


def test_labels_that_look_like_a_histogram_are_labels() -> None:
    labels = {"count": "7", "sum": "1", "buckets": "none"}
    found = read_answer(said({"metric": labels, "value": [1.0, "5"]}, {"metric": LABELS, "histogram": [1, labels]}))
    assert isinstance(found, Missing), "and a histogram is none whose buckets are a text"
    alone = read_answer(said({"metric": labels, "value": [1.0, "5"]}))
    assert isinstance(alone, Answer)
    assert alone.rows == [Row(labels, 5.0)]


def test_a_histogram_without_an_event_has_no_buckets() -> None:
    found = read_answer(said({"metric": {}, "histogram": [1.0, {"count": "0", "sum": "0"}]}))
    assert isinstance(found, Answer)
    assert found.rows[0].histogram == histogram_of(0, [])


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"sum": "1"},
        {"count": "many", "sum": "1"},
        {"count": None},
        compound(buckets=[[0, "0.25", "0.5"]]),
        compound(buckets=[[0, "0.25", "0.5", "2", "3"]]),
        compound(buckets=[["a", "0.25", "0.5", "2"]]),
        compound(buckets=[[0, "low", "0.5", "2"]]),
        compound(buckets=[[0, None, "0.5", "2"]]),
        compound(buckets=[7]),
        compound(buckets="none"),
        compound(buckets={"0": 1}),
        [],
        "text",
        None,
    ],
)
def test_what_is_no_histogram_is_no_answer(odd: object) -> None:
    for found in (
        read_answer(said({"metric": {}, "histogram": [1.0, odd]})),
        read_range(said({"metric": {}, "histograms": [[1.0, odd]]}, kind="matrix")),
    ):
        assert isinstance(found, Missing), odd
        assert found.reason is Reason.PROMETHEUS_ERROR


any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "1", "NaN", "+Inf", "x", "-2"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["count", "buckets"]), inner),
    max_leaves=12,
)


@given(any_json)
def test_whatever_stands_in_the_place_of_a_histogram_breaks_nothing(odd: object) -> None:
    for shape in (odd, compound(buckets=odd), compound(buckets=[odd]), compound(count=odd)):
        answer = read_answer(said({"metric": LABELS, "histogram": [1.0, shape]}))
        assert isinstance(answer, Missing) or isinstance(answer.rows[0].histogram, Histogram | Missing)
        series = read_range(said({"metric": LABELS, "histograms": [[1.0, shape]]}, kind="matrix"))
        assert isinstance(series, Missing) or len(series.series) == 1


def test_a_range_answers_histograms_beside_numbers() -> None:
    values, histograms = [[15, "4"]], [[30, compound()], [45, {"count": "0", "sum": "0"}]]
    found = read_range(said({"metric": LABELS, "values": values, "histograms": histograms}, kind="matrix"))
    assert isinstance(found, RangeAnswer)
    rows = dict(found.series[0].rows)
    assert rows[15] == Row(LABELS, 4.0)
    assert [rows[at].histogram for at in (30, 45)] == [histogram_of(7, WANTED), histogram_of(0, [])]


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer().serving() as running:
        yield running


@pytest.mark.parametrize(
    ("warning", "left_out"),
    [
        ("PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas", True),
        ("PromQL warning: incompatible bucket layout encountered for binary operator -", True),
        ("PromQL warning: encountered a mix of histograms and floats for aggregation", False),
        ("a store did not answer; vector contains a mix of histograms with exponential and custom buckets", False),
    ],
)
async def test_only_series_that_cannot_be_added_up_may_be_left_out_of_an_answer(
    server: MisbehavingServer, warning: str, left_out: bool
) -> None:
    source = PrometheusSource({"main": MetricsServer.model_validate({"url": server.url})})
    server.body = said({"metric": LABELS, "value": [1, "5"]}, warnings=[warning]).body
    found = await source.query("main", "up", T0)
    source.close()
    if left_out:
        assert isinstance(found, Answer)
        assert found.left_out.startswith(warning[:60])
    else:
        assert isinstance(found, Missing)
        assert found.reason is Reason.PARTIAL_ANSWER


# ---------------------------------------------------------------- readings


def test_a_reading_counts_at_the_limits_of_rules() -> None:
    found = reading(template(0.25, 0.2973, 0.5), sample(), number("total", 100), NEWEST)
    assert found == Buckets({0.25: 60, 0.2973: 90, 0.5: 90}, 100)


def test_a_limit_inside_a_filled_bucket_is_missing_and_told_with_its_nearest_edges() -> None:
    found = reading(template(0.2, 0.25), sample(), number("total", 100), NEWEST)
    assert isinstance(found, Missing)
    assert found.reason is Reason.BUCKET_EDGE
    assert "0.125 and 0.25" in found.message


def test_classic_buckets_are_counted_first() -> None:
    classic = [number("le", 7, le="0.25"), number("le", 9, le="+Inf"), number("newest", T0.timestamp())]
    assert reading(template(0.25), *classic, sample(), number("total", 100), NEWEST) == Buckets({0.25: 7}, 9)


def test_events_that_the_server_left_out_are_missed() -> None:
    made = template(0.25)
    assert reason(made, sample(), number("total", 101), NEWEST) is Reason.INCONSISTENT_COUNTS
    assert reason(made, number("total", 100), NEWEST) is Reason.INCONSISTENT_COUNTS
    assert reading(made, sample(), NEWEST) == Buckets({0.25: 60}, 100), "over hours there is no such number"


def test_who_cannot_tell_what_was_left_out_takes_no_answer_for_whole() -> None:
    counted, warning = template(0.25), "PromQL warning: vector contains a mix"
    assert reading(counted, sample(), number("total", 100), NEWEST, left_out=warning) == Buckets({0.25: 60}, 100)
    assert reason(counted, sample(), NEWEST, left_out=warning) is Reason.PARTIAL_ANSWER
    expression = template_of(Metric.model_validate({"name": "m", "value": "x{$sel}"}), RoleLabels(), (), None)
    assert isinstance(expression, Template)
    assert reading(expression, number("value", 5)) == Value(5)
    assert reason(expression, number("value", 5), left_out=warning) is Reason.PARTIAL_ANSWER


def test_stale_doubled_and_odd_histograms_are_missing() -> None:
    made, total = template(0.25), number("total", 100)
    assert reason(made, sample(), total, number("newestnative", T0.timestamp() - 90)) is Reason.STALE_DATA
    assert reason(made, sample(), sample(), total, NEWEST) is Reason.AMBIGUOUS_RESULT
    odd = sample([Bucket(0, 0.25, 0.5, -3)], 100)
    assert reason(made, odd, total, NEWEST) is Reason.INCONSISTENT_COUNTS
    assert reason(made, sample([Bucket(0, 0.25, 0.5, math.nan)], 100), total, NEWEST) is Reason.NOT_A_NUMBER


def test_an_expression_that_answers_a_histogram_is_refused() -> None:
    made = template_of(Metric.model_validate({"name": "m", "value": "x{$sel}"}), RoleLabels(), (), None)
    assert isinstance(made, Template)
    found = reading(made, sample(part="value"))
    assert found == Missing(Reason.INVALID_QUERY, "the query answers a native histogram, a number is wanted")


def test_a_histogram_without_an_event_is_a_reading_of_none() -> None:
    assert reading(template(0.2), sample([]), number("total", 0), NEWEST) == Buckets({0.2: 0}, 0)


def of_pod(name: str, *rows: Row) -> list[Row]:
    return [
        Row({"namespace": "trading", "pod": name, "sr_part": r.labels["sr_part"]}, r.value, r.histogram) for r in rows
    ]


def test_pods_of_a_service_are_counted_together_whatever_their_resolution() -> None:
    made = template(0.25, attribution=Attribution.POD)
    coarse = sample([Bucket(0, 0.25, 0.5, 4)])
    rows = [*of_pod("c-1", sample(), number("total", 100)), *of_pod("c-2", coarse, number("total", 4))]

    def together(made: Template) -> Reading:
        found = fold(sort_answer(Answer(rows), POD_LABELS, made), made, {CANARY: ("c-1", "c-2")})
        return read(found, CANARY, made, LOOK)

    assert together(made) == Buckets({0.25: 60}, 104)
    inside = together(template(0.2973, attribution=Attribution.POD))
    assert isinstance(inside, Missing), "a bound of one of them lies inside a bucket of the other"
    rows += of_pod("c-2", sample([Bucket(0, 1, 2, -1)], 3))
    assert isinstance(together(made), Missing)


# ---------------------------------------------------------------- windows


def test_a_window_has_the_coarse_bounds_with_their_counts() -> None:
    found = window(sample(), number("total", 100), NEWEST).canary
    assert isinstance(found, Buckets)
    assert found.total == 100
    assert found.at_or_below == {0.125: 0, 0.25: 60, 0.29730177875068026: 90, 1: 90, 2: 100}


def test_a_window_of_a_fine_histogram_keeps_few_bounds() -> None:
    ends = [2 ** (place / 256) for place in range(-2000, 2001, 5)]
    fine = [Bucket(0, low, high, 1) for low, high in zip(ends, [2 ** (1 / 256) * end for end in ends], strict=True)]
    found = window(sample(fine), number("total", len(fine)), NEWEST).canary
    assert isinstance(found, Buckets)
    assert 10 < len(found.at_or_below) <= MOST_EDGES
    assert all(count == sum(b.upper <= edge * (1 + 1e-9) for b in fine) for edge, count in found.at_or_below.items())


@pytest.mark.parametrize(
    "rows",
    [
        [sample([Bucket(0, 0.25, 0.5, -3)], 100), number("total", 100)],
        [sample(), number("total", 99)],
        [number("total", 99)],
        [sample(total=math.nan), number("total", 100)],
        [sample(total=-5), number("total", 100)],
        [sample(), number("total", 100), number("reset", 1)],
    ],
)
def test_a_window_whose_histogram_cannot_be_is_void(rows: list[Row]) -> None:
    found = window(*rows, NEWEST).canary
    assert isinstance(found, Missing)
    assert found.reason is Reason.WINDOW_VOID


def test_a_baseline_is_made_of_windows_with_other_bounds_each() -> None:
    made = window_template(template(0.25), timedelta(minutes=1))
    steps = [
        [Bucket(0, 0.125, 0.25, 50), Bucket(0, 0.25, 0.5, place), Bucket(0, place, 2 * place, 10)]
        for place in (1, 2, 4, 8, 16, 32)
    ]
    series = [
        {"metric": {**LABELS, "sr_part": "native"}, "histograms": [[60 * n, _json(b)] for n, b in enumerate(steps)]},
        {"metric": {**LABELS, "sr_part": "total"}, "values": [[60 * n, str(_total(b))] for n, b in enumerate(steps)]},
    ]
    found = read_range(said(*series, kind="matrix"))
    assert isinstance(found, RangeAnswer)
    windows = [window_of(answer, made, at, CANARY, CANARY) for at, answer in sort_steps(found, made)]
    baseline = baseline_of_counts([one.stable for one in windows], 0.87)
    assert baseline is not None
    assert baseline[2] == 60, "ten events above 0.5 in each"


def _total(buckets: Sequence[Bucket]) -> float:
    return sum(bucket.events for bucket in buckets)


def _json(buckets: Sequence[Bucket]) -> dict[str, object]:
    return {"count": str(_total(buckets)), "sum": "1", "buckets": [[b.rule, *map(str, b[1:])] for b in buckets]}
