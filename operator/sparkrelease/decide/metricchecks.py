"""What preflight says of a metric: are its queries answered, do they match anything, has it the edges rules need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.facts import Baseline, Finding, Missing, Problem
from sparkrelease.decide.grouping import EMPTY, Group, Place, Sorted
from sparkrelease.decide.native import bounds_around, named, names_bound, scale_of
from sparkrelease.decide.promql import BAD, LABEL, NATIVE, SERIES, TOTAL, VALUE
from sparkrelease.decide.readings import as_histogram
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.selectors import Selector, read_selector
from sparkrelease.decide.templates import Template


@dataclass(frozen=True, slots=True)
class Tried:
    """What the queries of one metric answered: over its window, over a stage, and which series there are at all."""

    window: Sorted | Missing
    stage: Sorted | Missing | None = None
    presence: Sorted | Missing | None = None
    native: Sorted | Missing | None = None
    """Native histograms where there are no buckets; a server that knows none of them refuses the question."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something preflight found; one that is not certain is a warning."""

    problem: Problem
    certain: bool = True


def check_metric(metric: Metric, template: Template, tried: Tried, stable: Place, canary: Place) -> Iterator[Fault]:
    """Faults of one metric. A canary without series is none, as long as stable has them: it has had no request yet."""
    for answer in (tried.window, tried.stage, tried.presence):
        if isinstance(answer, Missing):
            yield Fault(_problem(metric, answer.reason, answer.message))
            return
    found = tried.window if tried.presence is None else tried.presence
    groups = _groups(found, stable, canary)
    if template.value is not None:
        yield from _value_faults(metric, template, tried, groups)
    elif not groups and isinstance(tried.native, Sorted) and _groups(tried.native, stable, canary):
        text = f"there are no classic buckets {metric.buckets}, but a native histogram; name that one"
        text += f" (buckets: {_without_bucket(metric.buckets or '')}), or have the classic buckets scraped too"
        yield Fault(_problem(metric, Reason.NATIVE_HISTOGRAM, f"{text} (always_scrape_classic_histograms: true)"))
    elif not groups:
        yield Fault(_no_series(metric, metric.total or metric.buckets or "", stable, canary))
    elif template.buckets is not None:
        for place, group in groups.items():
            faults = _edge_faults if group.edges else _bound_faults
            yield from faults(metric, template.edges, place, group)
    else:
        yield from _bad_faults(metric, template, groups)


def baseline_findings(spec: ResolvedSpec, baselines: Mapping[str, Baseline]) -> tuple[Finding, ...]:
    """Baselines that could not be had: fatal where a rule compares with one, else a warning."""
    compared = {leg.metric for trigger in spec.triggers for leg in trigger.all if leg.kind is LegKind.VS_BASELINE}
    compared |= {threshold.metric for threshold in spec.thresholds if threshold.max_vs_baseline is not None}
    return tuple(
        Finding(f"baselines/{name}", name in compared, Problem(Reason.NO_BASELINE, one.problem.message))
        for name, one in sorted(baselines.items())
        if one.problem is not None
    )


def _groups(found: Sorted | Missing, stable: Place, canary: Place) -> Mapping[Place, Group]:
    sorted_rows = EMPTY if isinstance(found, Missing) else found
    places = (place for place in (stable, canary) if place in sorted_rows.groups)
    return {place: group for place in places if _has_series(group := sorted_rows.groups[place])}


def _has_series(group: Group) -> bool:
    return bool(group.edges or group.pods) or not group.parts.keys().isdisjoint((SERIES, VALUE, NATIVE, TOTAL))


def _value_faults(metric: Metric, template: Template, tried: Tried, groups: Mapping[Place, Group]) -> Iterator[Fault]:
    for group in groups.values():
        if group.problem is not None:
            yield Fault(_problem(metric, group.problem.reason, f"{group.problem.message}; aggregate it by ($by)"))
            return
    if groups:
        return
    if isinstance(tried.window, Sorted) and tried.window.nameless:
        names = f"{template.labels.namespace}, {template.labels.service}"
        text = f"the result names no Service; group it by ($by), that is ({names})"
        yield Fault(_problem(metric, Reason.INVALID_QUERY, text))
        return
    yield Fault(_problem(metric, Reason.NO_SERIES, f"no value for either Service: {metric.value}"))


def _bad_faults(metric: Metric, template: Template, groups: Mapping[Place, Group]) -> Iterator[Fault]:
    """No bad event yet is well; a label that no series has means that there will never be one."""
    if any(BAD in group.parts or LABEL in group.parts for group in groups.values()):
        return
    same = template.bad is not None and template.total is not None and template.bad.name == template.total.name
    text = f"no series of either Service has the labels of bad: {metric.bad}"
    yield Fault(_problem(metric, Reason.NO_SERIES, text), certain=same)


def _edge_faults(metric: Metric, limits: Sequence[float], place: Place, group: Group) -> Iterator[Fault]:
    edges = sorted({edge for text in group.edges if math.isfinite(edge := _number(text))})
    for limit in limits:
        if any(math.isclose(limit, edge, rel_tol=1e-9) for edge in edges):
            continue
        below, above = [edge for edge in edges if edge < limit], [edge for edge in edges if edge > limit]
        names = " and ".join(f"{edge:g}" for edge in (*below[-1:], *above[:1])) or "none"
        yield _no_edge(metric, limit, place, names)


def _bound_faults(metric: Metric, limits: Sequence[float], place: Place, group: Group) -> Iterator[Fault]:
    """Limits inside a filled bucket of a native histogram, or such as will be once there are events near them.

    Of powers of two it is a guess that they are bounds of an exponential histogram, which has no others.
    """
    found = as_histogram(group)
    if isinstance(found, Missing):
        yield Fault(_problem(metric, found.reason, f"{found.message} (Service {place[1]})"))
        return
    scale = scale_of(found)
    for limit in limits:
        if found.count_at_limit(limit) is None:
            yield _no_edge(metric, limit, place, named(found.around(limit)))
        elif scale is not None and limit > 0 and not names_bound(limit, scale):
            yield _no_edge(metric, limit, place, named(bounds_around(limit, scale)), certain=scale > 0)


def _no_edge(metric: Metric, limit: float, place: Place, nearest: str, *, certain: bool = True) -> Fault:
    text = f"the limit {limit:g} is no bucket edge of Service {place[1]}; the nearest edges are {nearest}"
    return Fault(_problem(metric, Reason.BUCKET_EDGE, text), certain)


def _without_bucket(selector: str) -> str:
    """A selector of classic buckets as one of the native histogram."""
    found = read_selector(selector)
    if isinstance(found, str):
        return selector
    bare = Selector(found.name.removesuffix("_bucket"), found.matchers)
    return bare.text() if bare.matchers else bare.name


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _no_series(metric: Metric, selector: str, stable: Place, canary: Place) -> Problem:
    text = f"no series of Service {stable[1]} or {canary[1]} in namespace {stable[0]}: {selector}"
    if metric.buckets is not None and "_bucket" not in selector:
        text += "; the buckets of a classic histogram are named with _bucket at the end"
    return _problem(metric, Reason.NO_SERIES, text)


def _problem(metric: Metric, reason: Reason, text: str) -> Problem:
    return Problem(reason, f"metric {metric.name}: {text}")
