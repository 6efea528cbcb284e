"""Answers of a metrics server as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One series of an answer: its labels and its value (NaN and infinities as they came)."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, with what the server remarked on it."""

    rows: Sequence[Row]
    infos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a time: its labels, and (seconds of Unix time, value) where it had one, oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """A complete answer to a range query."""

    series: Sequence[Series]
