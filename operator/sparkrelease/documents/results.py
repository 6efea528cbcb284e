"""What the objectives of a stage came to: at its gate over the whole stage, else by the last look at it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.status import Verdict
from sparkrelease.decide.basis import read_reading
from sparkrelease.decide.facts import Buckets, MetricFacts, Reading
from sparkrelease.decide.rules import events, number_of
from sparkrelease.decide.thresholds import judge_threshold
from sparkrelease.documents.record import Decision, Run


@dataclass(frozen=True, slots=True)
class Result:
    """One objective in one stage.

    `number` is canary's value in the metric's own unit (a share for counters, a quantile for buckets), `events` what
    it was counted from. `whole_stage`: judged by the gate; else it is a glance over the metric's own window.
    """

    threshold: str
    metric: str
    verdict: Verdict
    said: str
    number: float | None
    stable: float | None
    events: float | None
    whole_stage: bool


def results_of(run: Run, decision: Decision) -> tuple[Result, ...]:
    """The objectives as this decision saw them; empty when nothing says."""
    for entry in decision.entries:
        verdicts, readings = entry.data.get("verdicts"), entry.data.get("readings")
        if isinstance(verdicts, Mapping) and isinstance(readings, Mapping):
            return _at_gate(run, verdicts, readings)
    facts = decision.inputs.facts if decision.inputs is not None else None
    if facts is None:
        return ()
    if facts.gate is not None:
        seen = [(one, facts.gate.get(one.name)) for one in run.spec.thresholds]
        return tuple(_judged(run, one, found, whole=True) for one, found in seen if found is not None)
    seen = [(one, facts.metrics.get(one.metric)) for one in run.spec.thresholds]
    return tuple(_judged(run, one, found, whole=False) for one, found in seen if found is not None)


def _at_gate(run: Run, verdicts: Mapping[object, object], readings: Mapping[object, object]) -> tuple[Result, ...]:
    """The verdicts as they were stored, beside the readings they were made from."""
    found = []
    for threshold in run.spec.thresholds:
        data, word = (
            readings.get(threshold.name, readings.get(f"interval/{threshold.name}")),
            verdicts.get(threshold.name),
        )
        verdict = next((one for one in Verdict if one.value == word), None)
        facts = _facts(data)
        if verdict is not None and facts is not None:
            found.append(_result(run, threshold, facts, verdict, whole=True))
    return tuple(found)


def _facts(data: object) -> MetricFacts | None:
    try:
        return read_reading(data) if isinstance(data, Mapping) else None
    except ValueError:
        return None


def _judged(run: Run, threshold: Threshold, facts: MetricFacts, *, whole: bool) -> Result:
    metric, baseline = run.spec.metric(threshold.metric), run.baseline(threshold.metric)
    least = None if whole else 1
    verdict = judge_threshold(threshold, metric, facts.canary, baseline, least=least).verdict
    return _result(run, threshold, facts, verdict, whole=whole)


def _result(run: Run, threshold: Threshold, facts: MetricFacts, verdict: Verdict, *, whole: bool) -> Result:
    metric = run.spec.metric(threshold.metric)
    said = judge_threshold(threshold, metric, facts.canary, run.baseline(metric.name), least=None if whole else 1)
    return Result(
        threshold=threshold.name,
        metric=metric.name,
        verdict=verdict,
        said=said.message,
        number=number(metric, facts.canary),
        stable=number(metric, facts.stable),
        events=events(facts.canary),
        whole_stage=whole,
    )


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
