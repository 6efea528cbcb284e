"""Geometry of charts: numbers become places in a frame. What they look like is the template's and the style's part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TICKS = 4
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)
_MOST_TIMES = 6
_NOISE = 1e-9
"""What binary fractions make of a round number."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`, drawn from `begin` to `end`; logarithmic (both above 0) when told so."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Place of a value; one outside is drawn at the edge."""
        inside = min(max(value, self.low), self.high)
        low, high, here = (math.log(one) if self.log else one for one in (self.low, self.high, inside))
        return self.begin + (self.end - self.begin) * ((here - low) / (high - low) if high > low else 0.0)

    def ticks(self, about: int = _TICKS) -> list[float]:
        """Round values along the axis, about so many; powers of ten along a logarithmic one."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - _NOISE), math.floor(math.log10(self.high) + _NOISE)
            return [10.0**power for power in range(first, last + 1)]
        rough = (self.high - self.low) / about
        if rough <= 0:
            return [self.low]
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough * (1 - _NOISE))
        first = math.ceil(self.low / step - _NOISE)
        return [k * step for k in range(first, math.floor(self.high / step + _NOISE) + 1)]

    def times(self) -> list[float]:
        """Round spans along an axis of seconds, at most six beside zero."""
        width = self.high - self.low
        step = next((one for one in _SECONDS if width / one <= _MOST_TIMES), width / _MOST_TIMES or 1)
        return [k * step for k in range(math.floor(self.high / step) + 1)]


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture's size and the axes inside it."""

    width: float
    height: float
    x: Axis
    y: Axis


def framed(width: float, height: float, x: tuple[float, float], y: tuple[float, float], *, left: float) -> Frame:
    """A frame with room for labels on the left and below."""
    top, right, bottom = 8.0, 8.0, 20.0
    return Frame(width, height, Axis(*x, left, width - right), Axis(*y, height - bottom, top))


Point = tuple[float, float | None]
"""Seconds and a value; None where there is a gap."""


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many points: of each stretch the one with the largest value, so that no peak is lost; gaps stay."""
    if len(points) <= most or most < 1:
        return list(points)
    size = math.ceil(len(points) / most)
    stretches = (points[place : place + size] for place in range(0, len(points), size))
    return [max(stretch, key=lambda point: -math.inf if point[1] is None else point[1]) for stretch in stretches]


def line(frame: Frame, points: Sequence[Point]) -> str:
    """Path data through the points, broken where there is none; a lone point is a stroke of no length."""
    parts: list[str] = []
    for run in _unbroken(points):
        places = [f"{frame.x.at(at):.1f} {frame.y.at(value):.1f}" for at, value in run]
        parts.append("M" + "L".join(places if len(places) > 1 else places * 2))
    return "".join(parts)


def stairs(frame: Frame, points: Sequence[tuple[float, float]], until: float) -> str:
    """Path data of a value that holds until the next one, down to the base at both ends."""
    if not points:
        return ""
    base = frame.y.at(frame.y.low)
    path = [f"M{frame.x.at(points[0][0]):.1f} {base:.1f}"]
    for at, value in points:
        path.append(f"H{frame.x.at(at):.1f}V{frame.y.at(value):.1f}")
    return "".join((*path, f"H{frame.x.at(until):.1f}V{base:.1f}"))


def _unbroken(points: Sequence[Point]) -> Iterator[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for at, value in points:
        if value is not None and math.isfinite(value):
            run.append((at, value))
        elif run:
            yield run
            run = []
    if run:
        yield run
