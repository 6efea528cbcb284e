"""Measurements that say what they are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sparkrelease.decide.facts import (
    Ask,
    Baseline,
    Counts,
    Finding,
    History,
    MetricFacts,
    Reading,
    Role,
    Share,
    SpanAsk,
    Window,
)
from sparkrelease.decide.flagging import FlagSeen
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.ports.cluster import ObjectKey

WELL = Counts(bad=0, total=1000)
BAD = Counts(bad=500, total=1000)


class FakeMeasuring:
    """Answers one reading per release and role for every metric."""

    def __init__(self) -> None:
        self.canary: dict[ObjectKey, Reading] = {}
        self.stable: dict[ObjectKey, Reading] = {}
        self.followed: dict[ObjectKey, ResolvedSpec] = {}
        self.findings: tuple[Finding, ...] = ()
        self.flags: dict[ObjectKey, FlagSeen] = {}
        self.open: dict[ObjectKey, int] = {}
        self.drained: list[ObjectKey] = []
        self.blind: list[ObjectKey] = []
        self.risen: list[ObjectKey] = []
        self.asked_after: list[tuple[ObjectKey, datetime]] = []
        self.ticks = 0
        self.asked = 0
        self._at: datetime | None = None

    def follow(self, key: ObjectKey, spec: ResolvedSpec) -> None:
        self.followed[key] = spec

    def was_blind(self, key: ObjectKey) -> None:
        self.blind.append(key)

    def rose(self, key: ObjectKey, now: datetime) -> None:
        self.risen.append(key)

    def drop(self, key: ObjectKey) -> None:
        self.followed.pop(key, None)

    async def tick(self, now: datetime) -> None:
        self.ticks += 1
        self._at = now

    def beat(self) -> tuple[datetime, float] | None:
        return None

    def readings(self, key: ObjectKey) -> Mapping[str, MetricFacts]:
        if self._at is None or key not in self.followed:
            return {}
        return {metric.name: self._facts(key, self._at) for metric in self.followed[key].metrics}

    def windows(self, key: ObjectKey, since: Mapping[str, datetime]) -> Mapping[str, tuple[Window, ...]]:
        return {}

    def asked_besides(self, key: ObjectKey) -> Mapping[Ask, MetricFacts]:
        return {}

    def histories(self, key: ObjectKey) -> Mapping[str, History]:
        return {}

    def scraped(self, key: ObjectKey) -> Mapping[Role, int]:
        return {}

    def share(self, key: ObjectKey) -> Share | None:
        return None

    def flag(self, key: ObjectKey) -> FlagSeen | None:
        return self.flags.get(key)

    @property
    def draining(self) -> Collection[ObjectKey]:
        return self.open.keys()

    def drain(self, key: ObjectKey, spec: ResolvedSpec, since: datetime) -> None:
        self.drained.append(key)

    def connections(self, key: ObjectKey) -> int | None:
        return self.open.get(key)

    async def gate(
        self, key: ObjectKey, spec: ResolvedSpec, over: timedelta, now: datetime
    ) -> Mapping[str, MetricFacts]:
        self.asked += 1
        return {threshold.name: self._facts(key, now) for threshold in spec.thresholds}

    async def spans(
        self, key: ObjectKey, spec: ResolvedSpec, asks: Sequence[SpanAsk], now: datetime
    ) -> Mapping[str, MetricFacts]:
        self.asked += 1
        return {ask.name: self._facts(key, now) for ask in asks}

    async def after(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, MetricFacts]:
        self.asked_after.append((key, now))
        return {metric.name: self._facts(key, now) for metric in spec.metrics}

    async def baselines(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, Baseline]:
        return {}

    async def preflight(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> tuple[Finding, ...]:
        return self.findings

    def _facts(self, key: ObjectKey, at: datetime) -> MetricFacts:
        canary, stable = self.canary.get(key, WELL), self.stable.get(key, WELL)
        return MetricFacts(query="q", at=at, window=timedelta(minutes=1), canary=canary, stable=stable)
