"""What the suite asks of a provider, in the provider's terms, and when a split is as asked."""

from __future__ import annotations

import math

from conformance.harness import Served
from sparkrelease.decide.facts import RouteMark
from sparkrelease.decide.plan import SetWeight

EPOCH = 7
RUN = "v2-0a1b2c"
SIGMAS = 5.0

AT_REST = SetWeight(0, RouteMark(epoch=EPOCH))


def set_weight(canary: float, rollback: str = "", mirror: float = 0.0) -> SetWeight:
    """The action of a run under way."""
    return SetWeight(canary, RouteMark(run=RUN, epoch=EPOCH, weight=canary, rollback=rollback, mirror=mirror), mirror)


def in_band(served: Served, percent: float) -> bool:
    """Whether the canary's share is what a fair gateway gives: within five sigma of the binomial distribution."""
    p = percent / 100
    return abs(served.canary - served.total * p) <= SIGMAS * math.sqrt(served.total * p * (1 - p))
