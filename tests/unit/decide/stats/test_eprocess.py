"""The always-valid test: what its evidence is, what may and may not move it, and that it is an e-process."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from sparkrelease.decide.stats.eprocess import (
    ALTERNATIVES,
    FIRST,
    MULTIPLES,
    TALLIES,
    Channel,
    begin_again,
    channel,
    hypotheses,
    idle_weight,
    interval,
    later_weight,
    log_evidence,
    mixed,
    observe,
    ratio,
    stratum,
)

Stratum = tuple[int, int, int, int]
"""Requests of canary and of stable, bad ones of canary and of stable."""

IDLE = 1 - FIRST
"""What is left of the mixture for later beginnings while the first stage is under way."""


@st.composite
def windows(draw: st.DrawFn, most: int = 3000) -> Stratum:
    canary, stable = draw(st.integers(1, most)), draw(st.integers(1, most))
    return canary, stable, draw(st.integers(0, canary)), draw(st.integers(0, stable))


margins = st.sampled_from([1.0, 1.25, 1.5, 2.0, 7.3])
many = st.lists(windows(), min_size=1, max_size=12)


def seen(strata: Sequence[Stratum], margin: float = 1.5, spread: float = 0.0, start: Channel | None = None) -> Channel:
    h = hypotheses(margin)
    ch = start or channel(h)
    for n_c, n_s, b_c, b_s in strata:
        ch = observe(ch, h, stratum(h, n_c, n_s, spread), b_c, b_s)
    return ch


def logs(ch: Channel) -> list[float]:
    return list(ch.stage[TALLIES:])


# ---------------------------------------------------------------- what the evidence is


@pytest.mark.slow
@given(many, margins)
def test_evidence_is_the_likelihood_ratio_of_scipys_binomial(strata: list[Stratum], margin: float) -> None:
    h = hypotheses(margin)
    ours = logs(seen(strata, margin))
    for place, r in enumerate(h.ratios):
        theirs = 0.0
        for n_c, n_s, b_c, b_s in strata:
            w = n_c / (n_c + n_s)
            chance = [x * w / (x * w + 1 - w) for x in (r, margin)]
            law = stats.binom.logpmf(b_c, b_c + b_s, chance)
            theirs += law[0] - law[1]
        assert ours[place] == pytest.approx(theirs, rel=1e-4, abs=1e-3)  # ours are sums of 32-bit numbers


@given(windows(), margins, st.floats(0.001, 10))
def test_wobble_before_the_run_shrinks_every_window_as_the_variances_say(
    window: Stratum, margin: float, spread: float
) -> None:
    n_c, n_s, b_c, b_s = window
    w, bad = n_c / (n_c + n_s), b_c + b_s
    plain, shrunk = logs(seen([window], margin)), logs(seen([window], margin, spread))
    if bad == 0:
        assert shrunk == plain
        return
    chance = 1 / (bad * w) + 1 / (bad * (1 - w))
    for one, other in zip(plain, shrunk, strict=True):
        assert other == pytest.approx(one * chance / (chance + 2 * spread), rel=1e-5, abs=1e-6)


LEVELS = [(m, p) for m in (1.0, 1.25, 1.5, 4.0) for p in (0.001, 0.05, 0.3, 0.6) if m * p <= 1]


@pytest.mark.parametrize(("margin", "share"), LEVELS)
@pytest.mark.parametrize(("n_c", "n_s"), [(1, 1), (3, 297), (40, 40), (60, 15)])
def test_no_window_of_a_canary_at_its_margin_is_expected_to_add_evidence(
    margin: float, share: float, n_c: int, n_s: int
) -> None:
    """The theorem behind the test, by enumeration: E[exp(L)] <= 1 for independent requests, at any level."""
    h = hypotheses(margin)
    law_c = stats.binom.pmf(range(n_c + 1), n_c, margin * share)
    law_s = stats.binom.pmf(range(n_s + 1), n_s, share)
    part = stratum(h, n_c, n_s, 0.0)
    for place in ALTERNATIVES:
        up, down = h.logs[place], part.factors[place]
        mean = sum(p * math.exp(b * (up - down)) for b, p in enumerate(law_c))
        mean *= sum(p * math.exp(-b * down) for b, p in enumerate(law_s))
        assert mean <= 1 + 1e-9


# ---------------------------------------------------------------- what moves it


@given(many, st.randoms(use_true_random=False))
def test_the_order_of_windows_moves_evidence_by_no_more_than_rounding(strata: list[Stratum], chance: object) -> None:
    other = list(strata)
    chance.shuffle(other)  # type: ignore[attr-defined]  # hypothesis' own random.Random
    one, two = log_evidence(seen(strata), IDLE), log_evidence(seen(other), IDLE)
    assert one == pytest.approx(two, rel=1e-4, abs=1e-3)


@given(many, windows(), margins, st.integers(1, 50), st.sampled_from([0.0, 0.05]))
def test_bad_events_that_move_from_stable_to_canary_never_lower_the_evidence(
    strata: list[Stratum], last: Stratum, margin: float, moved: int, spread: float
) -> None:
    """At equal totals: the same bad events, more of them canary's; whatever the wobble before the run."""
    n_c, n_s, b_c, b_s = last
    moved = min(moved, b_s, n_c - b_c)
    before = seen(strata, margin, spread)
    one = seen([last], margin, spread, start=before)
    two = seen([(n_c, n_s, b_c + moved, b_s - moved)], margin, spread, start=before)
    assert log_evidence(two, IDLE) >= log_evidence(one, IDLE) - 1e-3


@given(many, windows(), margins, st.integers(1, 50))
def test_one_more_bad_event_of_canary_alone_never_lowers_the_evidence(
    strata: list[Stratum], last: Stratum, margin: float, more: int
) -> None:
    """Requests and stable's bad events as they were: only canary did worse. True where there is no wobble."""
    n_c, n_s, b_c, b_s = last
    more = min(more, n_c - b_c)
    before = seen(strata, margin)
    one = seen([last], margin, start=before)
    two = seen([(n_c, n_s, b_c + more, b_s)], margin, start=before)
    assert log_evidence(two, IDLE) >= log_evidence(one, IDLE) - 1e-3


@given(many, margins, st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_window_without_bad_events_says_nothing(strata: list[Stratum], margin: float, n_c: int, n_s: int) -> None:
    before = seen(strata, margin)
    assert seen([(n_c, n_s, 0, 0)], margin, start=before) == before


@pytest.mark.parametrize("margin", [0.1, 1.0, 1.5, 1000.0])
def test_a_test_starts_without_evidence(margin: float) -> None:
    assert log_evidence(channel(hypotheses(margin)), IDLE) == pytest.approx(0.0, abs=1e-6)


@given(many, st.sampled_from([(1.25, 1.5, 2.8), (1.5, 2.0, 2.8), (1.0, 4.0, 4.0)]))
@example([(24, 2, 0, 2)], (1.0, 4.0, 4.0))
def test_tests_of_two_margins_say_the_same_of_the_ratio(
    strata: list[Stratum], case: tuple[float, float, float]
) -> None:
    """Up to the two steps by which their grids may differ, or three where the margins are far apart: an end is held
    against all places below it, and these are then more for one test than for the other.
    """
    *pair, apart = case
    one, two = (interval(hypotheses(m), seen(strata, m).stage, math.log(200)) for m in pair)
    for end, other in zip(one, two, strict=True):
        if end is not None and other is not None and 0.5 < end < 8:
            assert end / apart <= other <= end * apart


# ---------------------------------------------------------------- stages


@pytest.mark.parametrize("stages", [1, 2, 5, 50])
def test_beginnings_share_one_whatever_the_number_of_stages(stages: int) -> None:
    weights = [FIRST] + [later_weight(begun, stages) for begun in range(1, 3 * stages + 3)]
    assert sum(weights) == pytest.approx(1.0)
    for begun in range(1, stages + 2):
        assert sum(weights[:begun]) + idle_weight(begun, stages) == pytest.approx(1.0)
    assert idle_weight(3 * stages, stages) == 0


@given(st.lists(st.lists(windows(), max_size=5), min_size=1, max_size=6), margins)
def test_evidence_is_the_mean_over_what_was_seen_since_each_beginning(
    parts: list[list[Stratum]], margin: float
) -> None:
    stages = 5
    h = hypotheses(margin)
    ch = channel(h)
    for begun, part in enumerate(parts, start=1):
        if begun > 1:
            ch = begin_again(ch, h, later_weight(begun - 1, stages))
        ch = seen(part, margin, start=ch)
    expected = [math.log(idle_weight(len(parts), stages))] if len(parts) <= stages else []
    for place in range(len(parts)):
        since = [window for part in parts[place:] for window in part]
        weight = FIRST if place == 0 else later_weight(place, stages)
        expected.append(math.log(weight) + mixed(h, seen(since, margin).stage))
    most = max(expected)
    total = most + math.log(sum(math.exp(x - most) for x in expected))
    assert log_evidence(ch, idle_weight(len(parts), stages)) == pytest.approx(total, rel=1e-4, abs=2e-3)


@given(many, margins)
def test_a_new_stage_alone_moves_no_evidence(strata: list[Stratum], margin: float) -> None:
    h = hypotheses(margin)
    ch = seen(strata, margin)
    later = begin_again(ch, h, later_weight(1, 5))
    assert log_evidence(later, idle_weight(2, 5)) == pytest.approx(
        log_evidence(ch, idle_weight(1, 5)), rel=1e-6, abs=1e-6
    )
    assert list(later.run) == list(ch.stage)


def test_good_evidence_of_early_stages_does_not_hide_a_late_defect() -> None:
    h = hypotheses(1.5)
    early = seen([(7500, 7500, 75, 75)] * 100)
    late = [(7500, 7500, 300, 75)] * 2
    assert log_evidence(seen(late, start=early), IDLE) < math.log(2)
    again = begin_again(early, h, later_weight(1, 5))
    assert log_evidence(seen(late, start=again), idle_weight(2, 5)) > math.log(200)


# ---------------------------------------------------------------- ratio and interval


def test_ratio_is_not_fooled_by_levels_and_weights_that_move_together() -> None:
    same = [(100, 9900, 1, 99), (9000, 1000, 900, 100)]
    assert ratio(seen(same).stage) == pytest.approx(1.0, rel=1e-5)
    twice = [(100, 9900, 2, 99), (9000, 1000, 1800, 100)]
    assert ratio(seen(twice).stage) == pytest.approx(2.0, rel=1e-5)


def test_ratio_is_unknown_without_bad_events_of_stable() -> None:
    assert ratio(seen([(100, 100, 5, 0)]).stage) is None


@pytest.mark.parametrize("true", [0.5, 1.0, 1.5, 3.0, 20.0])
def test_interval_holds_the_ratio_that_was_observed_and_narrows_around_it(true: float) -> None:
    h = hypotheses(1.5)
    for size, width in ((1, 100.0), (1000, 2.5)):
        strata = [(10_000 * size, 10_000 * size, round(true * 50 * size), 50 * size)]
        low, high = interval(h, seen(strata).stage, math.log(200))
        assert low is not None and high is not None
        assert low <= true <= high
        assert high / low <= width * 2


@given(many, margins)
def test_interval_is_in_order_and_holds_the_most_likely_ratio(strata: list[Stratum], margin: float) -> None:
    h = hypotheses(margin)
    ch = seen(strata, margin)
    low, high = interval(h, ch.stage, math.log(200))
    best = h.ratios[max(range(len(MULTIPLES)), key=lambda place: ch.stage[TALLIES + place])]
    assert low is None or low < best
    assert high is None or high > best


def test_interval_is_open_where_nothing_is_known() -> None:
    assert interval(hypotheses(1.5), channel(hypotheses(1.5)).stage, math.log(200)) == (None, None)


# ---------------------------------------------------------------- whatever comes


huge = st.floats(0, 1e12, allow_nan=False)


@given(st.lists(st.tuples(huge, huge, st.floats(0, 1), st.floats(0, 1)), max_size=20), margins, st.floats(0, 1e6))
def test_evidence_is_a_number_whatever_the_counts(
    strata: list[tuple[float, float, float, float]], margin: float, spread: float
) -> None:
    h = hypotheses(margin)
    ch = channel(h)
    for n_c, n_s, p_c, p_s in strata:
        if n_c > 0 and n_s > 0:
            ch = observe(ch, h, stratum(h, n_c, n_s, spread), n_c * p_c, n_s * p_s)
    assert math.isfinite(log_evidence(ch, IDLE))
    assert all(map(math.isfinite, ch.stage))
    again = begin_again(ch, h, 0.1)
    assert math.isfinite(log_evidence(again, 0.0))
    low, high = interval(h, ch.stage, math.log(200))
    assert low is None or high is None or low < high


def test_sums_are_kept_as_single_precision() -> None:
    ch = seen([(997, 1003, 7, 11)])
    assert all(array("f", [x])[0] == x for part in (ch.carried, ch.stage, ch.before) for x in part)
