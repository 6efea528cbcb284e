"""What is asked of the metrics servers: each distinct query once per tick, however many releases share it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.datahealth import rule_metrics
from sparkrelease.decide.facts import (
    Ask,
    Baseline,
    Finding,
    History,
    MetricFacts,
    Missing,
    Problem,
    Role,
    Share,
    SpanAsk,
    Window,
)
from sparkrelease.decide.flagging import FlagSeen
from sparkrelease.decide.grouping import Place
from sparkrelease.decide.readings import Look, newest, read, read_count
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import Template
from sparkrelease.engine.asking import Asking
from sparkrelease.engine.baselines import Baselines
from sparkrelease.engine.batch import Answered, Batch, ShareBatch
from sparkrelease.engine.besides import Besides
from sparkrelease.engine.blindness import Blindness
from sparkrelease.engine.draining import Draining
from sparkrelease.engine.flagged import Flagged
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.engine.needs import SELDOM, Need, needs_of, places
from sparkrelease.engine.oneoff import OneOff, refused
from sparkrelease.engine.pods import PodsBehind, PodSource
from sparkrelease.engine.windows import Windows
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.metrics import MetricSource

SHARE_PAUSE = timedelta(seconds=1)

_TOGETHER = 0.05
"""Seconds between samples that count as scraped at one moment."""


@dataclass(slots=True)
class _Followed:
    """One release, what it needs, and its facts as built last."""

    spec: ResolvedSpec
    server: str
    stable: Place
    canary: Place
    needs: tuple[tuple[Need, Batch | None], ...]
    since: int
    """Tick whose answers are the first that were asked for this release, too."""
    was_blind: bool = False
    """Taken over while its data was missing: nobody remembers whether that was the server's fault."""
    heard_at: datetime | None = None
    """When it was first answered for such a release."""
    facts: Mapping[str, MetricFacts] = field(default_factory=dict)
    built: int = -1


class Measurements:
    """Asks for active releases; the engine reads the last answers without waiting."""

    def __init__(
        self,
        source: MetricSource,
        config: OperatorConfig,
        metrics: OperatorMetrics | None = None,
        pods: PodSource | None = None,
    ) -> None:
        self._servers = config.servers
        self._tick = config.tick
        self._asking = Asking(source, metrics)
        self._pods = PodsBehind(pods)
        self._windows = Windows(self._asking, self._servers, self._pods, self._tick)
        self._besides = Besides(self._asking, self._servers, self._tick, self._gap, self._pods)
        self._baselines = Baselines(self._asking, self._servers, self._pods)
        self._once = OneOff(self._asking, self._servers, self._gap, self._pods)
        self._batches: dict[tuple[str, Template], Batch] = {}
        self._shares: dict[str, ShareBatch] = {}
        self._unheard: set[str] = set()
        """Servers whose last answer was none."""
        self._draining = Draining(config.servers)
        self._flagged = Flagged(self._asking, self._servers, pods)
        self._blindness = Blindness(self._asking, config.servers)
        self._followed: dict[ObjectKey, _Followed] = {}
        self._sought: dict[ObjectKey, datetime] = {}
        """Until when a release's canary, which has just got its first requests, is looked for where it is not seen."""
        self._number = 0
        self._answers = 0
        self._at: datetime | None = None

    @property
    def asked(self) -> int:
        """Queries sent so far."""
        return self._asking.asked

    # ------------------------------------------------------------ who is asked for

    def follow(self, key: ObjectKey, spec: ResolvedSpec) -> None:
        """Asks this release's metrics from the next tick on; cheap when nothing changed."""
        known = self._followed.get(key)
        if known is not None and (known.spec is spec or known.spec == spec):
            return
        self.drop(key)
        sides = places(key, spec)
        server = self._servers.get(spec.prometheus)
        if server is None:
            self._followed[key] = _Followed(spec, spec.prometheus, *sides, (), self._number + 1)
            return
        needs = needs_of(key, spec, server)
        joined = tuple((need, self._join(need, key, spec.prometheus, sides)) for need in needs if need.watched)
        for need in needs:
            if need.windowed and not isinstance(need.template, Problem):
                metric = need.metric
                self._windows.follow(key, spec.prometheus, metric.name, need.template, metric.every, *sides)
        self._besides.follow(key, spec, needs, *sides)
        self._flagged.follow(key, spec)
        if server.share is not None:
            share = self._shares.get(spec.prometheus)
            if share is None:
                share = ShareBatch(spec.prometheus, server.share.labels, counter=server.share)
                self._shares[spec.prometheus] = share
            share.join(key, sides)
        self._followed[key] = _Followed(spec, spec.prometheus, *sides, joined, self._number + 1)

    def _join(self, need: Need, key: ObjectKey, server: str, sides: tuple[Place, Place]) -> Batch | None:
        template = need.template
        if isinstance(template, Problem):
            return None
        batch = self._batches.get((server, template))
        if batch is None:
            batch = Batch(server, template.labels, template=template, max_age=self._servers[server].max_age)
            self._batches[server, template] = batch
        batch.join(key, sides)
        batch.pauses[key] = need.pause
        return batch

    def was_blind(self, key: ObjectKey) -> None:
        """Says that the release's data was missing when it was taken over."""
        followed = self._followed.get(key)
        if followed is not None:
            followed.was_blind = True

    def rose(self, key: ObjectKey, now: datetime) -> None:
        """Says that canary gets its first requests: for a while, what has no value of it yet is asked at every tick.

        A patient question would come long after the series it is about, and the stage would stand still meanwhile.
        """
        if key in self._followed:
            self._sought[key] = now + SELDOM

    def drop(self, key: ObjectKey) -> None:
        """Stops asking."""
        self._draining.drop(key)
        self._sought.pop(key, None)
        self._flagged.drop(key)
        followed = self._followed.pop(key, None)
        if followed is None:
            return
        self._windows.drop(key)
        self._besides.drop(key)
        for _, batch in followed.needs:
            if batch is not None and batch.leave(key):
                self._batches.pop((batch.server, batch.template), None)
        share = self._shares.get(followed.server)
        if share is not None and share.leave(key):
            del self._shares[followed.server]

    # ------------------------------------------------------------ the tick

    async def tick(self, now: datetime) -> None:
        """Asks every followed query once, all at one instant.

        Waits one tick at most. What is answered later is taken when it comes, with the instant it was asked for, and
        is not asked again meanwhile: one slow server keeps no other from being heard.
        """
        self._number += 1
        self._at = now
        self._blindness.note(self._batches.values())
        self._seek(now)
        for batch in [*self._due(now)]:
            batch.task = asyncio.create_task(self._ask(batch, now), name="metrics query")
        more = [*self._windows.start(now), *self._besides.start(now)]
        waited_for = (*self._batches.values(), *self._shares.values(), *self._flagged.batches)
        under_way = [b.task for b in waited_for if b.task is not None] + more
        if under_way:
            await self._wait(under_way)

    async def _wait(self, under_way: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.wait(under_way, timeout=self._tick.total_seconds())
        except asyncio.CancelledError:
            for task in under_way:
                task.cancel()
            raise

    def _seek(self, now: datetime) -> None:
        """Has asked again what has no value of a canary that may be seen any moment."""
        for key, until in [*self._sought.items()]:
            if now > until:
                del self._sought[key]
                continue
            facts = self.readings(key)
            for need, batch in self._followed[key].needs:
                seen = facts.get(need.metric.name)
                if batch is not None and seen is not None and isinstance(seen.canary, Missing):
                    batch.sent_at = None

    def _due(self, now: datetime) -> Iterator[Answered]:
        """What is asked now. Of each server at least one query a tick: that it is blind shows at once, for all."""
        slack = self._tick / 2
        watched = set(self._shares)
        for batch in self._batches.values():
            at_once = batch.missing is not None or batch.server in self._unheard or batch.server not in watched
            watched.add(batch.server)
            if batch.due(now, (timedelta(0) if at_once else batch.pause) - slack):
                yield batch
        for share in self._shares.values():
            if share.due(now, SHARE_PAUSE - slack):
                yield share
        yield from self._flagged.due(now, slack)
        yield from self._draining.due(now, slack)

    async def _ask(self, batch: Answered, now: datetime) -> None:
        batch.sent_at, number = now, self._number
        template = batch.template if isinstance(batch, Batch) else None
        try:
            answer = await self._asking.ask(batch.server, batch.promql(), now, batch.labels, template)
            batch.take(answer, now, number)
            self._answers += 1
            if isinstance(answer, Missing) and answer.server_wide:
                self._unheard.add(batch.server)
            else:
                self._unheard.discard(batch.server)
        finally:
            batch.task = None

    def beat(self) -> tuple[datetime, float] | None:
        """Of the query that guards most releases: when it was asked, and when most of its Services were last scraped.

        None before its first answer, and where its Services are scraped at different moments.
        """
        guards = [one for one in self._batches.values() if one.pause <= self._tick and one.at is not None]
        busiest = max(guards, key=lambda batch: len(batch.pauses), default=None)
        if busiest is None or busiest.at is None or busiest.missing is not None:
            return None
        found = busiest.found
        together = sum(found.newest - group.newest < _TOGETHER for group in found.groups.values())
        return (busiest.at, found.newest) if 2 * together > len(found.groups) else None

    # ------------------------------------------------------------ reading the last answers

    def readings(self, key: ObjectKey) -> Mapping[str, MetricFacts]:
        """By metric name, as of the last tick; a metric not asked yet is left out. The same object until news came."""
        followed = self._followed.get(key)
        if followed is None:
            return {}
        if followed.server not in self._servers:
            return self._undeclared(followed)
        if followed.built != self._answers or not followed.facts:
            followed.facts = dict(self._facts(followed))
            followed.built = self._answers
        return followed.facts

    def _facts(self, followed: _Followed) -> Iterator[tuple[str, MetricFacts]]:
        for need, batch in followed.needs:
            name, template = need.metric.name, need.template
            if isinstance(template, Problem):
                if self._at is not None:
                    yield name, refused(need, template, self._at)
            elif batch is not None and batch.at is not None and batch.number >= followed.since:
                look = batch.look(batch.at, above=need.above, below=need.below)
                blind = self._blindness.of(batch, batch.at)
                places_of = (followed.canary, followed.stable)
                found = self._pods.fold(batch.found, template, places_of)
                sides = (blind or read(found, place, template, look) for place in places_of)
                followed.heard_at = followed.heard_at or batch.at
                taken_over = followed.heard_at if followed.was_blind else None
                blamed = (self._blindness.blamed(side, batch.server, batch.at, taken_over) for side in sides)
                canary, stable = blamed
                yield name, MetricFacts(need.query, batch.at, need.metric.window, canary, stable)

    def _undeclared(self, followed: _Followed) -> dict[str, MetricFacts]:
        """Facts of a release whose server the administrator took away."""
        if self._at is None:
            return {}
        text = f"metrics server {followed.server} is not declared to the operator"
        gone, spec = Missing(Reason.PROMETHEUS_UNKNOWN, text, server_wide=True), followed.spec
        windows = {name: spec.metric(name).window for name in rule_metrics(spec)}
        return {name: MetricFacts("", self._at, window, gone, gone) for name, window in windows.items()}

    def _gap(self, server: str, template: Template, start: datetime) -> Missing | None:
        batch = self._batches.get((server, template))
        return batch.gap(start) if batch is not None else None

    def scraped(self, key: ObjectKey) -> Mapping[Role, int]:
        """Targets of each role whose scrapes succeed, where the server can say."""
        return self._besides.scraped(key)

    def share(self, key: ObjectKey) -> Share | None:
        """The measured share as of the last tick; None where the server declares no counter or could not say."""
        followed = self._followed.get(key)
        batch = self._shares.get(followed.server) if followed is not None else None
        if followed is None or batch is None or batch.at is None or batch.missing is not None:
            return None
        if batch.number < followed.since:
            return None
        look = Look.of(batch.at, self._servers[followed.server].max_age)
        stable = read_count(batch.found, followed.stable, look)
        canary = read_count(batch.found, followed.canary, look)
        if stable is None or canary is None:
            return None
        at = newest(batch.found, (followed.stable, followed.canary)) or batch.at
        return Share(stable, canary, batch.counter.window, at, batch.counter.judged)

    def flag(self, key: ObjectKey) -> FlagSeen | None:
        """What the pods show of the release's feature flag, as of the last tick."""
        return self._flagged.seen(key, self._at)

    def windows(self, key: ObjectKey, since: Mapping[str, datetime]) -> Mapping[str, tuple[Window, ...]]:
        """By metric, the exact windows known that end after the instant given for it, oldest first."""
        return self._windows.since(key, since)

    def asked_besides(self, key: ObjectKey) -> Mapping[Ask, MetricFacts]:
        """What rules want over other windows than a metric's own, or of the past; `at` is when it was asked."""
        return self._besides.asked(key)

    def histories(self, key: ObjectKey) -> Mapping[str, History]:
        """By metric, for those that a trend is read from."""
        return self._besides.histories(key)

    # ------------------------------------------------------------ after a rollback

    @property
    def draining(self) -> Collection[ObjectKey]:
        """Releases of which it is asked what their canary still holds."""
        return self._draining.keys

    def drain(self, key: ObjectKey, spec: ResolvedSpec, since: datetime) -> None:
        """Asks for a while what the canary still holds, where the server declares a gauge; keeps nobody waiting."""
        self._draining.follow(key, spec, since)

    def connections(self, key: ObjectKey) -> int | None:
        """What is open on the canary of a release rolled back lately; None when nobody can say."""
        return self._draining.seen(key)

    # ------------------------------------------------------------ one-off questions

    async def gate(
        self, key: ObjectKey, spec: ResolvedSpec, over: timedelta, now: datetime
    ) -> Mapping[str, MetricFacts]:
        """By threshold name, over the stage so far; empty when the server is not declared."""
        return await self._once.gate(key, spec, over, now)

    async def spans(
        self, key: ObjectKey, spec: ResolvedSpec, asks: Sequence[SpanAsk], now: datetime
    ) -> Mapping[str, MetricFacts]:
        """By the name of each ask, over its span; empty when the server is not declared."""
        return await self._once.spans(key, spec, asks, now)

    async def after(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, MetricFacts]:
        """By metric name, over its own window, for a release that is not followed any more."""
        return await self._once.after(key, spec, now)

    async def baselines(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, Baseline]:
        """By metric, what stable was in the hour before."""
        return await self._baselines.of(key, spec, now)

    async def preflight(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> tuple[Finding, ...]:
        """Tries every query of the spec once."""
        return (*await self._once.preflight(key, spec, now), *await self._flagged.preflight(key, spec, now))
