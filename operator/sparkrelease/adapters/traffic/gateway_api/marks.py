"""What the operator writes on a route beside its weights: annotations to and from a RouteMark."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject
from sparkrelease.adapters.traffic.gateway_api.vocabulary import EPOCH, MIRROR, RELEASE, ROLLBACK, RUN, WEIGHT
from sparkrelease.decide.facts import RouteMark

_MOST_DIGITS = 18
"""No epoch is longer; Python reads no number of thousands of digits."""


def annotations_of(mark: RouteMark, release: str, epoch: int) -> Mapping[str, str]:
    """The annotations of a mark; none for a write outside a run, which leaves no mark."""
    if not mark.run:
        return {}
    marks = {RELEASE: release, RUN: mark.run, WEIGHT: f"{mark.weight:g}", EPOCH: str(epoch)}
    if mark.mirror:
        marks[MIRROR] = f"{mark.mirror:g}"
    return {**marks, ROLLBACK: mark.rollback} if mark.rollback else marks


def mark_of(route: RouteObject, release: str) -> RouteMark | None:
    """The mark of this release on the route; None when there is none or it is another release's."""
    run = route.annotation(RUN)
    if not run or route.annotation(RELEASE) != release:
        return None
    weight, mirror = _percent(route, WEIGHT), _percent(route, MIRROR)
    return RouteMark(run, epoch_of(route), weight, route.annotation(ROLLBACK) or "", mirror)


def epoch_of(route: RouteObject) -> int:
    """Epoch stamped on the route; 0 when there is none or it is not a number."""
    value = route.annotation(EPOCH) or ""
    return int(value) if value.isdecimal() and len(value) <= _MOST_DIGITS else 0


def _percent(route: RouteObject, name: str) -> float:
    try:
        weight = float(route.annotation(name) or "")
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 100 else 0.0  # noqa: PLR2004 - a percentage
