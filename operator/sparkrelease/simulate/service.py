"""What a healthy service looks like to the metrics of a release, worked out from the limits its rules set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import NormalDist

from sparkrelease.api.metrics import Metric
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import edges_of

GO_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default bucket edges of Prometheus' client library for Go, in seconds."""

SIGMA = math.log(2) / NormalDist().inv_cdf(0.95)
"""Spread of the latencies' logarithm, such that p95 is twice the median."""

_SCALES = {"ms": 1000.0, "us": 1e6, "µs": 1e6}
_BELOW = 0.8
"""A healthy quantile stands at this share of its lowest limit."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a person says of the service.

    Requests a second of both roles together, the share that fails, the 95th percentile of the latency (None: below what
    the rules allow), edges of its histograms in seconds (the rules' limits are added), and how often it is scraped.
    """

    rps: float = 50.0
    errors: float = 0.001
    p95: float | None = None
    edges: tuple[float, ...] = GO_EDGES
    scrape: timedelta = timedelta(seconds=15)
    pods: int = 3


@dataclass(frozen=True, slots=True)
class Errors:
    """A pair of counters. `hit`: whether scenarios change it; `limits`: shares that rules set."""

    name: str
    rate: float
    hit: bool
    limits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Latencies:
    """A histogram of lognormal latencies.

    An event above the edge `slow` is a slow one: the lowest limit of the rules, of which they allow the share
    `allowed`, or without one (None) the first edge that a healthy quantile does not exceed.
    """

    name: str
    median: float
    edges: tuple[float, ...]
    hit: bool
    slow: float
    allowed: float | None = None
    unit: str = ""

    def shares(self, factor: float) -> list[float]:
        """Chance of each bucket, the one above the last edge included, when everything takes `factor` times as long."""
        normal = NormalDist(math.log(self.median * factor), SIGMA)
        reached = [normal.cdf(math.log(edge)) for edge in self.edges]
        return [b - a for a, b in zip([0.0, *reached], [*reached, 1.0], strict=True)]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that neither breaks a limit nor rises, until it leaks: `step` a minute is what its trend leg allows."""

    name: str
    level: float
    step: float
    hit: bool
    limits: tuple[float, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """Every metric of a release as the simulation acts it."""

    errors: tuple[Errors, ...]
    latencies: tuple[Latencies, ...]
    gauges: tuple[Gauge, ...]
    every: dict[str, Errors | Latencies | Gauge] = field(default_factory=dict)

    def can(self, *, errors: bool, latency: bool, leak: bool) -> str | None:
        """Why a scenario of these would show nowhere; None when it would."""
        if errors and not self.errors:
            return "no metric counts bad events out of all"
        if latency and not self.latencies:
            return "no metric has buckets"
        if leak and not any(gauge.hit for gauge in self.gauges):
            return "no rule reads the trend or growth of a metric"
        return None


def service_of(spec: ResolvedSpec, traffic: Traffic) -> Service:
    """The healthy service of a release.

    Scenarios change the first pair of counters and the first histogram that the comparison names, else the first there
    are, and every gauge whose trend or growth a rule reads.
    """
    compared = [test.metric for test in spec.comparison.tests] if spec.comparison else []
    ordered = sorted(spec.metrics, key=lambda m: compared.index(m.name) if m.name in compared else len(compared))
    first_pair = next((metric.name for metric in ordered if metric.bad is not None), "")
    first_histogram = next((metric.name for metric in ordered if metric.buckets is not None), "")
    errors, latencies, gauges = [], [], []
    for metric in spec.metrics:
        if metric.bad is not None:
            errors.append(_errors(spec, metric, traffic, hit=metric.name == first_pair))
        elif metric.buckets is not None:
            latencies.append(_latencies(spec, metric, traffic, hit=metric.name == first_histogram))
        else:
            gauges.append(_gauge(spec, metric))
    every: Iterable[Errors | Latencies | Gauge] = (*errors, *latencies, *gauges)
    return Service(tuple(errors), tuple(latencies), tuple(gauges), {one.name: one for one in every})


def _limits(spec: ResolvedSpec, metric: str) -> tuple[list[float], list[float]]:
    """What the value must stay below, and above, so that no rule is broken."""
    uppers = [t.max for t in spec.thresholds if t.metric == metric and t.max is not None]
    lowers = [t.min for t in spec.thresholds if t.metric == metric and t.min is not None]
    for trigger in spec.triggers:
        for leg in trigger.all:
            if leg.metric == metric and leg.kind is LegKind.THRESHOLD and leg.value is not None:
                above = (leg.comparator in {">", ">="}) is not leg.not_
                (uppers if above else lowers).append(leg.value)
    return uppers, lowers


def _errors(spec: ResolvedSpec, metric: Metric, traffic: Traffic, *, hit: bool) -> Errors:
    uppers, _ = _limits(spec, metric.name)
    rate = traffic.errors if hit else min([traffic.errors, *(limit / 5 for limit in uppers)])
    return Errors(metric.name, rate, hit, tuple(sorted({limit for limit in uppers if limit > 0})))


def _latencies(spec: ResolvedSpec, metric: Metric, traffic: Traffic, *, hit: bool) -> Latencies:
    scale = _SCALES.get(metric.unit or "", 1.0)
    legs = [leg for trigger in spec.triggers for leg in trigger.all]
    edges = {edge * scale for edge in traffic.edges} | edges_of(metric, spec.thresholds, legs)
    uppers, _ = _limits(spec, metric.name)
    if hit and traffic.p95 is not None:
        median = traffic.p95 * scale / math.exp(SIGMA * NormalDist().inv_cdf(0.95))
    else:
        target = _BELOW * min([0.2 * scale, *uppers])
        median = target / math.exp(SIGMA * NormalDist().inv_cdf(metric.quantile or 0.95))
    known = tuple(sorted(edge for edge in edges if edge > 0))
    quantile = metric.quantile or 0.95
    healthy = median * math.exp(SIGMA * NormalDist().inv_cdf(quantile))
    slow = next((edge for edge in known if edge >= min(uppers, default=healthy)), known[-1])
    return Latencies(metric.name, median, known, hit, slow, 1 - quantile if uppers else None, metric.unit or "")


def _gauge(spec: ResolvedSpec, metric: Metric) -> Gauge:
    uppers, lowers = _limits(spec, metric.name)
    legs = [leg for trigger in spec.triggers for leg in trigger.all if leg.metric == metric.name]
    rising = [leg for leg in legs if leg.kind in {LegKind.TREND, LegKind.GROWTH}]
    slopes = [leg.slope_per_minute for leg in rising if leg.slope_per_minute is not None and leg.slope_per_minute > 0]
    level = _between(uppers, lowers, 100 * max(slopes, default=1.0))
    limits = tuple(sorted({*uppers, *lowers}))
    step = max(slopes, default=abs(level) / 100)
    return Gauge(metric.name, level, step, hit=bool(rising), limits=limits, unit=metric.unit or "")


def _between(uppers: Sequence[float], lowers: Sequence[float], wanted: float) -> float:
    """A value no rule objects to; the middle where rules leave none."""
    top, bottom = min(uppers, default=math.inf), max(lowers, default=-math.inf)
    if math.isinf(top) and math.isinf(bottom):
        return wanted
    if math.isinf(top):
        return max(2 * bottom, wanted) if bottom > 0 else bottom + 1
    if math.isinf(bottom):
        return min(top / 2, wanted) if top > 0 else top
    return (top + bottom) / 2
