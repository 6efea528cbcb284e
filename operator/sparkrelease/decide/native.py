"""Native histograms: how many events were at or below a bound, exactly or not at all.

A server tells the filled buckets alone, each with its bounds. At a bound that lies inside none of them, every bucket is
either below it with all its events or above it with all of them: the count is a sum. Inside a filled bucket nobody can
know it. So a histogram is held as where its buckets begin and where they end, and a count is known exactly where as
many have ended as have begun. Buckets of several resolutions, of several pods, lie side by side without being changed.
"""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from typing import NamedTuple

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.measured import Buckets, Missing

RULES = range(4)
"""Which of its bounds a bucket holds, as Prometheus writes it: its upper one, its lower one, neither, both."""

_HOLDS_LOWER = frozenset({1, 3})
_BOTH = 3

NAMED = 1e-3
"""How far a limit may be from the bound it names, relatively: nobody writes 0.29730177875068026."""

_SAME = 1e-9
"""How far two bounds may be apart, relatively, that are one."""

_MORE = 1e-6
"""By how much the events in buckets may exceed those of the whole, relatively, where counts are extrapolated."""

FINEST = 8
"""The finest resolution there is: 256 bounds between a number and twice that number. At 0 there is one, at -1 every
second of them."""

COARSEST = -4

_COMPARED = 2
"""Resolution at which events are compared where the histogram's own is finer: servers and clients lower theirs."""

_QUARTERS = (0.5, 0.5946035575013605, 0.7071067811865475, 0.8408964152537144)
"""Bounds at `_COMPARED` between a half and one, in the digits in which Prometheus has them."""


_TELLING = (0.001, 0.8)
"""Shares of slower events at which a bound may be compared, and a little beyond: those of a window vary."""


class Bucket(NamedTuple):
    """One filled bucket as the server tells it; `rule` is one of `RULES`."""

    rule: int
    lower: float
    upper: float
    events: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Events by buckets that may overlap. `total` is of all events; those that are no number are in no bucket.

    `starts` and `ends` are in ascending order, each by itself; `up_to` has for every end the events in buckets that end
    there or before. A bucket that holds its lower bound starts a trifle below it: `held` are such starts. `zero` is the
    upper bound of the bucket around zero, which is at no resolution.
    """

    total: float
    starts: array[float]
    ends: array[float]
    up_to: array[float]
    held: tuple[float, ...] = ()
    zero: float | None = None

    @property
    def bounds(self) -> list[float]:
        """The bounds of buckets at which the count is known, ascending."""
        every = {*self.starts, *self.ends}.difference(self.held)
        return sorted(bound for bound in every if math.isfinite(bound) and self.count_at(bound) is not None)

    def count_at(self, bound: float) -> float | None:
        """Events at or below the bound; None where it lies inside a filled bucket."""
        trifle = _SAME * abs(bound)
        begun, ended = bisect_left(self.starts, bound - trifle), bisect_right(self.ends, bound + trifle)
        if begun != ended:
            return None
        return self.up_to[ended - 1] if ended else 0.0

    def count_at_limit(self, limit: float) -> float | None:
        """Events at or below a limit that people wrote: of the bound it names, where it is none itself."""
        found = self.count_at(limit)
        if found is not None:
            return found
        meant = [bound for bound in self.around(limit) if abs(bound - limit) <= NAMED * abs(limit)]
        return self.count_at(min(meant, key=lambda bound: abs(bound - limit))) if meant else None

    def at(self, limits: Iterable[float]) -> Buckets | Missing:
        """The events at or below each of some limits; Missing where one of them cannot be known."""
        found = {limit: self.count_at_limit(limit) for limit in limits}
        unknown = next((limit for limit, count in found.items() if count is None), None)
        if unknown is not None:
            text = f"the limit {unknown:g} lies inside a bucket of the native histogram"
            return Missing(Reason.BUCKET_EDGE, f"{text}; the nearest edges are {named(self.around(unknown))}")
        return Buckets({limit: count for limit, count in found.items() if count is not None}, self.total)

    def around(self, limit: float) -> tuple[float, ...]:
        """The nearest known bounds below and above; fewer where there are none."""
        bounds = self.bounds
        place = bisect_left(bounds, limit)
        return tuple(bounds[max(0, place - 1) : place + 1])


def named(edges: Iterable[float]) -> str:
    """Edges as a limit can name them."""
    return " and ".join(f"{edge:.4g}" for edge in edges) or "none"


def histogram_of(total: float, buckets: Iterable[Bucket]) -> Histogram | Missing:
    """The histogram of these buckets, in any order; Missing where they are none of events that were counted."""
    filled = [bucket for bucket in buckets if bucket[3] != 0]
    unclear = [one for one in filled if not (0 < one[3] < math.inf and one[1] < one[2] and one[0] in RULES)]
    odd = next((why for bucket in sorted(unclear, key=str) if (why := _odd(bucket)) is not None), None)
    if odd is not None:
        return odd
    held = sorted(_start(bucket) for bucket in filled if bucket[0] in _HOLDS_LOWER)
    lowers = (bucket[1] for bucket in filled if bucket[0] not in _HOLDS_LOWER)
    zero = max((bucket.upper for bucket in filled if bucket[0] == _BOTH and math.isfinite(bucket.lower)), default=None)
    ends = sorted((bucket[2], bucket[3]) for bucket in filled)
    found = _made(total, sorted([*held, *lowers]), ends, tuple(held), zero)
    counted = found.up_to[-1] if ends else 0.0
    if not math.isfinite(total):
        return Missing(Reason.NOT_A_NUMBER, f"the histogram counts {total:g} events")
    if total < 0 or counted > total * (1 + _MORE):
        text = f"the buckets of the histogram count {counted:g} events of {total:g}"
        return Missing(Reason.INCONSISTENT_COUNTS, f"{text}: a counter was reset in the window")
    return found


def _odd(bucket: Bucket) -> Missing | None:
    rule, lower, upper, events = bucket
    name = f"the bucket from {lower:g} to {upper:g}"
    if math.isnan(lower) or math.isnan(upper) or not math.isfinite(events):
        return Missing(Reason.NOT_A_NUMBER, f"{name} counts {events:g} events")
    if rule not in RULES or lower > upper or (lower == upper and rule != _BOTH):
        return Missing(Reason.INCONSISTENT_COUNTS, f"{name} is none")
    if events < 0:
        text = f"{name} is negative ({events:g}): a counter was reset in the window"
        return Missing(Reason.INCONSISTENT_COUNTS, text)
    return None


def _made(
    total: float,
    starts: Sequence[float],
    ends: Sequence[tuple[float, float]],
    held: tuple[float, ...],
    zero: float | None,
) -> Histogram:
    """Of ends in ascending order, each with its events."""
    up_to = array("d", accumulate(events for _, events in ends))
    return Histogram(total, array("d", starts), array("d", [upper for upper, _ in ends]), up_to, held, zero)


def _start(bucket: Bucket) -> float:
    if bucket.rule not in _HOLDS_LOWER:
        return bucket.lower
    return math.nextafter(bucket.lower - 4 * _SAME * abs(bucket.lower), -math.inf)


def together(histograms: Sequence[Histogram]) -> Histogram:
    """Several histograms as one, whatever their resolutions: where one of them does not know a count, nobody does."""
    return _made(
        math.fsum(one.total for one in histograms),
        sorted(start for one in histograms for start in one.starts),
        sorted(end for one in histograms for end in _ended(one)),
        tuple(sorted(start for one in histograms for start in one.held)),
        max((one.zero for one in histograms if one.zero is not None), default=None),
    )


def _ended(one: Histogram) -> Iterator[tuple[float, float]]:
    """Every bucket's end with its events."""
    for upper, (before, events) in zip(one.ends, pairwise([0.0, *one.up_to]), strict=True):
        yield upper, events - before


# ---------------------------------------------------------------- resolutions


def scale_of(histogram: Histogram) -> int | None:
    """The resolution of an exponential histogram, by its bounds; None for one of other bounds, or without any.

    Powers of two may be anybody's bounds: 0 and less is a guess.
    """
    return _scale(_positive(histogram))


def _scale(bounds: Sequence[float]) -> int | None:
    levels = [_level(bound) for bound in bounds]
    known = [level for level in levels if level is not None]
    return max(known) if known and len(known) == len(levels) else None


def names_bound(limit: float, scale: int) -> bool:
    """Whether a limit above zero is a bound of that resolution, or names one."""
    return any(abs(bound - limit) <= NAMED * limit for bound in bounds_around(limit, scale))


@lru_cache(maxsize=4096)
def bounds_around(limit: float, scale: int) -> tuple[float, float]:
    """The bounds of that resolution that are nearest to a limit above zero, below and above it or at it."""
    place = math.log2(limit) * 2.0**scale
    whole = round(place)
    low, high = (whole, whole) if abs(place - whole) <= _SAME * 2**FINEST else (math.floor(place), math.ceil(place))
    return _bound(low, scale), _bound(high, scale)


def compared(sides: Sequence[Histogram], most: int) -> list[dict[float, float]]:
    """At most so many bounds for a comparison, the same ones for all sides, each with the events at or below it.

    Of an exponential histogram those at the resolution `_COMPARED`, below and above every filled bucket: bounds as long
    as no resolution is coarser. Of others those there are. Of too many those stay at which the first side, by which
    edges are chosen, tells something; then coarse ones.
    """
    kept = sorted({bound for one in sides for bound in _lasting(one)})
    if len(kept) > most:
        kept = sorted(sorted(kept, key=partial(_untelling, sides[0]))[:most])
    known = ([(bound, one.count_at(bound)) for bound in kept] for one in sides)
    return [{bound: count for bound, count in counts if count is not None} for counts in known]


def _lasting(histogram: Histogram) -> Iterable[float]:
    known = _positive(histogram)
    if _scale(known) is None:
        return known
    return (edge for bound in known for edge in bounds_around(bound, _COMPARED))


def _untelling(histogram: Histogram, bound: float) -> tuple[bool, int, int]:
    """How little a bound tells of a histogram, and how fine it is; the rest is chance, the same in every window."""
    count, level = histogram.count_at(bound), _level(bound)
    slower = 1.0 if count is None or histogram.total <= 0 else 1 - count / histogram.total
    return not _TELLING[0] <= slower <= _TELLING[1], level if level is not None else 0, _place(bound)


def _place(bound: float) -> int:
    """Where a bound stands among others, by itself and as if by chance."""
    return zlib.crc32(struct.pack("<d", bound))


def _positive(histogram: Histogram) -> list[float]:
    """The known bounds above zero, but that of the bucket around it."""
    return [bound for bound in histogram.bounds if bound > 0 and bound != histogram.zero]


@lru_cache(maxsize=4096)
def _level(bound: float) -> int | None:
    """The coarsest resolution that has the bound; None when there is none."""
    place = math.log2(bound) * 2.0**FINEST
    number = round(place)
    if abs(place - number) > _SAME * 2**FINEST * max(1.0, abs(math.log2(bound))):
        return None
    level = FINEST
    while level > COARSEST and number % 2 == 0:
        number //= 2
        level -= 1
    return level


def _bound(number: int, scale: int) -> float:
    if scale > _COMPARED:
        return math.exp2(number / 2.0**scale)
    quarter = number << (_COMPARED - scale)
    return math.ldexp(_QUARTERS[quarter % len(_QUARTERS)], quarter // len(_QUARTERS) + 1)
