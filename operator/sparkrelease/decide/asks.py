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
    """Every reading over another window or from the past that some leg wants."""
    return frozenset(ask for asks in asks_of_legs(spec).values() for ask in asks)


@per_spec
def asks_of_legs(spec: ResolvedSpec) -> Mapping[tuple[str, int], tuple[Ask, ...]]:
    """By trigger and place of a leg, what it wants; nothing for most kinds.

    A burn rate wants the long and the short window of each pair in turn; growth wants its metric as it was `over` ago.
    """
    return {
        (trigger.name, place): _asks_of_leg(spec, leg)
        for trigger in spec.triggers
        for place, leg in enumerate(trigger.all)
    }


def _asks_of_leg(spec: ResolvedSpec, leg: Leg) -> tuple[Ask, ...]:
    if leg.kind is LegKind.BURN_RATE:
        return tuple(Ask(leg.metric, length) for pair in burn_windows(leg) for length in (pair.long, pair.short))
    if leg.kind is LegKind.GROWTH:
        return (Ask(leg.metric, spec.metric(leg.metric).window, leg.over or _NONE),)
    return ()


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
