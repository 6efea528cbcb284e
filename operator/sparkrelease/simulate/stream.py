"""Requests to both roles, drawn scrape by scrape, and what their counters and gauges say at each scrape."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from typing import NamedTuple

from sparkrelease.decide.facts import Role
from sparkrelease.simulate.chance import Chance
from sparkrelease.simulate.scenario import Scenario
from sparkrelease.simulate.service import Latencies, Service, Traffic

MINUTE = 60.0
_WOBBLE = 0.02
"""Standard deviation of a gauge that rules read the trend of, in steps of what is allowed a minute."""


@dataclass(slots=True)
class Counters:
    """One role's counters as scraped, oldest first: requests, bad ones by metric, and those up to each edge."""

    times: list[float] = field(default_factory=list)
    total: list[int] = field(default_factory=list)
    bad: dict[str, list[int]] = field(default_factory=dict)
    up_to: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    gauges: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    """By metric, each pod's value."""

    def place(self, at: float) -> int:
        """Place of the last scrape at or before an instant; -1 when there is none."""
        return bisect_right(self.times, at + 1e-6) - 1


class Served(NamedTuple):
    """Requests, those of them that failed, and those that were slower than rules allow."""

    requests: int
    failed: int
    slow: int


@dataclass(slots=True)
class _Count:
    """What a role has counted so far, scraped or not."""

    total: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    up_to: dict[str, tuple[int, ...]] = field(default_factory=dict)


class Stream:
    """The service under requests. Times are seconds of Unix time; `begin` is when the release comes into the world.

    `bad_from` and `bad_until` bound what the scenario does; the metrics server is away within them when it is `blind`.
    """

    def __init__(
        self, service: Service, scenario: Scenario, traffic: Traffic, chance: Chance, *, begin: float, stages: timedelta
    ) -> None:
        self.service = service
        self.scenario = scenario
        self._chance = chance
        self._rps = traffic.rps if scenario.rps is None else scenario.rps
        self._pods = traffic.pods
        self.bad_from, self.bad_until = _bounds(scenario, chance, begin, stages.total_seconds())
        self.scraped = {role: Counters() for role in Role}
        self._counted = {role: _Count() for role in Role}
        self._levels = dict.fromkeys(Role, (1.0, 1.0))
        self._minute = -1.0
        self._shares: dict[tuple[str, float], list[float]] = {}
        self.now = begin
        self.served = Served(0, 0, 0)
        """What canary served since the scenario's harm began."""

    def away(self, at: float) -> bool:
        """Whether the metrics server is away at an instant."""
        return self.scenario.blind and self.bad_from <= at < self.bad_until

    def advance(self, until: float, weight: float, mirror: float = 0.0) -> None:
        """Draws the requests from now until then at this canary weight and mirror (percent), and scrapes."""
        seconds = until - self.now
        if self.now // MINUTE != self._minute:
            self._minute = self.now // MINUTE
            self._levels = {role: self._draw_levels() for role in Role}
        harm = not self.scenario.blind and self.bad_from <= self.now + 1e-6 < self.bad_until
        for role, share in ((Role.CANARY, (weight + mirror) / 100), (Role.STABLE, 1 - weight / 100)):
            hurt = harm and (role is Role.CANARY or self.scenario.shared)
            self._draw(role, self._rps * share * seconds, hurt=hurt, copies=mirror > 0)
        self.now = until
        if not self.away(until):
            for role in Role:
                self._scrape(role)

    def _draw_levels(self) -> tuple[float, float]:
        scenario = self.scenario
        noisy = scenario.latency_noise
        return self._chance.level(scenario.error_noise), 1.0 + noisy * self._chance.normal() if noisy else 1.0

    def _draw(self, role: Role, mean: float, *, hurt: bool, copies: bool = False) -> None:
        """Requests of one role, each metric's bad ones and buckets. Copies at canary are served to nobody."""
        count, (level, pace) = self._counted[role], self._levels[role]
        n = self._chance.poisson(mean)
        count.total += n
        scenario = self.scenario
        failed = slow = 0
        for errors in self.service.errors:
            bad_rate = scenario.errors if hurt and errors.hit and scenario.errors is not None else errors.rate
            bad = self._chance.binomial(n, min(bad_rate * level, 1.0))
            count.bad[errors.name] = count.bad.get(errors.name, 0) + bad
            failed += bad if errors.hit else 0
        for latency in self.service.latencies:
            factor = pace * (scenario.slower if hurt and latency.hit else 1.0)
            boxes = self._chance.spread(n, self._shares_of(latency, factor))
            before = count.up_to.get(latency.name) or (0,) * len(latency.edges)
            seen = tuple(accumulate(boxes[:-1]))
            count.up_to[latency.name] = tuple(a + b for a, b in zip(before, seen, strict=True))
            slow += n - seen[latency.edges.index(latency.slow)] if latency.hit else 0
        if role is Role.CANARY and not copies and (self.now >= self.bad_from or not scenario.harmful):
            before_that = self.served
            self.served = Served(before_that.requests + n, before_that.failed + failed, before_that.slow + slow)

    def _shares_of(self, latency: Latencies, factor: float) -> list[float]:
        known = self._shares.get((latency.name, factor))
        if known is None:
            if len(self._shares) > 100:  # noqa: PLR2004  (a noisy service has a new factor every minute)
                self._shares.clear()
            known = self._shares[latency.name, factor] = latency.shares(factor)
        return known

    def _scrape(self, role: Role) -> None:
        counters, count = self.scraped[role], self._counted[role]
        counters.times.append(self.now)
        counters.total.append(count.total)
        for name, bad in count.bad.items():
            counters.bad.setdefault(name, []).append(bad)
        for name, up_to in count.up_to.items():
            counters.up_to.setdefault(name, []).append(up_to)
        leaking = self.scenario.leak > 0 and (role is Role.CANARY or self.scenario.shared)
        minutes = max(0.0, self.now - self.bad_from) / MINUTE if leaking else 0.0
        for gauge in self.service.gauges:
            value, wobble = gauge.level, 0.0
            if gauge.hit:
                value += minutes * gauge.step * self.scenario.leak
                wobble = _WOBBLE * gauge.step
            pods = tuple(value + (wobble * self._chance.normal() if wobble else 0.0) for _ in range(self._pods))
            counters.gauges.setdefault(gauge.name, []).append(pods)


def _bounds(scenario: Scenario, chance: Chance, begin: float, stages: float) -> tuple[float, float]:
    start = scenario.start.total_seconds() if isinstance(scenario.start, timedelta) else scenario.start * stages
    if scenario.spreads:
        start += chance.uniform() * scenario.spreads * stages
    lasts = scenario.lasts.total_seconds() if scenario.lasts is not None else float("inf")
    return begin + start, begin + start + lasts
