"""Draws are the distributions they are called, and the same for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from scipy import stats

from sparkrelease.simulate.chance import Seeded

DRAWS = 4000


def likely(draws: list[int], chance_of: Callable[[int], float]) -> float:
    """p of a chi-square test; values expected less than ten times are put together."""
    counts = Counter(draws)
    seen, expected, rest_seen, rest_expected = [], [], 0, 0.0
    for value in range(max(counts) + 1):
        often = len(draws) * float(chance_of(value))
        if often >= 10:
            seen.append(counts[value])
            expected.append(often)
        else:
            rest_seen, rest_expected = rest_seen + counts[value], rest_expected + often
    rest_expected += len(draws) - sum(expected) - rest_expected
    return float(stats.chisquare([*seen, rest_seen], [*expected, rest_expected]).pvalue)


@pytest.mark.parametrize("mean", [0.3, 7.5, 40.0, 700.0])
def test_arrivals_are_poisson(mean: float) -> None:
    chance = Seeded(1)
    assert likely([chance.poisson(mean) for _ in range(DRAWS)], stats.poisson(mean).pmf) > 0.001


@pytest.mark.parametrize(("n", "p"), [(7, 0.2), (7500, 0.001), (750, 0.2), (400, 0.97), (60, 0.5)])
def test_counts_are_binomial(n: int, p: float) -> None:
    chance = Seeded(2)
    assert likely([chance.binomial(n, p) for _ in range(DRAWS)], stats.binom(n, p).pmf) > 0.001


@pytest.mark.parametrize(("n", "p", "count"), [(0, 0.5, 0), (9, 0.0, 0), (9, 1.0, 9), (9, -1e-18, 0)])
def test_what_is_certain_is_not_drawn(n: int, p: float, count: int) -> None:
    assert Seeded(3).binomial(n, p) == count


def test_everything_put_into_boxes_is_in_one_of_them() -> None:
    chance, shares = Seeded(4), [0.5, 0.25, 0.0, 0.25]
    boxes = [sum(column) for column in zip(*(chance.spread(40, shares) for _ in range(500)), strict=True)]
    assert sum(boxes) == 40 * 500
    assert boxes[2] == 0
    assert boxes[0] == pytest.approx(10_000, abs=5 * 71)


def test_levels_have_mean_one_and_the_variance_asked_for() -> None:
    chance = Seeded(5)
    levels = [chance.level(0.25) for _ in range(20_000)]
    assert sum(levels) / len(levels) == pytest.approx(1, abs=0.02)
    assert sum((level - 1) ** 2 for level in levels) / len(levels) == pytest.approx(0.25, rel=0.1)
    assert chance.level(0) == 1


def test_a_seed_gives_the_same_numbers_on_every_machine() -> None:
    chance = Seeded(6)
    drawn = [chance.poisson(500), chance.binomial(500, 0.3), chance.binomial(10_000, 0.001), chance.poisson(2.5)]
    assert drawn == [474, 150, 8, 1]
    assert [chance.spread(100, [0.2, 0.3, 0.5]), chance.spread(3, [0.9, 0.1])] == [[23, 24, 53], [3, 0]]
