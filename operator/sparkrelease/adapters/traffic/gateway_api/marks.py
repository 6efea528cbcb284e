"""The marks on a route."""

from __future__ import annotations

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject
from sparkrelease.decide.facts import RouteMark
from sparkrelease.ports import marks
from sparkrelease.ports.marks import annotations_of

__all__ = ["annotations_of", "epoch_of", "mark_of"]


def mark_of(route: RouteObject, release: str) -> RouteMark | None:
    """The mark of this release on the route; None when there is none or it is another release's."""
    return marks.mark_of(route.annotations, release)


def epoch_of(route: RouteObject) -> int:
    """Epoch stamped on the route; 0 when there is none or it is not a number."""
    return marks.epoch_of(route.annotations)
