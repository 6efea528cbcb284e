"""Whether the kind of a leg fits its metric. The API server checks the same where no policy brings the metric."""

from __future__ import annotations

from sparkrelease.api.metrics import Metric
from sparkrelease.api.triggers import Leg, LegKind

_NUMBERS = frozenset({LegKind.VS_STABLE, LegKind.VS_BASELINE, LegKind.GROWTH, LegKind.TREND})
_COUNTS = frozenset({LegKind.BURN_RATE, LegKind.SEQUENTIAL})


def leg_fault(leg: Leg, metric: Metric) -> str | None:
    """The field below the leg at fault, its value and the remedy (`.kind: ...`); None when all is well."""
    kind = leg.kind
    if metric.buckets is not None:
        return _bucket_fault(leg, metric)
    if kind is LegKind.TREND and metric.value is None:
        return f".kind: trend cannot be read off bad and total of metric {metric.name}; use a metric with value"
    if kind in _COUNTS and metric.value is not None:
        return f".kind: {kind} counts events, and metric {metric.name} is a value; use a metric with bad and total"
    return None


def _bucket_fault(leg: Leg, metric: Metric) -> str | None:
    if leg.kind in _NUMBERS:
        return (
            f".kind: {leg.kind} compares numbers, and metric {metric.name} is a quantile of buckets, which is only "
            "told above or below an edge; use kind threshold or sequential"
        )
    if leg.kind is LegKind.BURN_RATE:
        text = f".kind: burnRate needs to know which events are bad, and metric {metric.name} counts buckets"
        return f"{text}; use a metric with bad and total"
    if leg.comparator != ">":
        return f".op: {leg.comparator!r} cannot be read off buckets of metric {metric.name}; use '>'"
    return None
