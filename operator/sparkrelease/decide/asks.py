"""What the rules of a release must be told beyond each metric's own window: other windows, the past, before the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from sparkrelease.api.triggers import BURN_WINDOWS, BurnWindow, Leg, LegKind
from sparkrelease.decide.facts import Ask
from sparkrelease.decide.resolve import ResolvedSpec, per_spec

_NONE = timedelta(0)


def burn_windows(leg: Leg) -> tuple[BurnWindow, ...]:
    """The pairs of windows of a burnRate leg, the default ones where it names none."""
    return leg.windows or BURN_WINDOWS


@per_spec
def asks_of(spec: ResolvedSpec) -> frozenset[Ask]:
    """Every reading over another window or from the past: both windows of each burn rate, and growth's value then."""
    found: set[Ask] = set()
    for _, leg in _legs(spec):
        if leg.kind is LegKind.BURN_RATE:
            found |= {Ask(leg.metric, length) for pair in burn_windows(leg) for length in (pair.long, pair.short)}
        elif leg.kind is LegKind.GROWTH:
            found.add(growth_ask(spec, leg))
    return frozenset(found)


def growth_ask(spec: ResolvedSpec, leg: Leg) -> Ask:
    """What a growth leg compares with: its metric over the metric's own window, `over` ago."""
    return Ask(leg.metric, spec.metric(leg.metric).window, leg.over or _NONE)


@per_spec
def histories_of(spec: ResolvedSpec) -> Mapping[str, timedelta]:
    """By metric, how far back its history is needed: the longest `over` of its trends, with what warming up takes."""
    spans: dict[str, timedelta] = {}
    for _, leg in _legs(spec):
        if leg.kind is LegKind.TREND:
            span = (leg.over or _NONE) + (leg.warmup or _NONE)
            spans[leg.metric] = max(span, spans.get(leg.metric, _NONE))
    return spans


def baselines_of(spec: ResolvedSpec) -> frozenset[str]:
    """Metrics whose value or spread before the run some rule needs."""
    compared = {leg.metric for _, leg in _legs(spec) if leg.kind is LegKind.VS_BASELINE}
    limited = {threshold.metric for threshold in spec.thresholds if threshold.max_vs_baseline is not None}
    return frozenset(compared | limited | set(counted_tests(spec).values()))


@per_spec
def counted_tests(spec: ResolvedSpec) -> Mapping[str, str]:
    """By the name its TestState has in the status, the metric of every test that counts windows.

    A test of the comparison is called as its metric, a sequential leg `<trigger>/<place in all, from 0>`. A metric's
    windows are needed from the earliest `counted_until` of its tests on.
    """
    tests = {test.metric: test.metric for test in spec.comparison.tests} if spec.comparison else {}
    legs = {name: leg.metric for name, leg in _legs(spec) if leg.kind is LegKind.SEQUENTIAL}
    return {**tests, **legs}


def _legs(spec: ResolvedSpec) -> Iterator[tuple[str, Leg]]:
    """Every leg with the name its test would have."""
    for trigger in spec.triggers:
        for place, leg in enumerate(trigger.all):
            yield f"{trigger.name}/{place}", leg
