"""From rows to readings: nothing missing ever becomes a number, and nothing raises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading, Value
from sparkrelease.decide.grouping import fold, sort_answer
from sparkrelease.decide.readings import Look, read, read_count, read_gate
from sparkrelease.decide.series import Answer, Row
from sparkrelease.decide.templates import POD_LABELS, Template, template_of

AT = datetime(2026, 1, 2, tzinfo=UTC)
NOW = AT.timestamp()
LABELS = RoleLabels()
PLACE = ("shop", "canary")
AGE = timedelta(seconds=60)
LOOK = Look.of(AT, AGE)


def template(**fields: object) -> Template:
    made = template_of(Metric.model_validate({"name": "m", **fields}), LABELS, (0.2, 1.0), None)
    assert isinstance(made, Template)
    return made


RATIO = template(bad="bad_total", total="all_total")
HISTOGRAM = template(buckets="d_bucket", quantile=0.95)
VALUE = template(value="x{$sel}")
KINDS = {"ratio": RATIO, "histogram": HISTOGRAM, "value": VALUE}


def row(part: str, value: float, **more: str) -> Row:
    return Row({"namespace": "shop", "service": "canary", "sr_part": part} | more, value)


def reading(template: Template, *rows: Row, look: Look = LOOK) -> Reading:
    return read(sort_answer(Answer(rows), LABELS), PLACE, template, look)


def reason(template: Template, *rows: Row, look: Look = LOOK) -> Reason:
    found = reading(template, *rows, look=look)
    assert isinstance(found, Missing), found
    return found.reason


def test_no_bad_series_beside_live_traffic_is_none_bad() -> None:
    assert reading(RATIO, row("total", 50), row("newest", NOW)) == Counts(0, 50)


def test_bad_events_without_a_total_are_missing_data() -> None:
    assert reason(RATIO, row("bad", 5)) is Reason.NO_DATA


def test_no_rows_are_missing_data() -> None:
    for template in KINDS.values():
        assert reason(template) is Reason.NO_DATA


def test_rows_of_others_are_nobody_else_s() -> None:
    other = Row({"namespace": "elsewhere", "service": "canary", "sr_part": "total"}, 5.0)
    assert reason(RATIO, other) is Reason.NO_DATA


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_missing(value: float) -> None:
    assert reason(RATIO, row("total", value)) is Reason.NOT_A_NUMBER
    assert reason(RATIO, row("total", 5), row("bad", value)) is Reason.NOT_A_NUMBER
    assert reason(HISTOGRAM, row("le", value, le="+Inf")) is Reason.NOT_A_NUMBER
    assert reason(VALUE, row("value", value)) is Reason.NOT_A_NUMBER


def test_an_infinite_value_breaks_a_limit_and_never_passes_one() -> None:
    above, below = Look.of(AT, AGE, above=True), Look.of(AT, AGE, below=True)
    assert reading(VALUE, row("value", math.inf), look=above) == Value(math.inf)
    assert reading(VALUE, row("value", -math.inf), look=below) == Value(-math.inf)
    assert reason(VALUE, row("value", math.inf), look=below) is Reason.NOT_A_NUMBER
    assert reason(VALUE, row("value", -math.inf), look=above) is Reason.NOT_A_NUMBER
    assert reason(VALUE, row("value", math.nan), look=above) is Reason.NOT_A_NUMBER


def test_a_sample_older_than_allowed_is_missing_data() -> None:
    assert reason(RATIO, row("total", 5), row("newest", NOW - 61)) is Reason.STALE_DATA
    assert reading(RATIO, row("total", 5), row("newest", NOW - 60)) == Counts(0, 5)
    assert reason(VALUE, row("value", 5), row("newest0", NOW), row("newest1", NOW - 99)) is Reason.STALE_DATA


def test_a_server_that_answers_nan_for_everything_is_not_called_stale() -> None:
    assert reason(VALUE, row("value", 5), row("newest0", math.nan)) is Reason.NOT_A_NUMBER
    nothing = (row("bad", math.nan), row("total", math.nan), row("newest", math.nan))
    assert reason(RATIO, *nothing) is Reason.NOT_A_NUMBER


def test_several_series_are_never_first_wins() -> None:
    assert reason(RATIO, row("total", 5), row("total", 5)) is Reason.AMBIGUOUS_RESULT
    assert reason(VALUE, row("value", 5, pod="a"), row("value", 6, pod="b")) is Reason.AMBIGUOUS_RESULT


def test_a_value_that_names_no_service_is_a_fault_of_the_query() -> None:
    assert reason(VALUE, Row({"sr_part": "value"}, 5.0)) is Reason.INVALID_QUERY


@pytest.mark.parametrize("by", ["$by", "$by, pod"])
def test_a_series_of_a_pod_is_read_whether_or_not_its_expression_names_the_pod_again(by: str) -> None:
    made = template(value=f"max by ({by}) (rss_bytes{{$sel}})", attribution="pod")
    rows = [Row({"namespace": "shop", "pod": pod, "sr_part": "value"}, size) for pod, size in (("c-1", 7), ("c-2", 9))]
    found = fold(sort_answer(Answer(rows), POD_LABELS, made), made, {PLACE: ("c-1", "c-2")})
    assert read(found, PLACE, made, LOOK) == Value(9)


def test_a_pod_that_was_not_seen_lately_is_not_hidden_by_one_that_was() -> None:
    made = template(value="max by ($by) (rss_bytes{$sel})", attribution="pod")
    seen = {"c-1": LOOK.at.timestamp(), "c-2": LOOK.oldest - 1}
    rows = [Row({"namespace": "shop", "pod": pod, "sr_part": "value"}, 7.0) for pod in seen]
    rows += [Row({"namespace": "shop", "pod": pod, "sr_part": "newest0"}, at) for pod, at in seen.items()]
    found = fold(sort_answer(Answer(rows), POD_LABELS, made), made, {PLACE: tuple(seen)})
    missing = read(found, PLACE, made, LOOK)
    assert isinstance(missing, Missing)
    assert missing.reason is Reason.STALE_DATA


def test_negative_counts_are_not_believed() -> None:
    assert reason(RATIO, row("total", 5), row("bad", -1)) is Reason.INCONSISTENT_COUNTS
    assert reason(HISTOGRAM, row("le", -1, le="+Inf")) is Reason.INCONSISTENT_COUNTS


def test_edges_are_read_in_any_spelling_and_pods_that_spell_differently_are_added() -> None:
    rows = [row("le", 3, le="1"), row("le", 4, le="1.0"), row("le", 10, le="+Inf"), row("le", 2, le="0.2")]
    assert reading(HISTOGRAM, *rows) == Buckets({0.2: 2, 1.0: 7}, 10)


def test_a_histogram_without_its_last_bucket_is_missing_data() -> None:
    assert reason(HISTOGRAM, row("le", 3, le="1")) is Reason.NO_DATA


def test_more_events_in_a_bucket_than_events_are_not_believed() -> None:
    """After a reset the small counter shows it and the large one may not: it would read as a share above one."""
    assert reason(HISTOGRAM, row("le", 30, le="1"), row("le", 10, le="+Inf")) is Reason.INCONSISTENT_COUNTS


def test_an_edge_that_is_no_number_is_ambiguous() -> None:
    assert reason(HISTOGRAM, row("le", 30, le="many"), row("le", 30, le="+Inf")) is Reason.AMBIGUOUS_RESULT


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max": 10}, Value(8)),
        ({"min": 1}, Value(2)),
        ({"max": 10, "min": 1}, Value(8)),
        ({"max": 10, "min": 3}, Value(2)),
        ({"max": 5, "min": 1}, Value(8)),
        ({"maxVsBaseline": 2}, Value(8)),
        ({"maxVsBaseline": 2, "min": 1}, Value(8)),
        ({"maxVsBaseline": 2, "min": 3}, Value(2)),
    ],
)
def test_a_gate_reads_the_extreme_that_decides(limits: dict[str, float], expected: Reading) -> None:
    threshold = Threshold.model_validate({"name": "t", "metric": "m", **limits})
    found = sort_answer(Answer([row("high", 8), row("low", 2)]), LABELS)
    assert read_gate(found, PLACE, VALUE, LOOK, threshold) == expected


def test_a_silent_side_has_had_no_request_and_an_odd_one_is_not_counted() -> None:
    found = sort_answer(Answer([row("total", 5), row("newest", NOW)]), LABELS)
    assert read_count(found, PLACE, LOOK) == 5
    assert read_count(found, ("shop", "stable"), LOOK) == 0
    odd = sort_answer(Answer([row("total", math.nan), row("newest", NOW)]), LABELS)
    assert read_count(odd, PLACE, LOOK) is None
    stale = sort_answer(Answer([row("total", 5), row("newest", NOW - 600)]), LABELS)
    assert read_count(stale, PLACE, LOOK) is None


# ---------------------------------------------------------------- any rows at all

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, 5.0, NOW, NOW - 1000])
texts = st.sampled_from(
    ["", "shop", "canary", "stable", "bad", "total", "value", "newest", "newest0", "le", "1", "1.0", "+Inf", "x"]
)
rows = st.lists(
    st.builds(
        Row,
        st.dictionaries(st.sampled_from(["namespace", "service", "sr_part", "le", "pod"]), texts, max_size=5)
        | st.fixed_dictionaries(
            {
                "namespace": st.just("shop"),
                "service": st.just("canary"),
                "sr_part": st.sampled_from(["bad", "total", "newest", "le", "value"]),
                "le": st.sampled_from(["0.2", "1", "1.0", "+Inf"]),
            }
        ),
        numbers,
    ),
    max_size=8,
)


@given(rows, st.sampled_from(sorted(KINDS)))
def test_any_rows_make_a_reading_of_finite_numbers_or_a_reason(found: list[Row], kind: str) -> None:
    result = reading(KINDS[kind], *found)
    match result:
        case Counts(bad, total):
            assert 0 <= bad < math.inf
            assert 0 <= total < math.inf
        case Buckets(counts, total):
            assert all(0 <= count <= total * 1.001 for count in counts.values())
        case Value(value):
            assert math.isfinite(value)
        case Missing(why, message):
            assert isinstance(why, Reason)
            assert message


@given(rows.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))), st.sampled_from(sorted(KINDS)))
def test_the_order_of_rows_does_not_matter(both: tuple[Sequence[Row], Sequence[Row]], kind: str) -> None:
    one, other = (reading(KINDS[kind], *some) for some in both)
    if isinstance(one, Missing) and isinstance(other, Missing):
        assert one.reason is other.reason
    else:
        assert one == other
