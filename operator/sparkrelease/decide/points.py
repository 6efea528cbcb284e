"""Histories in few characters: columns of differences where these are exact, plain numbers where they are not.

Scrapes come at a steady pace and gauges change little, so differences compress to a third of the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

Points = tuple[tuple[float, float], ...]
"""Seconds of Unix time and a value, each."""

_SCALES = (1, 1000)
"""Whole numbers (bytes, connections), and times in milliseconds."""

_EXACT_BELOW = 2.0**50
_WORDS = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}


def write(points: Points) -> object:
    """The points as two columns."""
    return [_write_column([time for time, _ in points]), _write_column([value for _, value in points])]


def read(data: object) -> Points:
    """The inverse of `write`. Raises ValueError for data it did not write."""
    match data:
        case [times, values]:
            return tuple(zip(_read_column(times), _read_column(values), strict=True))
        case _:
            raise ValueError(f"not the points of a history: {data!r}")


def _write_column(numbers: Sequence[float]) -> object:
    for scale in _SCALES:
        scaled = _scaled(numbers, scale)
        if scaled:
            return {"by": scale, "steps": [scaled[0], *(after - before for before, after in pairwise(scaled))]}
    return [_word(number) for number in numbers]


def _scaled(numbers: Sequence[float], scale: int) -> list[int] | None:
    """The numbers as whole multiples of 1/scale; None unless each of them comes back exactly, its sign included."""
    found: list[int] = []
    for number in numbers:
        if not abs(number) * scale < _EXACT_BELOW:
            return None
        whole = round(number * scale)
        if whole / scale != number or (number == 0 and math.copysign(1, number) < 0):
            return None
        found.append(whole)
    return found


def _word(number: float) -> float | str:
    if math.isfinite(number):
        return float(number)
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def _read_column(data: object) -> list[float]:
    match data:
        case {"by": int(scale), "steps": [*steps]} if scale > 0 and all(type(step) is int for step in steps):
            return [whole / scale for whole in accumulate(steps)]
        case [*numbers]:
            return [_number(number) for number in numbers]
        case _:
            raise ValueError(f"not a column of numbers: {data!r}")


def _number(value: object) -> float:
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"not a number: {value!r}")
