"""What a run was to do, as rows of words: stages, metrics, objectives, triggers, tests, the way back."""

from __future__ import annotations

from collections.abc import Sequence

from sparkrelease.api.metrics import Metric
from sparkrelease.api.triggers import Leg, Trigger
from sparkrelease.decide.stages import level
from sparkrelease.documents.record import Run
from sparkrelease.documents.results import limits_of
from sparkrelease.documents.words import given, kind_of, percent, span, value

Rows = list[Sequence[str]]


def plan_of(run: Run) -> dict[str, Rows]:
    """By part of the plan, its rows."""
    return {
        "stages": _stages(run),
        "metrics": [[one.name, kind_of(one), f"over {span(one.window)}", _query(one)] for one in run.spec.metrics],
        "thresholds": _thresholds(run),
        "triggers": [_trigger(run, one) for one in run.spec.triggers],
        "tests": _tests(run),
        "settle": [
            ["steps", ", ".join(percent(one) for one in run.spec.settle.steps)],
            ["each", span(run.spec.settle.interval)],
        ],
    }


def _stages(run: Run) -> Rows:
    return [
        [
            f"{place}/{len(run.spec.stages)}",
            one.name,
            given(*level(run.spec, one)),
            span(one.duration),
            f"inconclusive: {one.on_inconclusive.value}",
        ]
        for place, one in enumerate(run.spec.stages, start=1)
    ]


def _query(metric: Metric) -> str:
    if metric.bad is not None:
        return f"{metric.bad} of {metric.total}"
    return metric.buckets or metric.value or ""


def _thresholds(run: Run) -> Rows:
    rows: Rows = []
    for one in run.spec.thresholds:
        metric = run.spec.metric(one.metric)
        limits = ", ".join(f"{sign} {value(metric, bound)}" for sign, bound in limits_of(run, one))
        relative = f"{one.max_vs_baseline:g}x the baseline" if one.max_vs_baseline is not None else ""
        where = f"at {one.at.value}" if one.at is not None else ""
        rows.append([one.name, one.metric, limits, relative, where])
    return rows


def _trigger(run: Run, trigger: Trigger) -> Sequence[str]:
    legs = " and ".join(_leg(run.spec.metric(leg.metric), leg) for leg in trigger.all)
    return [trigger.name, trigger.action.value, f"for {span(trigger.for_)}", legs]


def _leg(metric: Metric, leg: Leg) -> str:
    """The leg in a few words; what it has beside kind and limit is in the spec."""
    limit = f"{leg.comparator} {value(metric, leg.value)}" if leg.value is not None else leg.kind.value
    factor = f" {leg.factor:g}x" if leg.factor is not None else ""
    over = f" over {span(leg.over)}" if leg.over is not None else ""
    return f"{'not ' if leg.not_ else ''}{metric.name} {limit}{factor}{over}"


def _tests(run: Run) -> Rows:
    comparison = run.spec.comparison
    if comparison is None or not comparison.tests:
        return []
    rows: Rows = [["alpha", f"{comparison.alpha:g} over the whole run, all tests together"]]
    return rows + [
        [one.metric, f"margin {one.margin:g}x" if one.margin else "margin by default"] for one in comparison.tests
    ]
