"""Streams of many runs at once, for rules that are cheap to evaluate; the same service as the simulator's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from bench.verdicts.cells import BASE_ERRORS, HORIZON, MEDIAN, SCRAPE, STAGES, Cell
from sparkrelease.simulate.service import SIGMA

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCRAPES = int(HORIZON / SCRAPE)
PER_MINUTE = int(60 / SCRAPE)


def schedule() -> Floats:
    """Canary weight (percent) during each scrape, for a tool that follows the clock alone."""
    return np.repeat([weight for weight, _ in STAGES], [minutes * PER_MINUTE for _, minutes in STAGES])


@dataclass(frozen=True)
class Seen:
    """What one role's counters gained: by scrape and run, and for latency by bucket, the last one above every edge."""

    total: Ints
    bad: Ints
    boxes: Ints

    def over(self, scrapes: int) -> Seen:
        """The gains over the last so many scrapes, at each scrape."""
        return Seen(*(_rolling(counts, scrapes) for counts in (self.total, self.bad, self.boxes)))

    def ratio(self) -> Floats:
        """Share of bad requests; NaN where there were none."""
        return np.where(self.total > 0, self.bad / np.maximum(self.total, 1), np.nan)

    def quantile(self, q: float, edges: tuple[float, ...]) -> Floats:
        """`histogram_quantile`: linear within a bucket, the last edge where it is above; NaN without requests."""
        reached = np.cumsum(self.boxes, axis=-1)
        total = reached[..., -1]
        rank = q * total
        place = (reached >= rank[..., None]).argmax(axis=-1)
        bounds = np.array([0.0, *edges])
        inside = np.minimum(place, len(edges) - 1)
        before = np.where(place > 0, np.take_along_axis(reached, np.maximum(place - 1, 0)[..., None], -1)[..., 0], 0)
        count = np.take_along_axis(self.boxes, place[..., None], -1)[..., 0]
        part = (rank - before) / np.maximum(count, 1)
        value = bounds[inside] + (bounds[inside + 1] - bounds[inside]) * part
        value = np.where(place >= len(edges), edges[-1], value)
        return np.where(total > 0, value, np.nan)


def _rolling(counts: Ints, scrapes: int) -> Ints:
    sums = np.cumsum(counts, axis=0)
    gained = sums.copy()
    gained[scrapes:] -= sums[:-scrapes]
    return gained


class Service:
    """Draws both roles' requests; one per cell and rule, so that rules may move weights."""

    def __init__(self, cell: Cell, edges: tuple[float, ...], runs: int, seed: int) -> None:
        self.cell, self.edges, self.runs = cell, tuple(sorted({*edges, 0.2, 0.4})), runs
        self._random = np.random.default_rng(seed)
        scenario = cell.scenario
        start = scenario.start if isinstance(scenario.start, float) else scenario.start.total_seconds() / HORIZON
        self.begins: Floats = HORIZON * (start + scenario.spreads * self._random.random(runs))
        lasts = scenario.lasts.total_seconds() if scenario.lasts is not None else np.inf
        self.ends: Floats = self.begins + lasts
        self._levels = {role: self._draw_levels() for role in (True, False)}

    def _draw_levels(self) -> tuple[Floats, Floats]:
        """Error and latency levels by minute and run."""
        shape, scenario = (SCRAPES // PER_MINUTE, self.runs), self.cell.scenario
        noise = scenario.error_noise
        errors = self._random.gamma(1 / noise, noise, shape) if noise else np.ones(shape)
        return errors, 1.0 + scenario.latency_noise * self._random.standard_normal(shape)

    def harmed(self, scrape: int) -> npt.NDArray[np.bool_]:
        """Whether the scenario does its harm during this scrape."""
        at = scrape * SCRAPE + 1e-6
        return (self.begins <= at) & (at < self.ends)

    def shares(self, factor: Floats | float) -> Floats:
        """Chance of each bucket when everything takes `factor` times as long."""
        factors = np.asarray(factor, dtype=np.float64)[..., None]
        reached = ndtr((np.log(self.edges) - np.log(MEDIAN * factors)) / SIGMA)
        shape = (*reached.shape[:-1], 1)
        return np.diff(np.concatenate([np.zeros(shape), reached, np.ones(shape)], axis=-1), axis=-1)

    def draw(self, scrape: int, weight: Floats | float, *, canary: bool) -> tuple[Ints, Ints, Ints]:
        """One role's requests, bad ones and buckets during one scrape, by run."""
        scenario, harm = self.cell.scenario, self.harmed(scrape)
        hurt = harm if canary or scenario.shared else np.zeros(self.runs, bool)
        share = np.asarray(weight, dtype=np.float64) / 100
        mean = self.cell.rps * SCRAPE * (share if canary else 1 - share)
        total = self._random.poisson(np.broadcast_to(mean, (self.runs,)))
        levels, paces = self._levels[canary]
        minute = scrape // PER_MINUTE
        rate = np.where(hurt & (scenario.errors is not None), scenario.errors or 0.0, BASE_ERRORS)
        bad = self._random.binomial(total, np.minimum(rate * levels[minute], 1.0))
        factor = paces[minute] * np.where(hurt, scenario.slower, 1.0)
        return total, bad, self._random.multinomial(total, self.shares(factor))

    def record(self, weights: Floats, *, canary: bool) -> Seen:
        """A whole run of one role on a schedule of weights."""
        drawn = [self.draw(scrape, weight, canary=canary) for scrape, weight in enumerate(weights)]
        total, bad, boxes = (np.stack(part) for part in zip(*drawn, strict=True))
        return Seen(total, bad, boxes)
