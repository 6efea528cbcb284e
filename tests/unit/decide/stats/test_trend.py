"""Slope and trend are those of scipy, and say nothing where there is nothing to say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparkrelease.decide.stats.trend import (
    LEAST_POINTS,
    MOST_POINTS,
    kendall_score,
    kendall_variance,
    mann_kendall,
    theil_sen,
)

values = st.lists(st.integers(-50, 50).map(float), min_size=LEAST_POINTS, max_size=60)
distinct = st.permutations([float(n) for n in range(20)])


def ascending(ys: list[float], step: float = 15.0) -> list[tuple[float, float]]:
    return [(1.7e9 + step * place, y) for place, y in enumerate(ys)]


@given(values)
def test_slope_equals_scipys(ys: list[float]) -> None:
    xs = [15.0 * place for place in range(len(ys))]
    ours = theil_sen(list(zip(xs, ys, strict=True)))
    assert ours == pytest.approx(stats.theilslopes(ys, xs).slope, rel=1e-12, abs=1e-12)


@given(values)
def test_score_and_its_variance_are_those_of_scipys_rank_correlation(ys: list[float]) -> None:
    variance = kendall_variance(ys)
    if variance == 0:
        assert mann_kendall(ys) == 1.0
        return
    theirs = stats.kendalltau(range(len(ys)), ys, method="asymptotic", alternative="greater").pvalue
    assert 0.5 * math.erfc(kendall_score(ys) / math.sqrt(2 * variance)) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@given(distinct)
def test_p_is_the_exact_one_within_a_hundredth(ys: list[float]) -> None:
    exact = stats.kendalltau(range(len(ys)), ys, method="exact", alternative="greater").pvalue
    assert mann_kendall(ys) == pytest.approx(exact, abs=0.01)


@given(values, st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_slope_scales_with_the_values_and_does_not_move_with_them(ys: list[float], scale: float, shift: float) -> None:
    slope = theil_sen(ascending(ys))
    moved = theil_sen(ascending([scale * y + shift for y in ys]))
    assert slope is not None
    assert moved == pytest.approx(scale * slope, rel=1e-6, abs=1e-6 * max(1.0, scale))


@given(distinct, st.integers(0, 19), st.floats(0.5, 100))
def test_a_later_rise_never_lowers_the_score_of_a_trend(ys: list[float], place: int, rise: float) -> None:
    raised = [*ys[:place], *(y + rise for y in ys[place:])]
    assert kendall_score(raised) >= kendall_score(ys)


@pytest.mark.parametrize("count", range(LEAST_POINTS))
def test_few_points_say_nothing(count: int) -> None:
    ys = [float(n) for n in range(count)]
    assert theil_sen(ascending(ys)) is None
    assert mann_kendall(ys) is None


def test_points_that_are_no_numbers_do_not_count() -> None:
    ys = [float(n) for n in range(LEAST_POINTS - 1)]
    odd = [math.nan, math.inf, -math.inf]
    assert theil_sen(ascending([*ys, *odd])) is None
    assert mann_kendall([*ys, *odd]) is None
    assert theil_sen(ascending([*ys, *odd, 7.0])) is not None


def test_points_of_one_moment_have_no_slope() -> None:
    assert theil_sen([(1.0, float(n)) for n in range(20)]) is None


def test_a_straight_line_is_rising_at_its_slope_beyond_doubt() -> None:
    ys = [3.0 * n for n in range(120)]
    assert theil_sen(ascending(ys)) == pytest.approx(3.0 / 15)
    p = mann_kendall(ys)
    assert p is not None and p < 1e-20
    falling = mann_kendall(ys[::-1])
    assert falling is not None and falling > 1 - 1e-9


def test_many_points_are_thinned_without_losing_the_slope() -> None:
    ys = [0.5 * n + (n * 7919 % 13) for n in range(20 * MOST_POINTS)]
    ours = theil_sen(ascending(ys))
    assert ours == pytest.approx(stats.theilslopes(ys[:2000], [15.0 * n for n in range(2000)]).slope, rel=0.01)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=200))
def test_whatever_the_series_there_is_an_answer(ys: list[float]) -> None:
    p = mann_kendall(ys)
    assert p is None or 0 <= p <= 1
    slope = theil_sen(ascending(ys))
    assert slope is None or math.isfinite(slope)
