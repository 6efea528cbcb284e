"""How much of what was measured of a release changed since it was last decided on: a guess at what is urgent."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.decide.facts import Buckets, Counts, MetricFacts, Reading, Value

Measured = Mapping[str, MetricFacts]

ALL = 1.0
"""Something else is known than before, or nothing any more."""


def unrest(before: Measured, now: Measured) -> float:
    """The largest change of any canary's reading, from 0 (none at all) to 1. Cheap, for it orders looks and no more."""
    if before is now:
        return 0.0
    if before.keys() != now.keys():
        return ALL
    return max((_change(before[name].canary, facts.canary) for name, facts in now.items()), default=0.0)


def _change(before: Reading, now: Reading) -> float:
    match before, now:
        case Counts(), Counts():
            return abs(_share(now.bad, now.total) - _share(before.bad, before.total)) or _EPSILON * (before != now)
        case Value(), Value():
            most = max(abs(before.value), abs(now.value))
            return abs(before.value - now.value) / (2 * most) if 0 < most < float("inf") else float(before != now)
        case Buckets(), Buckets():
            if before.at_or_below.keys() != now.at_or_below.keys():
                return ALL
            edges = zip(before.at_or_below.values(), now.at_or_below.values(), strict=True)
            moves = (abs(_share(b, now.total) - _share(a, before.total)) for a, b in edges)
            return max(moves, default=0.0) or _EPSILON * (before != now)
    return float(before != now)


_EPSILON = 1e-9
"""New events that changed no share."""


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
