"""When a look at the metrics is worth most: right behind the scrape that brings the samples it reads."""

from __future__ import annotations

import math
from collections import deque

EARLIEST = 0.75
"""A look comes at most this much of a tick after the one before, so that it costs at most a third more queries."""

FIRST_MARGIN, LEAST_MARGIN = 0.1, 0.02
"""Seconds between the time of a sample and the look for it: a scrape takes its time until it can be queried."""

PATIENCE = 20
"""Looks in a row that found what they came for, after which a smaller margin is tried."""

SMALLER = 0.9

RETRIES = (0.03, 0.06, 0.12)
"""Seconds to the next look after one that came too early."""

_STEPS = 8
_SAME = 0.001
_SLACK = 0.01
"""Seconds a look may come later than its tick to be behind a beat."""

_AHEAD = 4
"""Beats that are looked at for one that looks can be led to."""

_JITTER = 0.1
"""Seconds by which scrapes may be off their beat."""


class Rhythm:
    """Learns the beat of the scrapes from the times of the newest samples, and places looks behind it.

    All times are in Unix seconds. Only a common beat helps: where targets are scraped at different moments no one
    moment is good for all of them, and looks come at their own pace, as they do until a beat is known.
    """

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._newest: float | None = None
        self._margin = FIRST_MARGIN
        self._aimed = False
        self._missed = 0
        self._hits = 0

    @property
    def margin(self) -> float:
        """Seconds between a sample's time and the look for it."""
        return self._margin

    @property
    def interval(self) -> float | None:
        """Seconds between two beats, or a multiple of it that no look fell between; None while it is not known."""
        return _common(self._steps) if len(self._steps) > 1 else None

    def heard(self, asked: float, newest: float, *, in_turn: bool = True) -> None:
        """Takes an answer: when it was asked for, the time of its newest sample, and whether `next` had said when."""
        before, self._newest = self._newest, newest
        if before is None:
            return
        if newest < before - _SAME or newest > asked:
            self._forget()
        elif newest - before <= _SAME:
            self._missed += self._aimed and in_turn
        else:
            self._steps.append(newest - before)
            if in_turn:
                self._found(asked - newest)

    def missing(self) -> None:
        """Takes an answer without samples, or with samples of no common beat."""
        self._newest = None
        self._forget()

    def next(self, last: float, due: float) -> float:
        """When to look next: a tick after the last look, or a little earlier so that looks come behind a beat."""
        self._aimed = False
        interval, newest = self.interval, self._newest
        if interval is None or newest is None:
            return due
        if 0 < self._missed <= len(RETRIES):
            again = last + RETRIES[self._missed - 1]
            self._aimed = again < due
            return min(again, due)
        self._missed = 0
        tick, first = due - last, math.floor((last - newest - self._margin) / interval) + 1
        for beat in range(max(first, 1), max(first, 1) + _AHEAD):
            way = newest + beat * interval + self._margin - last
            looks = max(math.ceil((way - _SLACK) / tick), 1)
            if way >= looks * tick * EARLIEST:
                self._aimed = looks == 1
                return last + way / looks
        return due

    def _found(self, lag: float) -> None:
        """New samples were there: after a miss their lag is the margin that is needed, else a smaller one may do."""
        if self._missed:
            self._margin, self._hits = max(min(lag, _half(self.interval)), LEAST_MARGIN), 0
        elif self._aimed:
            self._hits += 1
            if self._hits >= PATIENCE:
                self._margin, self._hits = max(self._margin * SMALLER, LEAST_MARGIN), 0
        self._missed = 0

    def _forget(self) -> None:
        self._steps.clear()
        self._missed = self._hits = 0
        self._margin = FIRST_MARGIN


def _half(interval: float | None) -> float:
    return interval / 2 if interval is not None else FIRST_MARGIN


def _common(steps: deque[float]) -> float | None:
    """The longest time that all steps are multiples of, give or take a little; None when it is no longer than that."""
    common = steps[0]
    for step in steps:
        longer, shorter = max(common, step), min(common, step)
        while shorter > _JITTER:
            rest = longer % shorter
            longer, shorter = shorter, min(rest, shorter - rest)
        common = longer
    return common if common > 2 * _JITTER else None
