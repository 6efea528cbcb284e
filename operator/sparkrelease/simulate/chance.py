"""Random draws with a seed. The same seed gives the same numbers on every machine."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Protocol

_FEW = 12
"""Up to this mean, draws are made event by event; above it, halves are split off first."""

_PART = 7 / 8


class Chance(Protocol):
    """Where draws come from. A benchmark may put a faster generator in its place."""

    def uniform(self) -> float:
        """A number from 0 to below 1."""
        ...

    def normal(self) -> float:
        """A number from the standard normal distribution."""
        ...

    def level(self, variance: float) -> float:
        """A level around 1 (gamma distributed) with this variance; 1 when there is none."""
        ...

    def poisson(self, mean: float) -> int:
        """Arrivals where `mean` are expected."""
        ...

    def binomial(self, n: int, p: float) -> int:
        """How many of `n` come out so, each with probability `p`."""
        ...

    def spread(self, n: int, shares: Sequence[float]) -> list[int]:
        """`n` things put into boxes; `shares` sum to 1 and are the chances of each box."""
        ...


class Seeded:
    """Draws from the standard library's generator. Exact: nothing is approximated by a normal distribution."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uniform(self) -> float:
        """A number from 0 to below 1."""
        return self._random.random()

    def normal(self) -> float:
        """A number from the standard normal distribution."""
        return self._random.gauss(0.0, 1.0)

    def level(self, variance: float) -> float:
        """A level around 1 (gamma distributed) with this variance; 1 when there is none."""
        return self._random.gammavariate(1 / variance, variance) if variance > 0 else 1.0

    def poisson(self, mean: float) -> int:
        """Arrivals where `mean` are expected.

        A large mean is split at the time of one arrival (Ahrens and Dieter 1974; Devroye 1986, X.3.2), the rest is
        counted one by one.
        """
        count = 0
        while mean > _FEW:
            part = int(mean * _PART)
            reached = self._random.gammavariate(part, 1.0)
            if reached > mean:
                return count + self.binomial(part - 1, mean / reached)
            count, mean = count + part, mean - reached
        product, limit = self._random.random(), math.exp(-mean)
        while product > limit:
            count += 1
            product *= self._random.random()
        return count

    def binomial(self, n: int, p: float) -> int:
        """How many of `n` come out so, each with probability `p`.

        Many expected ones are split at a median of the uniform numbers they stand for (Devroye 1986, X.4.3), few are
        reached by leaps from one to the next (X.4.4).
        """
        if n <= 0 or p <= 0:
            return 0
        if p > 0.5:  # noqa: PLR2004  (the rarer of the two is counted)
            return n - self.binomial(n, 1 - p)
        count = 0
        while n * p > _FEW:
            middle = n // 2 + 1
            at = self._random.betavariate(middle, n + 1 - middle)
            if at <= p:
                count, n, p = count + middle, n - middle, (p - at) / (1 - at)
            else:
                n, p = middle - 1, p / at
        return count + (self._leaps(n, p) if p > 0 else 0)

    def _leaps(self, n: int, p: float) -> int:
        if p >= 1:
            return n
        count, place, scale = 0, 0, math.log1p(-p)
        while True:
            place += int(math.log(1 - self._random.random()) / scale) + 1
            if place > n:
                return count
            count += 1

    def spread(self, n: int, shares: Sequence[float]) -> list[int]:
        """`n` things put into boxes, one box after the other."""
        found, left, rest = [], n, 1.0
        for share in shares[:-1]:
            count = self.binomial(left, min(share / rest, 1.0)) if left and rest > 0 else 0
            found.append(count)
            left, rest = left - count, rest - share
        return [*found, left]
