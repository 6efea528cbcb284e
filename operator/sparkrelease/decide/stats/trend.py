"""Whether a series rises, and how fast: Theil-Sen slope and Mann-Kendall test.

Both look at pairs alone, so a few wild points (a garbage collection, a cold start) move neither far. Neighbouring
points of a gauge resemble each other, which makes chance look smaller than it is: ask for a slope as well as for a p.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import TypeVar

LEAST_POINTS = 8
"""Fewer say nothing: the normal approximation of the test is off, and a slope is an anecdote."""

MOST_POINTS = 150
"""More are thinned: neighbours tell nearly the same."""

MOST_PAIRED = 64
"""So many at most are paired for a slope: pairs grow with the square, and a fleet's slopes are all due at once."""

T = TypeVar("T")


def theil_sen(points: Sequence[tuple[float, float]]) -> float | None:
    """Median of the slopes of all pairs of (seconds, value), per second; None for fewer than `LEAST_POINTS`.

    Source: Sen, Journal of the American Statistical Association 63 (1968). Points that are not finite are left out.
    """
    known = _thinned([p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])], MOST_PAIRED)
    slopes = [(y - b) / (x - a) for (a, b), (x, y) in combinations(known, 2) if x != a]
    slope = median(slopes) if len(known) >= LEAST_POINTS and slopes else math.nan
    return slope if math.isfinite(slope) else None


def mann_kendall(values: Sequence[float]) -> float | None:
    """How likely chance alone ranks the values at least as much in rising order (one-sided).

    Normal approximation with correction for ties and for continuity; None for fewer than `LEAST_POINTS`, 1 when all
    values are equal. Values that are not finite are left out.
    Source: Kendall, Rank Correlation Methods (1975), chapter 4.
    """
    known = _thinned([v for v in values if math.isfinite(v)], MOST_POINTS)
    if len(known) < LEAST_POINTS:
        return None
    variance = kendall_variance(known)
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((kendall_score(known) - 1) / math.sqrt(2 * variance))


def kendall_score(values: Sequence[float]) -> int:
    """Pairs that rise less pairs that fall."""
    score = 0
    earlier: list[float] = []
    for value in values:
        place = bisect_left(earlier, value)
        score += place - (len(earlier) - bisect_right(earlier, value, place))
        earlier.insert(place, value)
    return score


def kendall_variance(values: Sequence[float]) -> float:
    """Variance of the score over all orders of the values; groups of equal values narrow it."""
    groups = [len(values) * (len(values) - 1) * (2 * len(values) + 5)]
    groups += [-n * (n - 1) * (2 * n + 5) for n in Counter(values).values()]
    return sum(groups) / 18


def _thinned(series: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of the series at even distances, the first and the last among them."""
    last = len(series) - 1
    if last < most:
        return series
    return [series[round(place * last / (most - 1))] for place in range(most)]
