"""What one release needs measured: each metric with its template, and which way its rules look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.config import MetricsServer
from sparkrelease.api.metrics import Metric
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.asks import counted_tests
from sparkrelease.decide.datahealth import mirror_metrics, rule_metrics, watched_metrics
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.grouping import Place
from sparkrelease.decide.promql import window_query
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import Scope, Template, edges_of, template_of
from sparkrelease.ports.cluster import ObjectKey


@dataclass(frozen=True, slots=True)
class Need:
    """One metric of a release on its server."""

    metric: Metric
    template: Template | Problem
    query: str
    """The query narrowed to this release, for people to read and paste."""
    read_by_rules: bool
    watched: bool
    """Whether its reading is looked at all the time; one that only a trend is read from has its history instead."""
    windowed: bool
    """Whether a test counts its windows."""
    pause: timedelta
    """Longest time between two looks at it."""
    above: bool
    """Whether every rule acts on values above its limit."""
    below: bool
    """The same for below."""


SELDOM = timedelta(seconds=15)
"""Longest pause between two looks at a reading, however patient its rules are: an older one is no sight."""

_LOOKS = 4
"""Looks within the time that a trigger must be true for."""


def needs_of(key: ObjectKey, spec: ResolvedSpec, server: MetricsServer) -> tuple[Need, ...]:
    """Every metric of the spec, those that no rule reads, too."""
    readers = _Readers(
        frozenset(rule_metrics(spec)),
        frozenset((*watched_metrics(spec), *mirror_metrics(spec))),
        frozenset(counted_tests(spec).values()),
    )
    return tuple(_need(key, spec, server, metric, readers) for metric in spec.metrics)


@dataclass(frozen=True, slots=True)
class _Readers:
    """Names of the metrics that rules read, look at all the time, and count."""

    ruled: frozenset[str]
    watched: frozenset[str]
    counted: frozenset[str]


def _need(key: ObjectKey, spec: ResolvedSpec, server: MetricsServer, metric: Metric, readers: _Readers) -> Need:
    legs = [leg for trigger in spec.triggers for leg in trigger.all if leg.metric == metric.name]
    thresholds = [threshold for threshold in spec.thresholds if threshold.metric == metric.name]
    namespace = None if metric.name in spec.policy_metrics else key.namespace
    template = template_of(metric, server.labels, edges_of(metric, thresholds, legs), namespace)
    return Need(
        metric=metric,
        template=template,
        query="" if isinstance(template, Problem) else window_query(template, own_scope(key, spec)),
        read_by_rules=metric.name in readers.ruled,
        watched=metric.name in readers.watched,
        windowed=metric.counted and metric.name in readers.counted,
        pause=_pause(spec, metric),
        above=all(leg.comparator in {">", ">="} for leg in legs) and not any(t.has_lower for t in thresholds),
        below=all(leg.comparator in {"<", "<="} for leg in legs) and not any(t.has_upper for t in thresholds),
    )


def _pause(spec: ResolvedSpec, metric: Metric) -> timedelta:
    """None for a trigger that acts at once; one that waits is looked at a few times meanwhile, a gate asks for itself.

    A trigger that waits for a trend, too, is no faster than the history is.
    """
    patient = min(metric.every, SELDOM)
    triggers = [trigger for trigger in spec.triggers if any(leg.metric == metric.name for leg in trigger.all)]
    slow = [any(leg.kind is LegKind.TREND for leg in trigger.all) for trigger in triggers]
    waits = [patient if late else trigger.for_ / _LOOKS for trigger, late in zip(triggers, slow, strict=True)]
    return min([patient, *waits])


def places(key: ObjectKey, spec: ResolvedSpec) -> tuple[Place, Place]:
    """Stable and canary."""
    return (key.namespace, spec.traffic.stable.service), (key.namespace, spec.traffic.canary.service)


def own_scope(key: ObjectKey, spec: ResolvedSpec) -> Scope:
    """The release's two Services."""
    return Scope((key.namespace,), tuple(sorted({place[1] for place in places(key, spec)})))


def counted_since(spec: ResolvedSpec, status: SparkReleaseStatus) -> Mapping[str, datetime]:
    """By metric, since when its windows are wanted: from where the test that has counted least of them stands."""
    run = status.run
    if run is None or run.end is not None:
        return {}
    known = {test.metric: test.counted_until for test in status.tests}
    wanted: dict[str, datetime] = {}
    for test, metric in counted_tests(spec).items():
        since = known.get(test) or run.started_at
        wanted[metric] = min(since, wanted.get(metric, since))
    return wanted
