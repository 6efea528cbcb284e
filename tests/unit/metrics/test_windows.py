"""Each window is counted for every release that wants it: once, in order, and never twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.metric_source import LATENCY, RATIO, T0, UNREACHABLE, FakeSource, after, config, healthy, key, rows, spec
from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Window
from sparkrelease.decide.grouping import Group, Sorted, fold, sort_answer
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.series import Answer, Row
from sparkrelease.decide.templates import EVERYTHING, Template, template_of
from sparkrelease.decide.windows import MOST_EDGES, exact_query, last_end, window_of, window_template
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.windows import MOST_BACK
from sparkrelease.ports.cluster import ObjectKey

EVERY = timedelta(seconds=15)
STABLE, CANARY = ("trading", "shop-stable"), ("trading", "shop-canary")


def compared(name: str = "shop", **fields: object) -> ResolvedSpec:
    tests = [{"metric": "http"}, {"metric": "latency"}]
    return spec(name, comparison={"alpha": 0.01, "tests": tests}, **fields)


def measuring(source: FakeSource, **fields: object) -> Measurements:
    return Measurements(source, config(**fields))


def asked_windows(source: FakeSource) -> list[datetime]:
    """Ends of the windows of http that were asked for."""
    return [at for _, promql, at in source.queries if "resets(http_requests_total" in promql]


async def until(measured: Measurements, first: float, last: float, step: float = 5) -> None:
    moment = first
    while moment <= last:
        await measured.tick(after(moment))
        moment += step


def ends(windows: Sequence[Window]) -> list[float]:
    return [(window.end - T0).total_seconds() for window in windows]


async def test_windows_are_told_in_order_each_once() -> None:
    measured = measuring(FakeSource())
    measured.follow(key(), compared())
    since = after(2)
    told: list[Window] = []
    for second in range(0, 70, 5):
        await measured.tick(after(second))
        new = measured.windows(key(), {"http": since})["http"]
        told += new
        since = new[-1].end if new else since
    assert ends(told) == [15, 30, 45, 60]
    assert {window.canary for window in told} == {Counts(1, 100)}
    assert {window.length for window in told} == {EVERY}


@pytest.mark.parametrize(("every", "tick"), [(1, 1), (1, 5), (2, 10), (15, 5), (15, 60), (15, 90), (15, 300)])
async def test_windows_do_not_fall_behind_however_many_end_between_two_ticks(every: int, tick: int) -> None:
    metric = dict(RATIO, every=f"{every}s")
    comparison = {"tests": [{"metric": "http"}]}
    measured = measuring(FakeSource(), tick=f"{tick}s")
    measured.follow(key(), spec(metrics=[metric], thresholds=[], triggers=[], comparison=comparison))
    since, told = T0, 0
    for second in range(0, 1801, tick):
        await measured.tick(after(second))
        new = measured.windows(key(), {"http": since})["http"]
        told, since = told + len(new), new[-1].end if new else since
    behind = (after(second) - since).total_seconds()
    assert behind < 2 * every + 1, "the lag, and the window that has not ended"
    assert told == (since - T0).total_seconds() // every, "and none is left out"


async def test_what_is_not_counted_yet_is_told_again() -> None:
    measured = measuring(FakeSource())
    measured.follow(key(), compared())
    measured.windows(key(), {"latency": T0})
    await until(measured, 0, 40)
    assert ends(measured.windows(key(), {"latency": T0})["latency"]) == [15, 30]
    again = measured.windows(key(), {"latency": after(15)})["latency"]
    assert ends(again) == [30]
    assert isinstance(again[0].stable, Buckets)


async def test_a_window_is_asked_for_at_its_end_and_not_before_its_samples_are_stored() -> None:
    source = FakeSource()
    measured = measuring(source, servers={"default": {"url": "http://prometheus:9090", "lag": "4s"}})
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0})
    await until(measured, 0, 18, step=1)
    assert asked_windows(source) == []
    await measured.tick(after(19))
    assert asked_windows(source) == [after(15)]


@pytest.mark.slow
async def test_a_thousand_releases_share_the_windows_of_a_metric() -> None:
    source = FakeSource(lambda _, promql, at: healthy(promql, at, "r7"))
    measured = measuring(source, tick="5s")
    for number in range(1000):
        measured.follow(key(f"r{number}"), compared(f"r{number}"))
        measured.windows(key(f"r{number}"), {"http": T0, "latency": T0})
    await until(measured, 0, 60)
    assert asked_windows(source) == [after(15), after(30), after(45)]
    assert ends(measured.windows(key("r7"), {"http": T0})["http"]) == [15, 30, 45]


async def test_an_operator_that_was_away_asks_for_what_it_missed_the_oldest_first() -> None:
    source = FakeSource()
    measured = measuring(source)
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0})
    await measured.tick(after(15 * 10 + 2))
    assert len(asked_windows(source)) == 4, "not all at once"
    await until(measured, 15 * 10 + 3, 15 * 10 + 6, step=1)
    assert ends(measured.windows(key(), {"http": T0})["http"]) == [15.0 * place for place in range(1, 11)]
    assert len(asked_windows(source)) == len(set(asked_windows(source))) == 10, "each of them once"


async def test_what_is_too_long_ago_is_void_time() -> None:
    source = FakeSource()
    measured = measuring(source)
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0 - timedelta(days=1)})
    await measured.tick(after(2))
    assert min(asked_windows(source)) == T0 - MOST_BACK * EVERY


async def test_a_server_that_does_not_answer_is_asked_for_the_same_window_again() -> None:
    source = FakeSource(lambda *_: UNREACHABLE)
    measured = measuring(source)
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0})
    await until(measured, 0, 50)
    assert measured.windows(key(), {"http": T0})["http"] == ()
    asked = len(asked_windows(source))
    assert asked <= 8, "once a tick, however many windows are missing"
    source.reply = lambda _, promql, at: healthy(promql, at)
    await until(measured, 51, 55, step=1)
    assert ends(measured.windows(key(), {"http": T0})["http"]) == [15, 30, 45]


async def test_a_query_that_is_refused_voids_its_windows() -> None:
    refusal = Missing(Reason.INVALID_QUERY, "bad_data: no")
    source = FakeSource(lambda _, promql, at: refusal if "resets(" in promql else healthy(promql, at))
    measured = measuring(source)
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0})
    await until(measured, 0, 20)
    (window,) = measured.windows(key(), {"http": T0})["http"]
    assert window.canary == window.stable == Missing(Reason.WINDOW_VOID, "bad_data: no")


@pytest.mark.slow
async def test_a_release_that_joined_reads_no_window_that_was_not_asked_for_it() -> None:
    source = FakeSource(lambda _, promql, at: healthy(promql, at, "a", "b"))
    measured = measuring(source)
    measured.follow(key("a"), compared("a"))
    measured.windows(key("a"), {"http": T0})
    source.held["resets(http"] = asyncio.Event()
    await measured.tick(after(17))
    measured.follow(key("b"), compared("b"))
    measured.windows(key("b"), {"http": T0})
    source.held["resets(http"].set()
    await until(measured, 18, 20, step=1)
    assert asked_windows(source) == [after(15), after(15)]
    for name in ("a", "b"):
        assert ends(measured.windows(key(name), {"http": T0})["http"]) == [15]


async def test_a_status_that_went_back_is_told_again_what_it_does_not_know() -> None:
    """A write was lost, and what the API server kept is older: those windows are asked for again."""
    measured = measuring(FakeSource())
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0})
    await until(measured, 0, 50)
    assert ends(measured.windows(key(), {"http": after(30)})["http"]) == [45]
    assert measured.windows(key(), {"http": after(15)})["http"] == ()
    await until(measured, 51, 54, step=1)
    assert ends(measured.windows(key(), {"http": after(15)})["http"]) == [30, 45]


async def test_nobody_s_windows_are_not_asked_for() -> None:
    source = FakeSource()
    measured = measuring(source)
    measured.follow(key(), compared())
    measured.windows(key(), {"http": T0})
    measured.drop(key())
    await until(measured, 0, 40)
    assert asked_windows(source) == []
    assert measured.windows(ObjectKey("x", "y"), {"http": T0}) == {}


def scraped_apart(promql: str, at: datetime) -> Answer:
    """As a server answers that scraped canary five seconds before stable."""
    found = list(healthy(promql, at).rows)
    if '"first"' in promql:
        for part in ("first", "last"):
            found.append(Row({"namespace": "trading", "service": "shop-canary", "sr_part": part}, at.timestamp() - 5))
    return Answer(found)


async def test_the_window_before_comes_along_where_roles_are_scraped_apart() -> None:
    """A window of such roles is looked at beside the last one counted, which is asked for anew at first."""
    source = FakeSource(lambda _, promql, at: scraped_apart(promql, at))
    measured = measuring(source)
    measured.follow(key(), compared())
    measured.windows(key(), {"http": after(30)})
    await until(measured, 40, 80)
    assert asked_windows(source) == [after(45), after(30), after(60), after(75)]
    told = measured.windows(key(), {"http": after(30)})["http"]
    assert ends(told) == [30, 45, 60, 75]
    assert all(window.apart for window in told)
    assert measured.windows(key(), {"http": after(30)})["http"] is told
    assert ends(measured.windows(key(), {"http": after(60)})["http"]) == [60, 75]
    assert measured.windows(key(), {"http": after(75)})["http"] == ()


# ---------------------------------------------------------------- reading one


def template(metric: Mapping[str, object]) -> Template:
    made = template_of(Metric.model_validate(dict(metric)), RoleLabels(), (), None)
    assert isinstance(made, Template)
    return window_template(made, EVERY)


def window(metric: Mapping[str, object], *answer: Row) -> Window:
    made = template(metric)
    return window_of(sort_answer(Answer(answer), made.labels, made), made, T0, STABLE, CANARY)


def canary(parts: dict[str, float]) -> list[Row]:
    return rows(*CANARY, T0, parts)


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("reset", "a counter was reset"),
        ("vanished", "vanished"),
        ("returned", "came back"),
        ("unplaced", "appeared before"),
        ("unscraped", "was not scraped in the window"),
        ("stale", "was not scraped in the window before"),
        ("down", "could not be scraped"),
    ],
)
@pytest.mark.parametrize("counts", [{"bad": 1, "total": 5}, {"le:+Inf": 5, "le:1": 4}])
def test_each_flag_voids_its_side_and_says_why(part: str, why: str, counts: dict[str, float]) -> None:
    metric: Mapping[str, object] = RATIO if "bad" in counts else LATENCY
    found = window(metric, *canary({**counts, part: 1})).canary
    assert isinstance(found, Missing)
    assert found.reason is Reason.WINDOW_VOID
    assert why in found.message
    assert f'"{part}"' in exact_query(template(metric), EVERYTHING)


@pytest.mark.parametrize(
    ("stable", "canary_", "apart"),
    [
        ((), (), False),
        ((-5, -5), (-5, -5), False),
        ((-5, None), (-5, None), False),
        ((-5, -5), (-5.05, -5.05), False),
        ((), (-5, -5), True),
        ((-5, -5), (), True),
        ((-5, -5), (-6, -6), True),
        ((-5, None), (-5, -5), True),
        ((-5, -2), (-9, -2), True),
    ],
)
@pytest.mark.parametrize("counts", [{"bad": 1, "total": 5}, {"le:+Inf": 5, "le:1": 4}])
def test_roles_are_scraped_apart_where_their_samples_are_not_of_the_same_moments(
    stable: Sequence[float | None], canary_: Sequence[float | None], apart: bool, counts: dict[str, float]
) -> None:
    """Seconds from the newest sample of all to the first and the last of each; none where they were taken then."""

    def side(place: tuple[str, str], moments: Sequence[float | None]) -> list[Row]:
        taken = zip(("first", "last"), moments, strict=False)
        return rows(*place, T0, {**counts, **{part: T0.timestamp() + x for part, x in taken if x is not None}})

    found = window(RATIO if "bad" in counts else LATENCY, *side(STABLE, stable), *side(CANARY, canary_))
    assert found.apart is apart


def test_pods_are_scraped_from_the_first_to_the_last_of_them() -> None:
    made = template({**RATIO, "attribution": "pod"})
    places = {("trading", name): (first, last) for name, first, last in (("a", 1.0, 1.0), ("b", 4.0, 4.0))}
    groups = {place: Group(parts={"total": 5}, first=first, last=last) for place, (first, last) in places.items()}
    groups["trading", "c"] = Group(parts={"total": 5})
    folded = fold(Sorted(groups), made, {STABLE: ["a", "b"], CANARY: ["b", "c"]}).groups
    assert (folded[STABLE].first, folded[STABLE].last) == (1.0, 4.0)
    assert (folded[CANARY].first, folded[CANARY].last) == (4.0, float("inf"))


@pytest.mark.parametrize(
    ("metric", "parts"),
    [
        (RATIO, {"bad": 6, "total": 5}),
        (RATIO, {"bad": -1, "total": 5}),
        (RATIO, {"total": float("nan")}),
        (RATIO, {"total": float("inf")}),
        (RATIO, {"bad": 1}),
        (LATENCY, {"le:1": 4}),
        (LATENCY, {"le:1": 4, "le:2": 3, "le:+Inf": 5}),
        (LATENCY, {"le:1": 6, "le:+Inf": 5}),
        (LATENCY, {"le:x": 1, "le:+Inf": 5}),
    ],
)
def test_counts_that_cannot_be_are_void(metric: Mapping[str, object], parts: dict[str, float]) -> None:
    found = window(metric, *canary(parts))
    assert isinstance(found.canary, Missing)
    assert found.canary.reason is Reason.WINDOW_VOID
    assert found.stable == Missing(Reason.WINDOW_VOID, "no series of Service shop-stable")


def test_a_histogram_of_many_edges_is_thinned_evenly() -> None:
    parts = {f"le:{edge}": float(edge) for edge in range(1, 201)} | {"le:+Inf": 200.0}
    found = window(LATENCY, *canary(parts)).canary
    assert isinstance(found, Buckets)
    assert len(found.at_or_below) <= MOST_EDGES
    assert all(found.at_or_below[edge] == edge for edge in found.at_or_below)
    assert found.total == 200


def test_bad_series_that_are_no_part_of_all_are_watched_too() -> None:
    apart = exact_query(template({"name": "m", "bad": "conflicts_total", "total": "requests_total"}), EVERYTHING)
    together = exact_query(template(RATIO), EVERYTHING)
    assert "resets(conflicts_total" in apart
    assert "resets(requests_total" in apart
    assert 'resets(http_requests_total{code=~"5.."' not in together
    for text in (apart, together):
        assert promql_parser.parse(text) is not None


def test_bad_series_that_all_does_not_hold_are_watched_though_they_bear_its_name() -> None:
    named = {"name": "m", "bad": 'requests_total{code=~"5.."}', "total": 'requests_total{job="front"}'}
    beside = exact_query(template(named), EVERYTHING)
    assert 'resets(requests_total{code=~"5.."' in beside and 'resets(requests_total{job="front"' in beside
    within = exact_query(template({**named, "bad": 'requests_total{code=~"5..",job="front"}'}), EVERYTHING)
    assert 'resets(requests_total{code=~"5.."' not in within


def test_a_scrape_may_be_late_by_a_tenth_of_the_window() -> None:
    """Scrapes a window apart fall on either side of its end; one that is missing leaves a sample a window older."""
    text = exact_query(template(RATIO), EVERYTHING)
    assert "<= time() - 16.500" in text, "nothing in the window"
    assert "<= time() - 31.500" in text, "nothing in the window before"


def test_a_series_is_known_again_for_an_hour_and_a_lost_target_for_five_minutes() -> None:
    text = exact_query(template(RATIO), EVERYTHING)
    assert re.search(r"present_over_time\(http_requests_total\{[^}]*\}\[3600s\] offset 15s\)", text)
    assert re.search(r"max_over_time\(up\{[^}]*\}\[300s\]\) == 1", text)


@given(
    st.dictionaries(
        st.sampled_from(["bad", "total", "reset", "le:1", "le:+Inf", "odd", ""]),
        st.floats(allow_nan=True, allow_infinity=True),
    )
)
def test_whatever_is_answered_is_counts_or_void(parts: dict[str, float]) -> None:
    both: tuple[Mapping[str, object], ...] = (RATIO, LATENCY)
    for metric in both:
        found = window(metric, *canary(parts)).canary
        if isinstance(found, Missing):
            assert found.reason is Reason.WINDOW_VOID
        elif isinstance(found, Counts):
            assert 0 <= found.bad <= found.total < float("inf")


@given(st.floats(0, 1e9), st.floats(0.25, 600), st.floats(0, 60))
def test_a_window_s_end_is_a_multiple_of_its_length_that_is_past(now: float, every: float, lag: float) -> None:
    moment, length, late = after(now), timedelta(seconds=every), timedelta(seconds=lag)
    end = last_end(moment, length, late)
    assert timedelta(0) <= moment - late - end < length
    assert end == last_end(end + late, length, late), "whoever asks later asks for the same"
