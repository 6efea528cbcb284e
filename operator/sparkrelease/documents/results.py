"""What the objectives of a stage came to: at its gate or a check of the watch, else by the last look at it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.status import Verdict
from sparkrelease.decide.basis import read_reading
from sparkrelease.decide.facts import Buckets, MetricFacts, Reading
from sparkrelease.decide.rules import Judgement, events, number_of
from sparkrelease.decide.thresholds import judge_facts, judged_of
from sparkrelease.decide.watching import INTERVAL, WHOLE
from sparkrelease.documents.record import Decision, Run


class Over(StrEnum):
    """The time an objective was judged over."""

    STAGE = "stage"
    """All of the stage, by its gate; all of the watch so far, by a check."""
    CHECK = "check"
    """The time since the check before."""
    LOOK = "look"
    """The metric's own window: a glance."""


@dataclass(frozen=True, slots=True)
class Result:
    """One objective in one stage.

    `number` is canary's value in the metric's own unit (a share for counters, a quantile for buckets), `events` what
    it was counted from.
    """

    threshold: str
    metric: str
    verdict: Verdict
    said: str
    number: float | None
    stable: float | None
    events: float | None
    over: Over

    @property
    def whole_stage(self) -> bool:
        """Whether all of the stage was judged."""
        return self.over is Over.STAGE


def results_of(run: Run, decision: Decision) -> tuple[Result, ...]:
    """The objectives as this decision saw them; empty when nothing says."""
    judged = judged_in(decision)
    if judged is not None:
        verdicts, criteria, readings = judged
        return _at_gate(run, verdicts, readings) if criteria is None else _at_check(run, verdicts, criteria, readings)
    facts = decision.inputs.facts if decision.inputs is not None else None
    if facts is None:
        return ()
    if facts.gate is not None:
        seen = [(one, facts.gate.get(one.name)) for one in run.spec.thresholds]
        return tuple(_judged(run, one, found, Over.STAGE) for one, found in seen if found is not None)
    seen = [(one, facts.metrics.get(one.metric)) for one in run.spec.thresholds]
    return tuple(_judged(run, one, found, Over.LOOK) for one, found in seen if found is not None)


_Stored = Mapping[object, object]


def judged_in(decision: Decision) -> tuple[_Stored, _Stored | None, _Stored] | None:
    """Verdicts, criteria (None but at a check of the watch) and readings as an entry holds them; None without any."""
    for entry in decision.entries:
        verdicts, criteria, readings = (entry.data.get(key) for key in ("verdicts", "criteria", "readings"))
        if isinstance(verdicts, Mapping) and isinstance(readings, Mapping):
            return verdicts, criteria if isinstance(criteria, Mapping) else None, readings
    return None


def _at_gate(run: Run, verdicts: _Stored, readings: _Stored) -> tuple[Result, ...]:
    """The verdicts as they were stored, beside the readings they were made from."""
    found = (_as_stored(run, one, verdicts, readings.get(one.name), Over.STAGE) for one in run.spec.thresholds)
    return tuple(one for one in found if one is not None)


def _at_check(run: Run, verdicts: _Stored, criteria: _Stored, readings: _Stored) -> tuple[Result, ...]:
    """Each objective over the whole watch so far, but over the time since the last check where it fails there.

    What counts at gates alone is judged over that time only.
    """
    found = []
    for one in run.spec.thresholds:
        whole = _as_stored(run, one, criteria, readings.get(f"{WHOLE}/{one.name}"), Over.STAGE)
        since = _as_stored(run, one, verdicts, readings.get(f"{INTERVAL}/{one.name}"), Over.CHECK)
        fails = since is not None and since.verdict is Verdict.FAIL
        found.append(since if fails or whole is None else whole)
    return tuple(one for one in found if one is not None)


def _as_stored(run: Run, threshold: Threshold, verdicts: _Stored, reading: object, over: Over) -> Result | None:
    verdict, facts = verdict_of(verdicts.get(threshold.name)), facts_of(reading)
    return _result(run, threshold, facts, verdict, over) if verdict is not None and facts is not None else None


def verdict_of(word: object) -> Verdict | None:
    """The verdict of that name; None when there is none."""
    return next((one for one in Verdict if one.value == word), None)


def facts_of(data: object) -> MetricFacts | None:
    """A reading as an entry holds it; None when it is none."""
    try:
        return read_reading(data) if isinstance(data, Mapping) else None
    except ValueError:
        return None


def _judged(run: Run, threshold: Threshold, facts: MetricFacts, over: Over) -> Result:
    return _result(run, threshold, facts, _judgement(run, threshold, facts, over).verdict, over)


def _result(run: Run, threshold: Threshold, facts: MetricFacts, verdict: Verdict, over: Over) -> Result:
    metric = run.spec.metric(threshold.metric)
    canary, _ = judged_of(threshold, metric, facts, run.baseline(metric.name))
    return Result(
        threshold=threshold.name,
        metric=metric.name,
        verdict=verdict,
        said=_judgement(run, threshold, facts, over).message,
        number=number(metric, canary),
        stable=number(metric, facts.stable),
        events=events(canary),
        over=over,
    )


def _judgement(run: Run, threshold: Threshold, facts: MetricFacts, over: Over) -> Judgement:
    metric, least = run.spec.metric(threshold.metric), 1 if over is Over.LOOK else None
    return judge_facts(threshold, metric, facts, run.baseline(metric.name), least=least)


# ---------------------------------------------------------------- one number of a reading


def number(metric: Metric, reading: Reading) -> float | None:
    """The one number of a reading that a chart or a table shows; None when there is none."""
    if isinstance(reading, Buckets):
        found = quantile_of(reading, metric.quantile) if metric.quantile is not None else None
    else:
        found = number_of(reading)
    return found if found is not None and math.isfinite(found) else None


def quantile_of(reading: Buckets, quantile: float) -> float | None:
    """The quantile by linear interpolation within its bucket, as `histogram_quantile` of Prometheus has it.

    Nothing is decided by it: gates compare the share at or below an edge, which is exact. Above the last edge it is the
    last edge; None without events.
    """
    wanted = quantile * reading.total
    below_edge, below = 0.0, 0.0
    if reading.total <= 0:
        return None
    for edge, count in sorted(reading.at_or_below.items()):
        if count >= wanted and count > below:
            return below_edge + (edge - below_edge) * max(0.0, wanted - below) / (count - below)
        below_edge, below = edge, max(below, count)
    return below_edge if reading.at_or_below else None


def limits_of(run: Run, threshold: Threshold) -> tuple[tuple[str, float], ...]:
    """The limits of an objective as (comparison that must hold, number)."""
    baseline, factor = run.baseline(threshold.metric), threshold.max_vs_baseline
    relative = factor * baseline if factor is not None and baseline is not None else None
    bounds = (("≤", threshold.max), ("≥", threshold.min), ("≤", relative))
    return tuple((sign, bound) for sign, bound in bounds if bound is not None)
