"""What the operator writes beside a weight, whatever object holds the weight: annotations to and from a RouteMark."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.decide.facts import RouteMark

FIELD_MANAGER = "sparkrelease"

RELEASE = "sparkrelease.dev/release"
"""Label of an owned route, and annotation of every active one: the release it belongs to."""
RUN = "sparkrelease.dev/run"
WEIGHT = "sparkrelease.dev/weight"
EPOCH = "sparkrelease.dev/epoch"
ROLLBACK = "sparkrelease.dev/rollback"
MIRROR = "sparkrelease.dev/mirror"
ASKED = "sparkrelease.dev/asked-again"
MARKS = (RELEASE, RUN, WEIGHT, MIRROR, EPOCH, ROLLBACK, ASKED)
"""Annotations that come with a run and go with it."""

_MOST_DIGITS = 18
"""No epoch is longer; Python reads no number of thousands of digits."""


def annotations_of(mark: RouteMark, release: str, epoch: int) -> Mapping[str, str]:
    """The annotations of a mark; none for a write outside a run, which leaves no mark."""
    if not mark.run:
        return {}
    marks = {RELEASE: release, RUN: mark.run, WEIGHT: f"{mark.weight:g}", EPOCH: str(epoch)}
    if mark.mirror:
        marks[MIRROR] = f"{mark.mirror:g}"
    if mark.asked:
        marks[ASKED] = str(mark.asked)
    return {**marks, ROLLBACK: mark.rollback} if mark.rollback else marks


def mark_of(annotations: Mapping[str, str] | None, release: str) -> RouteMark | None:
    """The mark of this release; None when there is none or it is another release's."""
    said = annotations or {}
    run = said.get(RUN)
    if not run or said.get(RELEASE) != release:
        return None
    weight, mirror = _percent(said.get(WEIGHT)), _percent(said.get(MIRROR))
    return RouteMark(run, epoch_of(said), weight, said.get(ROLLBACK) or "", mirror, _number(said.get(ASKED)))


def epoch_of(annotations: Mapping[str, str] | None) -> int:
    """The epoch stamped on the object; 0 when there is none or it is not a number."""
    return _number((annotations or {}).get(EPOCH))


def _number(text: str | None) -> int:
    value = text or ""
    return int(value) if value.isdecimal() and len(value) <= _MOST_DIGITS else 0


def _percent(text: str | None) -> float:
    try:
        weight = float(text or "")
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 100 else 0.0  # noqa: PLR2004 - a percentage
