"""What metrics said of a release: readings, counts of exact windows, histories, and how stable was before the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.metrics import Threshold
from sparkrelease.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Value:
    """One number."""

    value: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Events in the window: bad ones out of all."""

    bad: float
    total: float


@dataclass(frozen=True, slots=True)
class Buckets:
    """Events in the window at or below each edge (edge -> count), and all of them."""

    at_or_below: Mapping[float, float]
    total: float

    def count_at(self, edge: float) -> float | None:
        """Events at or below an edge; None where it cannot be known. See `count_between`."""
        return count_between(self.at_or_below, self.total, edge)


def count_between(at_or_below: Mapping[float, float], total: float, edge: float) -> float | None:
    """Events at or below an edge that need not be there; None where it cannot be known.

    Between two edges that count the same there is no event: what is at or below any edge there is known. A native
    histogram tells filled buckets alone, so its edges are not the same in every window.
    """
    found = at_or_below.get(edge)
    if found is not None:
        return found
    low, below, high, above = -math.inf, 0.0, math.inf, total
    for known, count in at_or_below.items():
        if low < known < edge:
            low, below = known, count
        elif edge < known < high:
            high, above = known, count
    return below if below == above else None


@dataclass(frozen=True, slots=True)
class Missing:
    """No usable answer, and why; never the same as a bad value."""

    reason: Reason
    message: str
    server_wide: bool = False
    """True when the whole metrics server is blind, not just this query."""


Reading = Value | Counts | Buckets | Missing


@dataclass(frozen=True, slots=True)
class Again:
    """A time counted once more, because series were reset or vanished in it: why, by which query, and what came of it.

    It holds what the difference between the ends of the time has lost.
    """

    why: str
    query: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """One metric, read for both roles at one instant over one window.

    Over a stage counters may have been counted twice (`Again`): then neither counting is known to be all there was.
    """

    query: str
    at: datetime
    window: timedelta
    canary: Reading
    stable: Reading
    canary_again: Again | None = None
    stable_again: Again | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A metric over another window than its own, or as it was some time ago."""

    metric: str
    window: timedelta
    back: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class SpanAsk:
    """A metric asked once over a span that ends now, as the threshold reads it; `name` tells the answer apart.

    `whole` counts events of pods that are gone by now, too: spans of hours and days outlast pods.
    """

    name: str
    threshold: Threshold
    over: timedelta
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """Events of one metric in one of its disjoint windows, which end at multiples of `Metric.every` of Unix time.

    A side is exact Counts or Buckets, or Missing with reason WindowVoid where the counts cannot be known exactly (a
    reset, a series that vanished, a gap). A window one side of which is void says nothing of either.

    It is `apart` where samples of the roles are of different moments: what is counted of one began and ended earlier
    than of the other.
    """

    end: datetime
    length: timedelta
    canary: Counts | Buckets | Missing
    stable: Counts | Buckets | Missing
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One series' history: `points` are (seconds of Unix time, value), oldest first, without gaps filled in.

    `name` is the pod, or empty where the role's series are one; `born` is when the pod or its process began, if known.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    born: datetime | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class History:
    """What a metric was over a time, for trends."""

    query: str
    at: datetime
    over: timedelta
    canary: tuple[Track, ...] | Missing
    stable: tuple[Track, ...] | Missing


@dataclass(frozen=True, slots=True)
class Baseline:
    """What stable was before the run: looked at once and frozen.

    `value` is the highest of the means of a metric's windows; `spread` the relative variance of its bad events from
    minute to minute beyond chance (0 for none), by which the comparison is made less sure of itself.
    """

    query: str
    at: datetime
    over: timedelta
    value: float | None
    spread: float = 0.0
    events: float = 0.0
    problem: Missing | None = None
