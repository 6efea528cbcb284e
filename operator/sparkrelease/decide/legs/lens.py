"""A leg and the words it is told in: what its spec alone says is worked out once a spec, not at every round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import Leg, LegKind, Trigger
from sparkrelease.decide.asks import asks_of_legs, burn_windows
from sparkrelease.decide.facts import Ask, Missing, Reading
from sparkrelease.decide.resolve import ResolvedSpec, metrics_by_name, per_spec
from sparkrelease.decide.rules import Judgement, events, nothing, outside, show


class Burn(NamedTuple):
    """A pair of windows of a burn rate: what the long and the short one are asked by, and how both are told."""

    factor: float
    """How many times faster than allowed both must burn."""
    long: Ask
    short: Ask
    spans: str


@dataclass(frozen=True, slots=True)
class Lens:
    """One leg (`place` in its trigger, from 0), and the words it is told in."""

    trigger: Trigger
    place: int
    leg: Leg
    metric: Metric
    name: str
    """Of the metric."""
    asks: tuple[Ask, ...]
    """What the leg wants beside its metric's own window."""
    begin: str
    """How its sentences begin: `errors: http `."""
    op: str
    """The comparison with the limit."""
    limit: float
    """Of a threshold."""
    least: int
    """Events below which nothing is said."""
    factor: float
    """How many times what it is compared with; 1 where nothing is said."""
    told_limit: str
    """`> 0.03s`."""
    told_factor: str
    """`> 2x`, with the floor where there is one: `> 2x, above 10s`."""
    told_over: str
    """How far back is looked."""
    allowed: float
    """Of a burn rate, the share of bad events that its objective allows."""
    burns: tuple[Burn, ...]
    """Of a burn rate."""

    # ------------------------------------------------------------ saying

    def say(self, verdict: Verdict, reason: Reason, value: str, text: str) -> Judgement:
        """A judgement of the leg, in the words of its trigger."""
        return Judgement(verdict, reason, value, f"{self.begin}{text}")

    def nothing(self, reading: Missing) -> Judgement:
        """There is nothing to judge."""
        return nothing(self.trigger.name, self.metric, reading)

    def unsure(self, reason: Reason, value: str, text: str) -> Judgement:
        """Too little is known to say either."""
        return self.say(Verdict.INCONCLUSIVE, reason, value, text)

    def too_few(self, reading: Reading) -> Judgement | None:
        """Inconclusive when fewer events than the leg asks for were counted."""
        seen = events(reading)
        if seen is None or seen >= self.least:
            return None
        value = show(self.metric, reading, self.leg.value)
        return self.unsure(Reason.INSUFFICIENT_TRAFFIC, value, f"{value}: fewer than {self.least} events")

    def against(self, number: float, limit: float, value: str, words: str) -> Judgement:
        """Compares a number with a limit that another number set; values up to the leg's floor are no breach."""
        floor = self.leg.floor
        text = f"{value} {words}"
        if outside(self.op, number, limit) and (floor is None or number > floor):
            return self.say(Verdict.FAIL, Reason.OVER_LIMIT, value, text)
        return self.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{text}, within its limit")


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
        metric.name,
        asks,
        begin=f"{trigger.name}: {metric.name} ",
        op=leg.comparator,
        limit=limit,
        least=leg.min_events,
        factor=factor,
        told_limit=f"{leg.comparator} {limit:g}{unit}",
        told_factor=f"{leg.comparator} {factor:g}x{floor}",
        told_over=format_duration(leg.over or timedelta(0)),
        allowed=1 - (leg.objective or 0.0),
        burns=_burns(leg, asks) if leg.kind is LegKind.BURN_RATE else (),
    )


def _burns(leg: Leg, asks: tuple[Ask, ...]) -> tuple[Burn, ...]:
    return tuple(
        Burn(pair.factor, long, short, f"{format_duration(pair.long)} and {format_duration(pair.short)}")
        for pair, long, short in zip(burn_windows(leg), asks[::2], asks[1::2], strict=True)
    )
