"""Argo Rollouts' AnalysisRun (v1.9.1: analysis/analysis.go, utils/evaluate/evaluate.go).

Each metric is measured by itself and counts how its measurements came out, over the whole run. Errors are measurements
that could not be made (an empty answer), they do not count towards `count`. Nothing is forgotten: a failure of an hour
ago counts as much as one of now.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

ERROR_RETRY = 10.0
"""Seconds to the next measurement after one that could not be made."""


class Phase(StrEnum):
    """How a measurement, a metric or a run stands; later ones are worse."""

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"


_WORST = (Phase.SUCCESSFUL, Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED)

Condition = Callable[[float], bool]


@dataclass(frozen=True)
class Metric:
    """One metric of an AnalysisTemplate, with the controller's defaults. Times in seconds; -1 switches a limit off."""

    name: str
    interval: float | None = None
    success: Condition | None = None
    failure: Condition | None = None
    count: int | None = None
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0

    @property
    def measurements(self) -> int | None:
        """How many are made; without interval and count just one, with an interval alone they never end."""
        if self.count is not None:
            return self.count
        return 1 if self.interval is None else None

    def evaluate(self, value: float | None) -> Phase:
        """How one answer counts; None is an empty one, from which `result[0]` is an error."""
        if value is None:
            return Phase.ERROR
        if self.success is None and self.failure is None:
            return Phase.SUCCESSFUL
        if self.failure is None and self.success is not None:
            return Phase.SUCCESSFUL if self.success(value) else Phase.FAILED
        if self.success is None and self.failure is not None:
            return Phase.FAILED if self.failure(value) else Phase.SUCCESSFUL
        if self.failure is not None and self.failure(value):
            return Phase.FAILED
        return Phase.SUCCESSFUL if self.success is not None and self.success(value) else Phase.INCONCLUSIVE


class MetricRun:
    """The measurements of one metric so far."""

    def __init__(self, metric: Metric, start: float = 0.0) -> None:
        self.metric = metric
        self.phase = Phase.RUNNING
        self.due = start
        self.counts = dict.fromkeys(_WORST, 0)
        self._errors_in_a_row = self._successes_in_a_row = 0

    def measure(self, at: float, value: float | None) -> Phase:
        """Takes one measurement and says how the metric stands."""
        found = self.metric.evaluate(value)
        self.counts[found] += 1
        self._errors_in_a_row = self._errors_in_a_row + 1 if found is Phase.ERROR else 0
        self._successes_in_a_row = self._successes_in_a_row + 1 if found is Phase.SUCCESSFUL else 0
        self.due = at + (ERROR_RETRY if found is Phase.ERROR else self.metric.interval or ERROR_RETRY)
        self.phase = self._assess()
        return self.phase

    def _assess(self) -> Phase:
        """The rules in their order; a later one overrides an earlier one, so that Inconclusive can hide Failed."""
        metric, phase = self.metric, Phase.RUNNING
        if _beyond(self.counts[Phase.FAILED], metric.failure_limit):
            phase = Phase.FAILED
        if _beyond(self.counts[Phase.INCONCLUSIVE], metric.inconclusive_limit):
            phase = Phase.INCONCLUSIVE
        if _beyond(self._errors_in_a_row, metric.consecutive_error_limit):
            phase = Phase.ERROR
        if phase is not Phase.RUNNING:
            return phase
        if metric.consecutive_success_limit and self._successes_in_a_row >= metric.consecutive_success_limit:
            return Phase.SUCCESSFUL
        counted = sum(self.counts[one] for one in _WORST if one is not Phase.ERROR)
        if metric.measurements is None or counted < metric.measurements:
            return phase
        if not metric.consecutive_success_limit:
            return Phase.SUCCESSFUL
        # The row was asked for and is not there: a person decides, or where failures have no limit it has failed.
        return Phase.INCONCLUSIVE if metric.failure_limit >= 0 else Phase.FAILED


def _beyond(count: int, limit: int) -> bool:
    return limit >= 0 and count > limit


class AnalysisRun:
    """Several metrics; the run ends with the first that goes wrong, and metrics cut short count as successful."""

    def __init__(self, metrics: tuple[Metric, ...], start: float = 0.0) -> None:
        self.metrics = [MetricRun(metric, start) for metric in metrics]

    @property
    def phase(self) -> Phase:
        """How the run stands."""
        bad = [one.phase for one in self.metrics if one.phase in _WORST[1:]]
        if bad:
            return max(bad, key=_WORST.index)
        return Phase.SUCCESSFUL if all(one.phase is Phase.SUCCESSFUL for one in self.metrics) else Phase.RUNNING

    @property
    def aborts(self) -> bool:
        """Whether the rollout goes back; Inconclusive pauses it for a person instead."""
        return self.phase in {Phase.FAILED, Phase.ERROR}

    def cancelled(self) -> Phase:
        """The verdict of a run that is stopped by a promotion: successful if nothing went wrong so far."""
        return Phase.SUCCESSFUL if self.phase is Phase.RUNNING else self.phase


def at_least(limit: float) -> Condition:
    """`result[0] >= limit`. NaN is not."""
    return lambda value: value >= limit


def at_most(limit: float) -> Condition:
    """`result[0] <= limit`. NaN is not."""
    return lambda value: not math.isnan(value) and value <= limit


DOCUMENTED = (Metric("success-rate", interval=300.0, success=at_least(0.95), failure_limit=3),)
"""The example of docs/features/analysis.md, measured by `irate`: the last two scrapes."""

TUNED = (
    Metric("success-rate", interval=60.0, success=at_least(0.99), failure_limit=3),
    Metric("p95", interval=60.0, success=at_most(0.4), failure_limit=3),
)
"""What a careful user would write, measured over a minute."""
