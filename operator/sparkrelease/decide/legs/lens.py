"""What of a leg its spec alone says: worked out once a spec, and not for every leg of every round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Metric
from sparkrelease.api.triggers import BurnWindow, Leg, LegKind, Trigger
from sparkrelease.decide.asks import asks_of_legs, burn_windows
from sparkrelease.decide.facts import Ask
from sparkrelease.decide.resolve import ResolvedSpec, metrics_by_name, per_spec


@dataclass(frozen=True, slots=True)
class Lens:
    """One leg (`place` in its trigger, from 0), and the words it is told in."""

    trigger: Trigger
    place: int
    leg: Leg
    metric: Metric
    asks: tuple[Ask, ...]
    """What the leg wants beside its metric's own window."""
    begin: str
    """How its sentences begin: `errors: http `."""
    op: str
    """The comparison with the limit."""
    limit: float
    """Of a threshold."""
    factor: float
    """How many times what it is compared with; 1 where nothing is said."""
    told_limit: str
    """`> 0.03s`."""
    told_factor: str
    """`> 2x`, with the floor where there is one: `> 2x, above 10s`."""
    told_over: str
    """How far back is looked."""
    burns: tuple[tuple[BurnWindow, Ask, Ask, str], ...]
    """Of a burn rate: each pair, what its long and its short window are asked by, and their words."""


@per_spec
def lenses_of(spec: ResolvedSpec) -> Mapping[str, tuple[Lens, ...]]:
    """By trigger, its legs in their order."""
    metrics, asks = metrics_by_name(spec), asks_of_legs(spec)
    return {
        trigger.name: tuple(
            _lens(trigger, place, metrics[leg.metric], asks[trigger.name, place])
            for place, leg in enumerate(trigger.all)
        )
        for trigger in spec.triggers
    }


def _lens(trigger: Trigger, place: int, metric: Metric, asks: tuple[Ask, ...]) -> Lens:
    leg, unit = trigger.all[place], metric.unit or ""
    limit, factor = leg.value or 0.0, leg.factor or 1.0
    floor = "" if leg.floor is None else f", above {leg.floor:g}{unit}"
    return Lens(
        trigger,
        place,
        leg,
        metric,
        asks,
        begin=f"{trigger.name}: {metric.name} ",
        op=leg.comparator,
        limit=limit,
        factor=factor,
        told_limit=f"{leg.comparator} {limit:g}{unit}",
        told_factor=f"{leg.comparator} {factor:g}x{floor}",
        told_over=format_duration(leg.over or timedelta(0)),
        burns=_burns(leg, asks) if leg.kind is LegKind.BURN_RATE else (),
    )


def _burns(leg: Leg, asks: tuple[Ask, ...]) -> tuple[tuple[BurnWindow, Ask, Ask, str], ...]:
    return tuple(
        (pair, long, short, f"{format_duration(pair.long)} and {format_duration(pair.short)}")
        for pair, long, short in zip(burn_windows(leg), asks[::2], asks[1::2], strict=True)
    )
