"""What can happen to a canary in a window, and what was truly counted: requests, and latencies of native histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from cluster.metrics.ledger import NAMESPACE, Story
from cluster.metrics.pods import Pod, TimedPod
from sparkrelease.decide.facts import Buckets, Counts, Window

METRICS: list[dict[str, object]] = [
    {"name": "http", "bad": 'requests_total{code="500"}', "total": "requests_total", "every": "4s"},
    {"name": "latency", "buckets": "duration_bucket", "quantile": 0.95, "every": "4s"},
]


@dataclass
class Requests(Story):
    """Good, bad and slow requests of a canary."""

    metrics: ClassVar[list[dict[str, object]]] = METRICS

    truth: dict[datetime, tuple[int, int, int]] = field(default_factory=dict)
    """By end of window: bad requests, all, slow ones."""
    now: tuple[int, int, int] = (0, 0, 0)

    def count(self, pod: Pod, good: int = 0, bad: int = 0, slow: int = 0) -> None:
        """Requests that the pod answers now."""
        if good:
            pod.good = (pod.good or 0) + good
        if bad:
            pod.bad = (pod.bad or 0) + bad
        pod.slow += slow
        before = self.now
        self.now = (before[0] + bad, before[1] + good + bad, before[2] + slow)

    def begin(self) -> None:
        """Nothing has happened yet."""
        self.now = (0, 0, 0)

    def usually(self, number: int) -> None:
        """A few requests for every pod."""
        for place, pod in enumerate(self.pods):
            self.count(pod, good=3 + number + place, bad=number % 2 if pod.bad is not None else 0, slow=number % 3)

    def write_down(self, end: datetime) -> None:
        """All that was counted."""
        self.truth[end] = self.now

    def fault(self, metric: str, window: Window, number: int) -> str | None:
        """Counts of both metrics are those of the truth, at every edge."""
        bad, total, slow = self.truth[window.end]
        wanted: Counts | Buckets = Counts(bad, total)
        if metric == "latency":
            wanted = Buckets({0.1: 0, 0.2: total - slow, 1.0: total}, total)
        return None if window.canary == wanted else f"{window.canary}, truly {wanted}"


def pod(story: str, name: str = "a", **fields: object) -> Pod:
    """A pod of a story's canary, which has served before."""
    return Pod(NAMESPACE, f"{story}-canary", f"{story}-{name}", **{"good": 1000, "bad": 50, **fields})  # type: ignore[arg-type]  # any of its fields


# ---------------------------------------------------------------- latencies

BOUNDS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Bounds of every exponential histogram down to scale 0."""


@dataclass
class Latencies(Story):
    """Latencies of a canary, counted from a native histogram."""

    metrics: ClassVar[list[dict[str, object]]] = [
        {"name": "latency", "buckets": "duration_seconds", "quantile": 0.95, "every": "4s"}
    ]

    known: Sequence[float] = BOUNDS
    """Where every window that must be counted has to know the count."""
    truth: dict[datetime, list[float]] = field(default_factory=dict)
    now: list[float] = field(default_factory=list)

    def observe(self, pod: TimedPod, *latencies: float) -> None:
        """Requests that the pod answers now, in so many seconds."""
        pod.observed = [*(pod.observed or ()), *latencies]
        self.now += latencies

    def begin(self) -> None:
        """Nothing has happened yet."""
        self.now = []

    def usually(self, number: int) -> None:
        """Requests of several latencies for every pod, none of them on a bound; in every third window but one each."""
        for place, pod in enumerate(self.pods):
            spread = (0.03, 0.07, 0.11, 0.15, 0.19, 0.3, 0.45, 0.6, 0.9, 1.3)
            self.observe(pod, *((0.15,) if number % 3 == 1 else spread * (1 + number + place)))

    def write_down(self, end: datetime) -> None:
        """All that was observed."""
        self.truth[end] = [*self.now]

    def fault(self, metric: str, window: Window, number: int) -> str | None:
        """Every edge has the true count, and those that have to be known are."""
        seen, true = window.canary, self.truth[window.end]
        if not isinstance(seen, Buckets) or seen.total != len(true):
            return f"{seen}, truly {len(true)} events"
        wrong = {
            edge: (count, _at_or_below(true, edge))
            for edge, count in seen.at_or_below.items()
            if count != _at_or_below(true, edge)
        }
        if wrong:
            return f"by edge, counted and truly: {wrong}"
        blind = [edge for edge in self.known if seen.count_at(edge) != _at_or_below(true, edge)]
        return f"{seen} does not know {blind}" if blind and number in self.exact else None


def _at_or_below(latencies: Sequence[float], edge: float) -> int:
    return sum(latency <= edge for latency in latencies)


def timed(story: str, name: str = "a", scale: int | None = 3, **fields: object) -> TimedPod:
    """A pod of a story's canary that exposes a histogram, and has served before."""
    first = {"observed": [0.15, 0.4, 1.1], **fields}
    return TimedPod(NAMESPACE, f"{story}-canary", f"{story}-{name}", scale=scale, **first)  # type: ignore[arg-type]  # any of its fields
