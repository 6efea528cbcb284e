"""What came of simulated runs: one run's story, and what many runs of a scenario amount to."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from sparkrelease.api.base import Documented
from sparkrelease.simulate.moved import Moved
from sparkrelease.simulate.scenario import Expect, Scenario


class Ending(Documented):
    """How a simulated run ended."""

    PROMOTED = "promoted", "Every gate passed."
    ROLLED_BACK = "rolledBack", "All traffic went back to stable."
    HELD = "held", "Neither, in three times the time of the stages."
    REFUSED = "refused", "It did not start."


@dataclass(frozen=True, slots=True)
class Point:
    """One scrape: canary's weight then, and the numbers both roles showed; None where nothing could be read."""

    at: float
    """Seconds since the run started."""
    weight: float
    canary: float | None
    stable: float | None


@dataclass(frozen=True, slots=True)
class Passed:
    """A stage that was entered, in seconds since the run started."""

    name: str
    weight: float
    entered: float
    left: float


@dataclass(frozen=True, slots=True)
class Hold:
    """A time during which nothing was raised, and why."""

    begin: float
    end: float
    reason: str
    message: str


@dataclass(slots=True)
class Story:
    """What a chart shows of one run: the course of `moved`, the metric its scenario moves."""

    moved: Moved | None = None
    points: list[Point] = field(default_factory=list)
    stages: list[Passed] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """One run.

    `after` is the time from when the scenario's harm began to the rollback (or, without harm, from the start of the
    run); None where there was no rollback. Requests are those canary served since then; `slow` ones took longer than
    the rules allow.
    """

    seed: int
    ending: Ending
    started: datetime | None
    lasted: timedelta
    after: timedelta | None
    rule: str
    sentence: str
    stage: str
    requests: int
    failed: int
    held: timedelta
    harm_from: float
    """Seconds since the run started."""
    story: Story | None = None
    slow: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs of one scenario."""

    scenario: Scenario
    results: tuple[Result, ...]

    @property
    def rolled_back(self) -> int:
        """Runs that went back."""
        return sum(result.ending is Ending.ROLLED_BACK for result in self.results)

    @property
    def share(self) -> float:
        """Share of runs that went back."""
        return self.rolled_back / len(self.results) if self.results else 0.0

    def count(self, ending: Ending) -> int:
        """Runs that ended so."""
        return sum(result.ending is ending for result in self.results)

    def after(self, quantile: float) -> timedelta | None:
        """How long until rollback, at a quantile of all runs; None where that run was never rolled back."""
        times = sorted(result.after or timedelta.max for result in self.results)
        found = times[place_of(quantile, len(times))] if times else timedelta.max
        return None if found == timedelta.max else found

    def failed(self, quantile: float) -> int:
        """Failed requests canary served, at a quantile of all runs."""
        counts = sorted(result.failed for result in self.results)
        return counts[place_of(quantile, len(counts))] if counts else 0

    def lost(self, quantile: float) -> int:
        """What the scenario's harm was to users, at a quantile of all runs: slow requests of canary, or failed ones."""
        if not self.scenario.delays:
            return self.failed(quantile)
        counts = sorted(result.slow for result in self.results)
        return counts[place_of(quantile, len(counts))] if counts else 0

    def requests(self) -> float:
        """Requests canary served, median."""
        return median(result.requests for result in self.results) if self.results else 0.0

    def held(self) -> timedelta:
        """Time nothing was raised, median."""
        return sorted(result.held for result in self.results)[len(self.results) // 2] if self.results else timedelta(0)

    @property
    def rules(self) -> Counter[str]:
        """Which rules rolled back, and how often."""
        return Counter(result.rule for result in self.results if result.ending is Ending.ROLLED_BACK)

    @property
    def sentence(self) -> str:
        """What the rule that decides most often said, in the first run it decided."""
        most = self.rules.most_common(1)
        wanted = most[0][0] if most else ""
        return next((result.sentence for result in self.results if result.rule == wanted and result.sentence), "")

    @property
    def disappoints(self) -> bool:
        """Whether the rules do what they should not: keep a good version back, or mostly let a bad one through.

        A good version that is held, or does not start, is kept back as well as one that is rolled back.
        """
        if self.scenario.expect is Expect.PROMOTE:
            return len(self.results) - self.count(Ending.PROMOTED) > FALSE_AT_MOST * len(self.results)
        return self.scenario.expect is Expect.ROLL_BACK and self.share < CAUGHT_AT_LEAST


FALSE_AT_MOST = 0.01
"""Share of runs without fault of the release that may end otherwise than promoted."""

CAUGHT_AT_LEAST = 0.5
"""Share of runs of a bad version that must be rolled back, for the median one to be."""


def place_of(quantile: float, count: int) -> int:
    """Place of a quantile among so many sorted values: the first that at least this share of them does not exceed."""
    return min(count - 1, max(0, math.ceil(quantile * count - 1e-9) - 1))
