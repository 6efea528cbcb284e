"""Runs of SparkRelease itself: the simulator of the product, with numpy's generator, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.verdicts.cells import Cell, Variant, of_cell, traffic
from bench.verdicts.others import Run
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.simulate.outcome import Ending
from sparkrelease.simulate.run import Setting, simulate

NAME = "SparkRelease"
DEFAULTS = "SparkRelease, default warm-up"
"""The same release with the warm-up that a release has which says nothing of it."""

OURS = (NAME, DEFAULTS)


class Numpy:
    """`Chance` from numpy."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def uniform(self) -> float:
        """A number from 0 to below 1."""
        return float(self._random.random())

    def normal(self) -> float:
        """A number from the standard normal distribution."""
        return float(self._random.standard_normal())

    def level(self, variance: float) -> float:
        """A level around 1 with this variance."""
        return float(self._random.gamma(1 / variance, variance)) if variance > 0 else 1.0

    def poisson(self, mean: float) -> int:
        """Arrivals where `mean` are expected."""
        return int(self._random.poisson(mean))

    def binomial(self, n: int, p: float) -> int:
        """How many of `n` come out so."""
        return int(self._random.binomial(n, p))

    def spread(self, n: int, shares: Sequence[float]) -> list[int]:
        """`n` things put into boxes."""
        return [int(count) for count in self._random.multinomial(n, shares)]


@dataclass(frozen=True)
class Job:
    """Some runs of one cell; `spec` in place of the cell's own release."""

    cell: Cell
    variant: Variant
    first: int
    runs: int
    scrape: float = 15.0
    spec: ResolvedSpec | None = None


def work(job: Job) -> list[Run]:
    """Carries a job out; runs in a process of its own."""
    spec = job.spec or of_cell(job.cell)
    setting = Setting(spec, job.cell.scenario, traffic(job.cell, job.variant, job.scrape))
    found = []
    for number in range(job.first, job.first + job.runs):
        seed = job.variant.seed + number
        result = simulate(setting, seed, chance=Numpy(seed))
        back = result.ending is Ending.ROLLED_BACK
        after = result.after.total_seconds() if back and result.after is not None else None
        rule = result.rule if back else result.ending.value
        found.append(Run(after, result.failed, result.requests, rule, result.sentence, result.lasted.total_seconds()))
    return found
