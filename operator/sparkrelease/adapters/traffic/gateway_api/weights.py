"""A share in percent as the integer weights of a rule, and back."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_PERCENTS = 100
THOUSANDTHS = 100_000
"""Sums of the two weights: 100 for a whole percent, 100,000 where thousandths of a percent are wanted."""

OTHER_SCALE = 10
"""The same share by other numbers, still within the API's million."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two weights of a rule."""

    stable: int
    canary: int


def pair_of(percent: float) -> Pair:
    """The weights that give canary this share.

    Raises:
        ValueError: the share is outside 0..100 or finer than a thousandth.
    """
    if not 0 <= percent <= 100:  # noqa: PLR2004 - a percentage
        raise ValueError(f"a weight is between 0 and 100, not {percent!r}")
    thousandths = round(percent * 1000)
    if abs(percent * 1000 - thousandths) > 1e-6:  # noqa: PLR2004 - what a binary float is off by
        raise ValueError(f"a weight has at most three decimals, not {percent!r}")
    if thousandths % 1000 == 0:
        canary = thousandths // 1000
        return Pair(WHOLE_PERCENTS - canary, canary)
    return Pair(THOUSANDTHS - thousandths, thousandths)


def said_otherwise(pair: Pair) -> Pair:
    """The same share as another pair: a write of it is a change of the spec, and so a new generation."""
    return Pair(OTHER_SCALE * pair.stable, OTHER_SCALE * pair.canary)


def percent_of(canary: int, whole: int) -> float | None:
    """Share of canary in percent (exact for every pair of `pair_of`); None where the weights sum to nothing."""
    return 100 * canary / whole if whole > 0 else None
