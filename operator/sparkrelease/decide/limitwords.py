"""The limit of a rule in a few characters, as people read it beside its value: `> 5%`, `at most 0.2s`."""

from __future__ import annotations

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.triggers import Leg, LegKind
from sparkrelease.decide.burnrates import burn_factors
from sparkrelease.decide.resolve import ResolvedSpec


def limit_of(kind: str, rule: str, spec: ResolvedSpec) -> str:
    """The limit of a trigger, threshold or comparison of the spec; empty where there is none of that name.

    The burn rates of the watch are thresholds of it.
    """
    match kind:
        case "threshold":
            factor = burn_factors(spec).get(rule)
            burn = f"at most {factor:g}x" if factor is not None else ""
            return next((_of_threshold(one, spec) for one in spec.thresholds if one.name == rule), burn)
        case "trigger":
            legs = next((one.all for one in spec.triggers if one.name == rule), ())
            return " and ".join(_of_leg(leg, spec.metric(leg.metric), alone=len(legs) == 1) for leg in legs)
        case _:
            return "worse than stable"


def number(metric: Metric, value: float) -> str:
    """A number in the form in which the metric's values are told: a share of bad events in percent."""
    return f"{100 * value:.4g}%" if metric.bad is not None else f"{value:.6g}{metric.unit or ''}"


def _of_threshold(threshold: Threshold, spec: ResolvedSpec) -> str:
    metric = spec.metric(threshold.metric)
    said = []
    if threshold.max is not None:
        said.append(f"at most {number(metric, threshold.max)}")
    if threshold.min is not None:
        said.append(f"at least {number(metric, threshold.min)}")
    if threshold.max_vs_baseline is not None:
        said.append(f"at most {threshold.max_vs_baseline:g}x the baseline")
    return ", ".join(said)


def _of_leg(leg: Leg, metric: Metric, *, alone: bool) -> str:
    told = f"not {_of_kind(leg, metric)}" if leg.not_ else _of_kind(leg, metric)
    return told if alone else f"{leg.metric} {told}"


def _of_kind(leg: Leg, metric: Metric) -> str:
    match leg.kind:
        case LegKind.THRESHOLD:
            return f"{leg.comparator} {number(metric, leg.value or 0.0)}"
        case LegKind.VS_STABLE:
            return f"{leg.comparator} {leg.factor or 1:g}x stable"
        case LegKind.VS_BASELINE:
            return f"{leg.comparator} {leg.factor or 1:g}x the baseline"
        case LegKind.GROWTH:
            return f"> {leg.factor or 1:g}x before"
        case LegKind.TREND:
            return f"> {number(metric, leg.slope_per_minute or 0.0)} a minute"
        case LegKind.BURN_RATE:
            return f"the budget of {leg.objective or 0:g} burns too fast"
        case LegKind.SEQUENTIAL:
            return "worse than stable"
