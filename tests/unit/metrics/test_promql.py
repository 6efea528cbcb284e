"""PromQL is built in one place, and nothing gets out of the place it is put into."""

from __future__ import annotations

from datetime import timedelta

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.escapes import ESCAPES
from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.promql import counter_query, gate_query, presence_query, whole_query, window_query
from sparkrelease.decide.selectors import Selector, quoted, read_expression, read_selector
from sparkrelease.decide.templates import EVERYTHING, Scope, Template, scope_of, seconds, template_of
from sparkrelease.decide.windows import exact_query

LABELS = RoleLabels()
ISTIO = RoleLabels(namespace="destination_service_namespace", service="destination_service_name")
MINUTE = timedelta(minutes=1)


def metric(**fields: object) -> Metric:
    return Metric.model_validate({"name": "m", **fields})


def template(
    *, labels: RoleLabels = LABELS, edges: tuple[float, ...] = (), own: str | None = None, **fields: object
) -> Template:
    made = template_of(metric(**fields), labels, edges, own)
    assert isinstance(made, Template), made
    return made


def fault(*, own: str | None = None, **fields: object) -> str:
    made = template_of(metric(**fields), LABELS, (), own)
    assert isinstance(made, Problem), made
    assert made.reason is Reason.INVALID_QUERY
    return made.message


RATIO = {"bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"}


def test_counters_are_differences_that_count_a_series_from_its_first_sample_on() -> None:
    text = window_query(template(**RATIO), EVERYTHING)
    bad = 'http_requests_total{code=~"5..",namespace!="",service!=""}'
    assert f"sum by (namespace, service) (({bad} - {bad} offset 60s >= 0) or {bad})" in text
    assert "increase(" not in text
    assert "rate(" not in text


def test_all_parts_of_a_metric_are_one_query() -> None:
    text = window_query(template(**RATIO), EVERYTHING)
    for part in ("bad", "total", "newest"):
        assert f'"sr_part", "{part}", "", "")' in text
    assert promql_parser.parse(text)


def test_a_query_names_releases_only_while_they_are_few() -> None:
    few = scope_of(["a"], ["x", "y"])
    assert 'namespace="a",service=~"x|y"' in window_query(template(**RATIO), few)
    many = scope_of((f"n{i}" for i in range(1000)), (f"s{i}" for i in range(1000)))
    assert many == EVERYTHING


def test_only_the_edges_in_use_are_asked_for_in_every_spelling() -> None:
    text = window_query(template(edges=(0.2, 1.0), buckets="d_bucket", quantile=0.9), EVERYTHING)
    for spelling in ("0\\\\.2", "|1|", "1\\\\.0", "\\\\+Inf"):
        assert spelling in text
    assert "sum by (namespace, service, le)" in text
    assert promql_parser.parse(text)


@pytest.mark.parametrize(
    ("edge", "spellings"),
    [
        (1e6, {"1e+06", "1000000", "1000000.0"}),
        (1.5e6, {"1.5e+06", "1500000", "1500000.0"}),
        (1e-5, {"1e-05"}),
        (0.25, {"0.25"}),
        (2.5, {"2.5"}),
        (60.0, {"60", "60.0"}),
        (0.1234567, {"0.1234567"}),
    ],
)
def test_an_edge_is_found_however_a_client_library_writes_it(edge: float, spellings: set[str]) -> None:
    made = template(edges=(edge,), buckets="d_bucket", quantile=0.9)
    parsed = read_selector(window_query(made, EVERYTHING).split("((")[1].split(" - ")[0])
    assert isinstance(parsed, Selector)
    (regex,) = [value for label, op, value in parsed.matchers if label == "le" and op == "=~"]
    assert spellings <= {text.replace("\\", "") for text in regex.split("|")}


def test_an_expression_gets_matchers_labels_and_window() -> None:
    made = template(labels=ISTIO, value="sum by ($by) (rate(x_total{$sel}[$win]))", window="90s")
    sel = 'destination_service_namespace="n",destination_service_name="s"'
    by = "destination_service_namespace, destination_service_name"
    assert f"sum by ({by}) (rate(x_total{{{sel}}}[90s]))" in window_query(made, Scope(("n",), ("s",)))


def test_staleness_of_an_expression_is_asked_with_it() -> None:
    text = window_query(template(value="max by ($by) (a{$sel}) / max by ($by) (b{$sel})"), EVERYTHING)
    assert 'timestamp(a{namespace!="",service!=""})' in text
    assert 'timestamp(b{namespace!="",service!=""})' in text


def test_a_gate_takes_the_extreme_of_an_expression_over_the_stage_that_its_threshold_needs() -> None:
    made = template(value="max by ($by) (a{$sel})")
    over = timedelta(minutes=15)
    highest = gate_query(made, EVERYTHING, over, highest=True, lowest=False)
    assert "max_over_time((max by (namespace, service) (a" in highest
    assert ")[900s:15s])" in highest
    assert "min_over_time" not in highest
    assert "min_over_time" in gate_query(made, EVERYTHING, over, highest=False, lowest=True)


@pytest.mark.parametrize(("minutes", "judged"), [(15, "600s"), (11, "360s"), (10, "300s"), (9, "540s")])
def test_a_gate_leaves_out_what_an_expression_that_looks_back_says_of_the_time_before_the_stage(
    minutes: int, judged: str
) -> None:
    made = template(value="sum by ($by) (rate(x_total{$sel}[$win]))", window="5m")
    asked = gate_query(made, EVERYTHING, timedelta(minutes=minutes), highest=False, lowest=True)
    assert f")[{judged}:" in asked


def test_a_gate_takes_the_difference_of_counters_over_the_stage() -> None:
    assert "offset 900s" in gate_query(template(**RATIO), EVERYTHING, timedelta(minutes=15), highest=True, lowest=False)


@pytest.mark.parametrize(
    "text",
    [
        '"} or vector(0)',
        'x{a="b"} or vector(0)',
        "x) or vector(0) or (x",
        "x # comment",
        "sum(x)",
        "x[5m]",
        "x offset 1h",
        "x @ 1",
        'x{a="b" or c="d"}',
        "1",
        "",
        "-x",
        "(x)",
        "x, y",
        'x{a="b"',
    ],
)
def test_what_is_no_plain_selector_is_refused_or_harmless(text: str) -> None:
    selector = read_selector(text)
    assert isinstance(selector, str) or selector == Selector("x", ()), selector


@pytest.mark.parametrize(
    "text", ["1) or vector(0", "x) or (y", 'x), "a", "b", "", "") or label_replace((y', "sum(", "x{"]
)
def test_an_expression_cannot_get_out_of_its_place(text: str) -> None:
    assert "value:" in fault(value=text)


def test_a_comment_in_an_expression_hides_nothing_behind_it() -> None:
    text = window_query(template(value="max by ($by) (a{$sel}) # the newest"), EVERYTHING)
    parsed = promql_parser.parse(text)
    assert "newest0" in str(parsed)


@pytest.mark.parametrize("text", ESCAPES)
def test_every_selector_of_a_release_s_own_expression_is_kept_to_its_namespace(text: str) -> None:
    made = template(own="mine", value=text)
    for query in (window_query(made, EVERYTHING), gate_query(made, EVERYTHING, MINUTE, highest=True, lowest=True)):
        selectors = read_expression(query)
        assert not isinstance(selectors, str), selectors
        assert selectors
        assert all(("namespace", "=", "mine") in selector.matchers for selector in selectors), query


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('secret_total{namespace="other"}', "reads series of other namespaces"),
        ('x{$sel} or secret_total{namespace="other"}', "reads series of other namespaces"),
        ('{__name__="secret_total", namespace="other"}', "reads series of other namespaces"),
        ('secret_total{namespace="mine" or namespace="other"}', "'or' between matchers"),
        ("info(x{$sel})", "reads series of other namespaces"),
    ],
)
def test_what_names_another_namespace_or_cannot_be_kept_is_refused(text: str, why: str) -> None:
    assert why in fault(own="mine", value=text)


@given(st.text(alphabet='a{}()[]"\\`#=~,!+-*/ @:5m\nor', max_size=30))
def test_whatever_is_written_into_an_expression_is_refused_or_kept(noise: str) -> None:
    made = template_of(metric(value=f"sum(x{{$sel}}) + {noise}a"), LABELS, (), "mine")
    if isinstance(made, Template):
        selectors = read_expression(window_query(made, EVERYTHING))
        assert not isinstance(selectors, str), selectors
        assert all(("namespace", "=", "mine") in selector.matchers for selector in selectors)


def test_a_release_s_own_expression_is_asked_for_its_namespace() -> None:
    made = template(own="mine", value="max by ($by) (x{$sel})")
    assert made.namespace == "mine"
    assert 'x{service=~"a|b",namespace="mine"}' in window_query(made, Scope(("mine",), ("a", "b")))


def test_a_policy_s_expression_may_read_what_belongs_to_no_service() -> None:
    assert isinstance(
        template_of(metric(value="node_load1 * on () group_right () x{$sel}"), LABELS, (), None), Template
    )


def test_preflight_asks_for_the_labels_bad_events_are_told_by() -> None:
    text = presence_query(template(**RATIO), Scope(("n",), ("a", "b")))
    assert 'http_requests_total{code!="",namespace="n",service=~"a|b"}' in text
    assert promql_parser.parse(text)


def test_the_share_is_counted_like_everything_else() -> None:
    selector = read_selector('envoy_cluster_upstream_rq_total{port="8080"}')
    assert isinstance(selector, Selector)
    assert promql_parser.parse(counter_query(selector, LABELS, EVERYTHING, MINUTE))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
def test_any_text_is_one_label_value(value: str) -> None:
    """The parser gives back what went in, unless it knows fewer escapes than the server does."""
    text = f"x{{a={quoted(value)}}}"
    assert "\n" not in text
    body = text[len('x{a="') : -len('"}')]
    rest = body.replace("\\\\", "").replace('\\"', "")
    assert '"' not in rest, "no quote gets out of the value"
    assert not rest.endswith("\\")


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True), st.from_regex(r"[a-z]{1,8}", fullmatch=True))
def test_any_service_makes_a_query_the_parser_reads(service: str, namespace: str) -> None:
    scope = Scope((namespace,), (service, "other"))
    parsed = promql_parser.parse(window_query(template(**RATIO), scope))
    assert parsed is not None


@given(st.text(max_size=60))
def test_reading_a_selector_never_raises(text: str) -> None:
    assert isinstance(read_selector(text), Selector | str)


@pytest.mark.parametrize(
    ("span", "text"), [(MINUTE, "60s"), (timedelta(milliseconds=1500), "1500ms"), (timedelta(0), "1ms")]
)
def test_spans_are_written_exactly(span: timedelta, text: str) -> None:
    assert seconds(span) == text


# ---------------------------------------------------------------- native histograms


@pytest.mark.parametrize("name", ["d_bucket", "job:d_bucket:sum", '{__name__="d_bucket"}', '{__name__=~"d|e"}'])
def test_classic_buckets_are_asked_as_they_always_were(name: str) -> None:
    made = template(buckets=name, quantile=0.95, edges=(0.2,))
    assert made.native is None
    asked = (window_query(made, EVERYTHING), presence_query(made, EVERYTHING), exact_query(made, EVERYTHING))
    assert not any("histogram_count" in text or "native" in text for text in asked)


@pytest.mark.parametrize("name", ["d", 'd{code="200"}', '{__name__="http.server.duration"}', "leaky_buckets"])
def test_any_other_name_is_asked_as_a_native_histogram_too(name: str) -> None:
    made = template(buckets=name, quantile=0.95, edges=(0.2,))
    assert made.native is not None
    series = made.native.text(*made.within(EVERYTHING))
    assert 'le="",quantile=""' in series, "no bucket and no quantile is a native histogram"
    asked = [
        window_query(made, EVERYTHING),
        presence_query(made, EVERYTHING),
        exact_query(made, EVERYTHING),
        whole_query(made, EVERYTHING, MINUTE),
    ]
    for text in asked:
        promql_parser.parse(text)
        assert '"sr_part", "native"' in text and '"sr_part", "le"' in text
        assert series in text
    assert f"histogram_count({series})" in asked[0], "a histogram that was reset is told by its events"


def test_a_native_histogram_is_counted_from_its_first_sample_on_and_after_a_reset() -> None:
    made = template(buckets="d", quantile=0.95, edges=(0.2,))
    assert made.native is not None
    series = made.native.text(*made.within(EVERYTHING))
    grew = f"histogram_count({series}) - histogram_count({series} offset 60s) >= 0"
    whole = (
        f"(({series} - {series} offset 60s) and ({grew})) or (({series} and histogram_count({series})) unless ({grew}))"
    )
    assert f"sum by (namespace, service) ({whole})" in window_query(made, EVERYTHING)
