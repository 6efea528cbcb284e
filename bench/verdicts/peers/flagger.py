"""Flagger's tick (1.44.0: pkg/controller/scheduler.go advanceCanary, scheduler_metrics.go).

A ticker per Canary. Failed checks add up over the whole analysis and are never taken back; whether there are too many
is looked at before the next check, so a rollback comes one interval after the check that made it due.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a canary is."""

    PROGRESSING = "Progressing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Check:
    """A metric's range; with neither end it always passes. `minimum` alone is how request-success-rate is judged."""

    name: str
    minimum: float | None = None
    maximum: float | None = None

    def passes(self, value: float | None) -> bool:
        """No value, or NaN, is a failed check."""
        if value is None or math.isnan(value):
            return False
        below = self.minimum is not None and value < self.minimum
        above = self.maximum is not None and value > self.maximum
        return not below and not above


@dataclass(frozen=True)
class Analysis:
    """`spec.analysis`. `weights` are the stepWeights; an empty `checks` always passes. Interval in seconds."""

    weights: tuple[float, ...]
    checks: tuple[Check, ...] = ()
    interval: float = 60.0
    threshold: int = 1
    max_weight: float = 100.0

    @classmethod
    def stepping(cls, step: float, max_weight: float, *, threshold: int, checks: tuple[Check, ...]) -> Analysis:
        """`stepWeight` with `maxWeight`, as in the tutorials."""
        count = math.ceil(max_weight / step)
        return cls(tuple(step * (k + 1) for k in range(count)), checks, threshold=threshold, max_weight=max_weight)


class Canary:
    """One analysis. `tick` is what its ticker does; the weight is what the route then says."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.phase = Phase.PROGRESSING
        self.weight = 0.0
        self.failed_checks = 0
        self._place = 0

    def tick(self, values: Sequence[float | None]) -> None:
        """One tick, with the values of the checks in their order."""
        if self.phase is not Phase.PROGRESSING:
            return
        if self.failed_checks >= self.analysis.threshold:
            self.phase, self.weight = Phase.FAILED, 0.0
            return
        if self._place == 0:
            self._advance()
            return
        for check, value in zip(self.analysis.checks, values, strict=True):
            if not check.passes(value):
                self.failed_checks += 1
                return
        if self.weight >= self.analysis.max_weight or self._place >= len(self.analysis.weights):
            self.phase, self.weight = Phase.SUCCEEDED, 100.0
        else:
            self._advance()

    def _advance(self) -> None:
        self.weight = self.analysis.weights[self._place]
        self._place += 1


BUILT_IN = (Check("request-success-rate", minimum=99.0), Check("request-duration", maximum=500.0))
"""The two built-in metrics with the limits of the documentation: percent of good requests, p99 in milliseconds."""


def held(weights: Sequence[float], minutes: Sequence[int]) -> tuple[float, ...]:
    """Weights that stay for several checks, which no Flagger has: a step of it lasts one interval.

    Each weight is given once per check. The true one finds its place by the present weight, and of equal ones always
    the first (nextStepWeight): it would stay there for ever. So this is Flagger's judging on stages of our length, and
    not a configuration that could be run.
    """
    return tuple(weight for weight, times in zip(weights, minutes, strict=True) for _ in range(times))
