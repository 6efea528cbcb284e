"""Everything outside that the engine talks to, in one place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sparkrelease.api.config import OperatorConfig
from sparkrelease.decide.facts import Ask, Baseline, Finding, History, MetricFacts, Role, Share, SpanAsk, Window
from sparkrelease.decide.flagging import FlagSeen
from sparkrelease.decide.plan import EventDraft
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.engine.checks import Checks
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.ports.clock import Clock
from sparkrelease.ports.cluster import EvidenceStore, ObjectKey, ObjectLister, StatusWriter, Workloads
from sparkrelease.ports.deployments import Deployments, NoDeployments
from sparkrelease.ports.leadership import Leadership
from sparkrelease.ports.mitigation import Mitigations
from sparkrelease.ports.notifier import NoNotifier, Notifier
from sparkrelease.ports.traffic import TrafficProvider
from sparkrelease.ports.watch import NamedWatch, ObjectCache


class Measuring(Protocol):
    """What the round needs of the measurements; `engine.measure.Measurements` is the real one."""

    def follow(self, key: ObjectKey, spec: ResolvedSpec) -> None:
        """Asks this release's metrics from the next tick on; cheap when nothing changed."""
        ...

    def was_blind(self, key: ObjectKey) -> None:
        """Says that the release's data was missing when it was taken over."""
        ...

    def rose(self, key: ObjectKey, now: datetime) -> None:
        """Says that canary gets its first requests."""
        ...

    def drop(self, key: ObjectKey) -> None:
        """Stops asking."""
        ...

    @property
    def asked(self) -> int:
        """Queries sent so far."""
        ...

    async def tick(self, now: datetime) -> None:
        """Asks every followed metric once."""
        ...

    def beat(self) -> tuple[datetime, float] | None:
        """When was asked, and the time (Unix) of the newest samples then; None where they have no common time."""
        ...

    def readings(self, key: ObjectKey) -> Mapping[str, MetricFacts]:
        """By metric name, as of the last tick; empty before the first."""
        ...

    def windows(self, key: ObjectKey, since: Mapping[str, datetime]) -> Mapping[str, tuple[Window, ...]]:
        """By metric, the exact windows known that end after the instant given for it, oldest first."""
        ...

    def asked_besides(self, key: ObjectKey) -> Mapping[Ask, MetricFacts]:
        """What rules want over other windows than a metric's own, or of the past."""
        ...

    def histories(self, key: ObjectKey) -> Mapping[str, History]:
        """By metric, for those that a trend is read from."""
        ...

    def scraped(self, key: ObjectKey) -> Mapping[Role, int]:
        """Targets of each role whose scrapes succeed, where the server can say."""
        ...

    def share(self, key: ObjectKey) -> Share | None:
        """The measured share as of the last tick."""
        ...

    def flag(self, key: ObjectKey) -> FlagSeen | None:
        """What the pods show of the release's feature flag, as of the last tick."""
        ...

    @property
    def draining(self) -> Collection[ObjectKey]:
        """Releases of which it is asked what their canary still holds."""
        ...

    def drain(self, key: ObjectKey, spec: ResolvedSpec, since: datetime) -> None:
        """Asks for a while what the canary still holds; keeps nobody waiting."""
        ...

    def connections(self, key: ObjectKey) -> int | None:
        """What is open on the canary of a release rolled back lately; None when nobody can say."""
        ...

    async def gate(
        self, key: ObjectKey, spec: ResolvedSpec, over: timedelta, now: datetime
    ) -> Mapping[str, MetricFacts]:
        """By threshold name, over the stage so far."""
        ...

    async def spans(
        self, key: ObjectKey, spec: ResolvedSpec, asks: Sequence[SpanAsk], now: datetime
    ) -> Mapping[str, MetricFacts]:
        """By the name of each ask, over its span."""
        ...

    async def after(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, MetricFacts]:
        """By metric name, over its own window, for a release that is not followed any more."""
        ...

    async def baselines(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, Baseline]:
        """By metric, what stable was before the run."""
        ...

    async def preflight(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> tuple[Finding, ...]:
        """Tries every query of the spec once."""
        ...


_NOBODY = NoNotifier()
_NONE_KEPT = NoDeployments()


@dataclass(frozen=True, slots=True)
class World:
    """The ports of one process, and what it does when it may no longer write."""

    config: OperatorConfig
    clock: Clock
    metrics: OperatorMetrics
    leadership: Leadership
    objects: StatusWriter
    lister: ObjectLister
    evidence: EvidenceStore
    workloads: Workloads
    traffic: TrafficProvider
    mitigations: Mitigations
    measuring: Measuring
    checks: Checks
    caches: tuple[ObjectCache, ...]
    named: NamedWatch
    fenced: Callable[[str], None]
    """Called with the reason when a newer leader was seen: ends the process without another write."""
    tell: Callable[[ObjectKey, str, EventDraft], None]
    """Hands an Event of a release (key, uid) to the recorder; returns at once."""
    notifier: Notifier = _NOBODY
    deployments: Deployments = _NONE_KEPT
