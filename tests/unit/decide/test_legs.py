"""What each kind of leg says of a role: Fail when its condition holds, and never a Pass of what is not known."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import (
    Ask,
    Buckets,
    Counts,
    Missing,
    Reading,
    Role,
    Track,
    Value,
)
from unit.decide.leg_world import (
    DOWN,
    ERROR,
    FAIL,
    GONE,
    MINUTE,
    NO_DATA,
    PASS,
    TREND,
    UNSURE,
    past,
    say,
)

# ---------------------------------------------------------------- threshold

ABOVE = {"op": ">", "value": 30}


@pytest.mark.parametrize(
    ("leg", "reading", "verdict"),
    [
        (ABOVE, Value(31), FAIL),
        (ABOVE, Value(30), PASS),
        ({"op": ">=", "value": 30}, Value(30), FAIL),
        ({"op": "<", "value": 10}, Value(9), FAIL),
        ({"op": "<=", "value": 10}, Value(11), PASS),
        ({"value": 30}, Value(31), FAIL),
        (ABOVE | {"not": True}, Value(31), PASS),
        (ABOVE | {"not": True}, Value(30), FAIL),
        (ABOVE, GONE, NO_DATA),
        (ABOVE | {"not": True}, GONE, NO_DATA),
        (ABOVE, Missing(Reason.AMBIGUOUS_RESULT, "two"), ERROR),
        (ABOVE, Value(float("nan")), NO_DATA),
        (ABOVE | {"not": True}, Value(float("nan")), NO_DATA),
        (ABOVE, Value(float("inf")), FAIL),
        ({"metric": "http", "value": 0.05}, Counts(6, 100), FAIL),
        ({"metric": "http", "value": 0.05}, Counts(5, 100), PASS),
        ({"metric": "http", "value": 0.05}, Counts(0, 0), UNSURE),
        ({"metric": "http", "value": 0.05, "minEvents": 101}, Counts(100, 100), UNSURE),
        ({"metric": "http", "value": 0.05, "minEvents": 101, "not": True}, Counts(0, 100), UNSURE),
        ({"metric": "http", "value": 0.05}, Counts(-1, 100), NO_DATA),
        ({"metric": "http", "value": 0.05}, Counts(1, float("inf")), NO_DATA),
        ({"metric": "latency", "value": 0.4}, Buckets({0.4: 89}, 100), FAIL),
        ({"metric": "latency", "value": 0.4}, Buckets({0.4: 90}, 100), PASS),
        ({"metric": "latency", "value": 0.3}, Buckets({0.4: 90}, 100), ERROR),
    ],
)
def test_a_threshold_compares_the_value_with_its_limit(
    leg: dict[str, object], reading: Reading, verdict: Verdict
) -> None:
    assert say(leg, reading).verdict is verdict


# ---------------------------------------------------------------- vsStable

TWICE = {"kind": "vsStable", "factor": 2}


@pytest.mark.parametrize(
    ("leg", "canary", "stable", "verdict"),
    [
        (TWICE, Value(21), Value(10), FAIL),
        (TWICE, Value(20), Value(10), PASS),
        (TWICE | {"floor": 50}, Value(21), Value(10), PASS),
        (TWICE | {"floor": 20}, Value(21), Value(10), FAIL),
        (TWICE, Value(1), Value(0), FAIL),
        (TWICE | {"floor": 1}, Value(1), Value(0), PASS),
        ({"kind": "vsStable", "factor": 0.5, "op": "<"}, Value(4), Value(10), FAIL),
        ({"kind": "vsStable", "factor": 0.5, "op": "<"}, Value(5), Value(10), PASS),
        (TWICE, Value(21), GONE, UNSURE),
        (TWICE | {"not": True}, Value(21), GONE, UNSURE),
        (TWICE, Value(21), DOWN, UNSURE),
        (TWICE, Value(21), Value(float("nan")), UNSURE),
        (TWICE, Value(21), Value(float("inf")), UNSURE),
        (TWICE, GONE, Value(10), NO_DATA),
        (TWICE, Value(float("inf")), Value(10), NO_DATA),
        (TWICE | {"metric": "http"}, Counts(5, 100), Counts(2, 100), FAIL),
        (TWICE | {"metric": "http"}, Counts(4, 100), Counts(2, 100), PASS),
        (TWICE | {"metric": "http"}, Counts(5, 100), Counts(0, 0), UNSURE),
        (TWICE | {"metric": "http", "minEvents": 200}, Counts(99, 100), Counts(0, 100), UNSURE),
    ],
)
def test_vs_stable_compares_with_factor_times_stable_and_says_nothing_without_it(
    leg: dict[str, object], canary: Reading, stable: Reading, verdict: Verdict
) -> None:
    assert say(leg, canary, stable).verdict is verdict


def test_on_the_way_back_stable_is_compared_with_canary() -> None:
    assert say(TWICE, Value(10), Value(21), role=Role.STABLE).verdict is FAIL
    assert say(TWICE, Value(21), Value(10), role=Role.STABLE).verdict is PASS


def test_a_sentence_names_both_values_and_the_factor() -> None:
    told = say(TWICE | {"metric": "http"}, Counts(5, 100), Counts(2, 100))
    assert told.message == "rule: http 5% (5/100) vs stable 2% (2/100); > 2x"


# ---------------------------------------------------------------- vsBaseline


@pytest.mark.parametrize(
    ("more", "reading", "baseline", "verdict"),
    [
        ({}, Value(16), 10.0, FAIL),
        ({}, Value(15), 10.0, PASS),
        ({"floor": 20}, Value(16), 10.0, PASS),
        ({}, Value(16), None, UNSURE),
        ({"not": True}, Value(16), None, UNSURE),
        ({}, GONE, 10.0, NO_DATA),
        ({"metric": "http"}, Counts(16, 1000), 0.01, FAIL),
        ({"metric": "http"}, Counts(15, 1000), 0.01, PASS),
        ({"metric": "http"}, Counts(0, 0), 0.01, UNSURE),
    ],
)
def test_vs_baseline_compares_with_what_was_frozen_before_the_run(
    more: dict[str, object], reading: Reading, baseline: float | None, verdict: Verdict
) -> None:
    told = say({"kind": "vsBaseline", "factor": 1.5} | more, reading, baseline=baseline)
    assert told.verdict is verdict
    if baseline is None:
        assert told.reason is Reason.NO_BASELINE


# ---------------------------------------------------------------- growth

BEFORE = Ask("lag", MINUTE, timedelta(minutes=10))


@pytest.mark.parametrize(
    ("more", "now", "then", "verdict"),
    [
        ({}, Value(21), Value(10), FAIL),
        ({}, Value(20), Value(10), PASS),
        ({"not": True}, Value(20), Value(10), FAIL),
        ({"floor": 30}, Value(21), Value(10), PASS),
        ({}, Value(21), Value(0), FAIL),
        ({}, Value(21), GONE, UNSURE),
        ({"not": True}, Value(21), GONE, UNSURE),
        ({}, Value(21), None, UNSURE),
        ({}, Value(21), DOWN, NO_DATA),
        ({}, GONE, Value(10), NO_DATA),
        ({}, Value(21), Value(float("inf")), NO_DATA),
    ],
)
def test_growth_compares_with_what_it_was_some_time_ago(
    more: dict[str, object], now: Reading, then: Reading | None, verdict: Verdict
) -> None:
    leg = {"kind": "growth", "over": "10m", "factor": 2} | more
    assert say(leg, now, asked={} if then is None else {BEFORE: then}).verdict is verdict


# ---------------------------------------------------------------- burnRate

BURN = {"metric": "http", "kind": "burnRate", "objective": 0.999, "minEvents": 5}
LONG, SHORT = Ask("http", timedelta(hours=1)), Ask("http", timedelta(minutes=5))
SLOW_LONG, SLOW_SHORT = Ask("http", timedelta(hours=6)), Ask("http", timedelta(minutes=30))


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({LONG: Counts(15, 1000), SHORT: Counts(2, 100)}, FAIL),
        ({LONG: Counts(15, 1000), SHORT: Counts(0, 100)}, UNSURE),  # the slow pair was not asked
        ({LONG: Counts(14, 1000), SHORT: Counts(50, 100), SLOW_LONG: Counts(0, 9), SLOW_SHORT: Counts(0, 9)}, PASS),
        ({LONG: Counts(0, 9), SHORT: Counts(0, 9), SLOW_LONG: Counts(7, 1000), SLOW_SHORT: Counts(7, 1000)}, FAIL),
        ({LONG: Counts(0, 9), SHORT: Counts(0, 9), SLOW_LONG: Counts(6, 1000), SLOW_SHORT: Counts(7, 1000)}, PASS),
        ({LONG: Counts(4, 9), SHORT: Counts(4, 9), SLOW_LONG: Counts(0, 9), SLOW_SHORT: Counts(0, 9)}, UNSURE),
        ({LONG: Counts(5, 9), SHORT: Counts(1, 9), SLOW_LONG: GONE, SLOW_SHORT: GONE}, FAIL),
        ({LONG: Counts(0, 0), SHORT: Counts(0, 0), SLOW_LONG: Counts(0, 0), SLOW_SHORT: Counts(0, 0)}, UNSURE),
        ({}, UNSURE),
        ({LONG: GONE, SHORT: GONE, SLOW_LONG: GONE, SLOW_SHORT: GONE}, UNSURE),
        ({LONG: DOWN, SHORT: DOWN, SLOW_LONG: DOWN, SLOW_SHORT: DOWN}, NO_DATA),
    ],
)
def test_a_burn_rate_is_told_by_both_windows_of_one_pair(answers: dict[Ask, Reading], verdict: Verdict) -> None:
    assert say(BURN, asked=answers).verdict is verdict


def test_a_burn_rate_names_its_windows_and_rates() -> None:
    told = say(BURN, asked={LONG: Counts(15, 1000), SHORT: Counts(2, 100)})
    assert told.message == "rule: http burns 15x and 20x over 1h and 5m, > 14.4x; 1.5% (15/1000)"


# ---------------------------------------------------------------- whatever comes

numbers = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 1e-300, 1e300]))
readings: st.SearchStrategy[Reading] = st.one_of(
    st.builds(Counts, numbers, numbers),
    st.builds(Value, numbers),
    st.builds(Buckets, st.dictionaries(numbers, numbers, max_size=3), numbers),
    st.just(GONE),
    st.just(DOWN),
)
tracks = st.builds(
    Track,
    st.sampled_from(["a", "b"]),
    st.lists(st.tuples(st.floats(1.7e9, 1.8e9), numbers), max_size=12).map(tuple),
    st.none(),
)
legs: st.SearchStrategy[dict[str, object]] = st.sampled_from(
    [
        ABOVE,
        TWICE,
        TWICE | {"metric": "http"},
        TREND,
        TREND | {"vsStableFactor": 2, "warmup": "1m", "resetOn": "podRestart"},
        BURN,
        {"kind": "growth", "over": "10m", "factor": 2},
        {"kind": "vsBaseline", "factor": 2},
        {"metric": "http", "value": 0.5},
        {"metric": "latency", "value": 0.5},
        {"metric": "http", "kind": "sequential"},
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    leg=legs,
    canary=readings,
    stable=readings,
    then=readings,
    series=st.lists(tracks, max_size=3),
    baseline=st.one_of(st.none(), numbers),
    turned=st.booleans(),
)
def test_any_leg_says_something_of_anything_and_no_number_that_is_none_passes(
    *,
    leg: dict[str, object],
    canary: Reading,
    stable: Reading,
    then: Reading,
    series: list[Track],
    baseline: float | None,
    turned: bool,
) -> None:
    asked = dict.fromkeys((BEFORE, LONG, SHORT, SLOW_LONG, SLOW_SHORT), then)
    history = past(*series, stable=tuple(series))
    told = say(leg | {"not": turned}, canary, stable, asked=asked, history=history, baseline=baseline)
    if isinstance(canary, Missing) and leg.get("kind") in {None, "vsStable", "growth", "vsBaseline"}:
        assert told.verdict not in {PASS, FAIL}
    if isinstance(canary, Value) and canary.value != canary.value and leg.get("kind") not in {"trend", "burnRate"}:
        assert told.verdict not in {PASS, FAIL}


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000), st.sampled_from([0.01, 0.5, 0.99]))
def test_more_bad_events_of_as_many_never_turn_fail_into_pass(bad: int, more: int, total: int, limit: float) -> None:
    fewer, worse = (Counts(min(n, total), total) for n in (bad, bad + more))
    for leg in ({"value": limit}, {"kind": "vsStable", "factor": 1.5}, {"kind": "vsBaseline", "factor": 2}):
        first = say(leg | {"metric": "http"}, fewer, Counts(5, 500), baseline=0.01).verdict
        second = say(leg | {"metric": "http"}, worse, Counts(5, 500), baseline=0.01).verdict
        assert not (first is FAIL and second is not FAIL)
    before = say(BURN, asked={LONG: fewer, SHORT: fewer}).verdict
    after = say(BURN, asked={LONG: worse, SHORT: worse}).verdict
    assert not (before is FAIL and after is not FAIL)
