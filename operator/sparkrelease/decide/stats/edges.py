"""Which edges of a histogram a test looks at: chosen once, from stable alone, before canary is looked at."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

from sparkrelease.decide.measured import count_between
from sparkrelease.decide.stats.packing import Candidates

MOST_CHANNELS = 6
"""Each edge takes its part of the evidence; neighbours say nearly the same."""

MOST_CANDIDATES = 200
"""Of a finer histogram every second edge, or every third, is left out from the start."""

ENOUGH = 200
"""Events of stable from which its share of slower ones is known well enough to choose by."""

_TELLING = (0.005, 0.6)
"""Shares of slower events between which a test can say something soon: neither too few events nor nearly all."""


def by_edge(at_or_below: Mapping[float, float]) -> dict[float, float]:
    """Events at or below each edge, edges rounded as the state keeps them."""
    return dict(zip(array("f", at_or_below.keys()), at_or_below.values(), strict=True))


def add_window(known: Candidates | None, at_or_below: Mapping[float, float], total: float) -> Candidates | None:
    """Candidates with the events of one more window of stable; edges that are not known in every window are left out.

    A native histogram has other edges in every window, and tells of most of them by its silence.
    """
    counts = {edge: count for edge, count in by_edge(at_or_below).items() if 0 < edge < math.inf}
    if known is None:
        every = -(-len(counts) // MOST_CANDIDATES) or 1
        known = Candidates(tuple(sorted(counts)[::every]), (0.0,) * len(range(0, len(counts), every)), 0.0)
    before = {edge: known.total - slow for edge, slow in zip(known.edges, known.slower, strict=True)}
    found = {}
    for edge in _candidates(known.edges, counts):
        then, now = count_between(before, known.total, edge), count_between(counts, total, edge)
        if then is not None and now is not None:
            found[edge] = known.total - then + max(total - now, 0.0)
    if not found:
        return None
    rounded = array("f", [*found.values(), known.total + total])
    return Candidates(tuple(found), tuple(rounded[:-1]), rounded[-1])


def _candidates(known: Sequence[float], more: Mapping[float, float]) -> Sequence[float]:
    """The candidates there are, with those of one more window as long as there is room."""
    every = {*known, *more}
    return sorted(every) if len(every) <= MOST_CANDIDATES else known


def choose(known: Candidates, wanted: Sequence[float], slow: float) -> tuple[float, ...]:
    """The edges to test, ascending: those that tell something soon, nearest to `wanted` (a rule's limits) first.

    Where no rule wants an edge, those count as near whose share of slower events is near `slow`. When no edge tells
    something soon, all are candidates.
    """
    share = {edge: count / known.total for edge, count in zip(known.edges, known.slower, strict=True)}
    telling = [edge for edge in known.edges if _TELLING[0] <= share[edge] <= _TELLING[1]] or list(known.edges)

    def distance(edge: float) -> float:
        if wanted:
            return min(abs(math.log(edge / limit)) for limit in wanted)
        return abs(math.log(max(share[edge], 1e-9) / slow))

    return tuple(sorted(sorted(telling, key=lambda edge: (distance(edge), edge))[:MOST_CHANNELS]))
