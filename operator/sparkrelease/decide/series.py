"""Answers of a metrics server as values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.measured import Missing
from sparkrelease.decide.native import Histogram


@dataclass(frozen=True, slots=True)
class Row:
    """One series of an answer: its labels and its value (NaN and infinities as they came).

    Where the sample is a native histogram, `histogram` has it, or why it is none of counted events; its value is no
    number then.
    """

    labels: Mapping[str, str]
    value: float
    histogram: Histogram | Missing | None = None


def row_of(labels: Mapping[str, str], histogram: Histogram | Missing) -> Row:
    """The row of a native histogram."""
    return Row(labels, math.nan, histogram)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, with what the server remarked on it.

    `left_out` is what it says of series that it left out, because their native histograms cannot be added up. Such an
    answer is none (`whole`) but for who counts what has to be there.
    """

    rows: Sequence[Row]
    infos: tuple[str, ...] = ()
    left_out: str = ""

    @property
    def whole(self) -> Answer | Missing:
        """The answer; Missing where something was left out of it."""
        return partial_answer(self.left_out) if self.left_out else self


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a time: its labels, and (seconds of Unix time, value) where it had one, oldest first.

    Where its samples were native histograms, `histograms` has them in the same way.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    histograms: tuple[tuple[float, Histogram | Missing], ...] = ()

    @property
    def rows(self) -> Iterator[tuple[float, Row]]:
        """What an instant query at each of its instants would have answered for it."""
        for at, value in self.points:
            yield at, Row(self.labels, value)
        for at, histogram in self.histograms:
            yield at, row_of(self.labels, histogram)


def partial_answer(warning: str) -> Missing:
    """What an answer is to which the server warns that it lacks something of the query's own series."""
    return Missing(Reason.PARTIAL_ANSWER, f"the server warns: {warning}")


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """A complete answer to a range query."""

    series: Sequence[Series]
