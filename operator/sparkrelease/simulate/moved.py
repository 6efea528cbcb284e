"""The metric that a scenario moves, as a chart shows it: one number a role and scrape, and what its rules allow."""

from __future__ import annotations

from dataclasses import dataclass

from sparkrelease.decide.facts import Buckets, Reading, Value
from sparkrelease.decide.rules import number_of, share_at_or_below
from sparkrelease.simulate.scenario import Scenario
from sparkrelease.simulate.service import Errors, Gauge, Latencies, Service


@dataclass(frozen=True, slots=True)
class Moved:
    """Percent of bad or slow events, or a value in its own unit; limits in the same.

    `edge` is what an event has to be slower than to count. `rise` is the level and the rise a minute that a trend leg
    allows, which is no line from left to right.
    """

    metric: str
    title: str
    unit: str
    limits: tuple[float, ...] = ()
    edge: float | None = None
    rise: tuple[float, float] | None = None

    def number(self, reading: Reading) -> float | None:
        """What is drawn of a reading; None where it says nothing."""
        if isinstance(reading, Buckets):
            share = share_at_or_below(reading, self.edge) if self.edge is not None else None
            return None if share is None else 100 * (1 - share)
        value = number_of(reading)
        return value if value is None or isinstance(reading, Value) else 100 * value


def moved_by(scenario: Scenario, service: Service) -> Moved | None:
    """What the scenario does its harm to; of one that does none the metric it would show in first. None without any."""
    pairs = [one for one in service.errors if one.hit]
    histograms = [one for one in service.latencies if one.hit]
    rising = [one for one in service.gauges if one.hit]
    groups: list[list[Errors] | list[Latencies] | list[Gauge]] = [pairs, histograms, rising, list(service.gauges)]
    if scenario.slower != 1.0:
        groups.insert(0, histograms)
    if scenario.leak > 0:
        groups.insert(0, rising)
    first = next((one for group in groups for one in group), None)
    return None if first is None else shown(first)


def shown(model: Errors | Latencies | Gauge) -> Moved:
    """How a metric is drawn."""
    if isinstance(model, Errors):
        return Moved(model.name, f"{model.name}: bad events", "%", tuple(100 * limit for limit in model.limits))
    if isinstance(model, Latencies):
        limits = () if model.allowed is None else (100 * model.allowed,)
        title = f"{model.name}: slower than {model.slow:g}{model.unit}"
        return Moved(model.name, title, "%", limits, edge=model.slow)
    rise = (model.level, model.step) if model.hit else None
    return Moved(model.name, model.name, model.unit, model.limits, rise=rise)
