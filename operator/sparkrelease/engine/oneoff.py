"""Questions that are asked once: what a gate needs over a stage, what preflight tries, what is after a rollback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from sparkrelease.api.config import MetricsServer
from sparkrelease.api.metrics import Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Again, Finding, MetricFacts, Missing, Problem, Reading, SpanAsk
from sparkrelease.decide.grouping import Place, Sorted
from sparkrelease.decide.metricchecks import Tried, check_metric
from sparkrelease.decide.promql import native_query, presence_query, targets_query, whole_query, window_query
from sparkrelease.decide.readings import Look, read, read_gate
from sparkrelease.decide.recount import again_query, lost, stage_query
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.targets import target_findings
from sparkrelease.decide.templates import Scope, Template
from sparkrelease.engine.asking import Asking, Question
from sparkrelease.engine.needs import Need, needs_of, own_scope, places
from sparkrelease.engine.pods import PodsBehind
from sparkrelease.ports.cluster import ObjectKey

_FINE, _COARSE = timedelta(milliseconds=100), timedelta(seconds=1)
_LONG_STAGE = timedelta(minutes=1)
_ITS_OWN_WINDOW = frozenset({"window", "presence", "native"})


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks, at which instant, over which time."""

    key: ObjectKey
    spec: ResolvedSpec
    at: datetime
    over: timedelta
    whole: bool = False
    """Whether pods that are gone by now count, too."""


class OneOff:
    """Asks for one release at a time; what several releases ask within a moment is sent once."""

    def __init__(
        self,
        asking: Asking,
        servers: Mapping[str, MetricsServer],
        gap: Callable[[str, Template, datetime], Missing | None],
        pods: PodsBehind,
    ) -> None:
        self._asking = asking
        self._servers = servers
        self._gap = gap
        self._pods = pods

    async def gate(
        self, key: ObjectKey, spec: ResolvedSpec, over: timedelta, now: datetime
    ) -> Mapping[str, MetricFacts]:
        """By threshold name, over the stage so far."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            return {}
        needs = {need.metric.name: need for need in needs_of(key, spec, server)}
        asker = _Asker(key, spec, *_aligned(now, over))
        asked = spec.mirror_thresholds
        facts = await asyncio.gather(*(self._threshold(asker, needs[one.metric], one) for one in asked))
        return {threshold.name: one for threshold, one in zip(asked, facts, strict=True)}

    async def spans(
        self, key: ObjectKey, spec: ResolvedSpec, asks: Sequence[SpanAsk], now: datetime
    ) -> Mapping[str, MetricFacts]:
        """By the name of each ask, over its span."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            return {}
        needs = {need.metric.name: need for need in needs_of(key, spec, server)}

        async def answer(ask: SpanAsk) -> MetricFacts:
            asker = _Asker(key, spec, *_aligned(now, ask.over), whole=ask.whole)
            return await self._threshold(asker, needs[ask.threshold.metric], ask.threshold)

        facts = await asyncio.gather(*(answer(ask) for ask in asks))
        return {ask.name: one for ask, one in zip(asks, facts, strict=True)}

    async def after(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, MetricFacts]:
        """By metric name, over its own window."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            text = f"server {spec.prometheus} is not declared to the operator"
            gone = Missing(Reason.PROMETHEUS_UNKNOWN, text, server_wide=True)
            return {metric.name: MetricFacts("", now, metric.window, gone, gone) for metric in spec.metrics}
        asker, needs = _Asker(key, spec, _floor(now, _FINE), _FINE), needs_of(key, spec, server)
        facts = await asyncio.gather(*(self._own_window(asker, need, server) for need in needs))
        return {need.metric.name: one for need, one in zip(needs, facts, strict=True)}

    async def _own_window(self, asker: _Asker, need: Need, server: MetricsServer) -> MetricFacts:
        template = need.template
        if isinstance(template, Problem):
            return refused(need, template, asker.at)
        found = await self._ask(asker, template, "window", partial(window_query, template))
        look = Look.of(asker.at, server.max_age, above=need.above, below=need.below)
        stable, canary = (
            found if isinstance(found, Missing) else read(found, place, template, look)
            for place in places(asker.key, asker.spec)
        )
        return MetricFacts(need.query, asker.at, need.metric.window, canary=canary, stable=stable)

    async def _threshold(self, asker: _Asker, need: Need, threshold: Threshold) -> MetricFacts:
        template, server = need.template, asker.spec.prometheus
        if isinstance(template, Problem):
            return refused(need, template, asker.at)
        found, text = await self._over(asker, template, threshold)
        since = asker.at - asker.over
        missing = self._gap(server, template, since) if not asker.whole else None
        max_age = self._servers[server].max_age
        look = Look.of(asker.at, max_age, above=not threshold.has_lower, below=not threshold.has_upper)

        def reading(place: Place) -> Reading:
            if isinstance(found, Missing):
                return found
            return missing or read_gate(found, place, template, look, threshold)

        sides = stable, canary = places(asker.key, asker.spec)
        facts = MetricFacts(text, asker.at, asker.over, canary=reading(canary), stable=reading(stable))
        if isinstance(found, Missing) or asker.whole or template.value is not None:
            return facts
        why = {place: lost(found, place, one) for place, one in zip(sides, (facts.stable, facts.canary), strict=True)}
        if not any(why.values()):
            return facts
        again = await self._again(asker, template)
        promql = again_query(template, own_scope(asker.key, asker.spec), asker.over)

        def counted(place: Place, alone: Reading) -> Again | None:
            reading = again if isinstance(again, Missing) else read(again, place, template, look)
            return Again(why[place], promql, reading) if why[place] and reading != alone else None

        twice = counted(canary, facts.canary), counted(stable, facts.stable)
        return replace(facts, canary_again=twice[0], stable_again=twice[1])

    async def _again(self, asker: _Asker, template: Template) -> Sorted | Missing:
        """The stage counted once more, as of the same instant. Seldom asked, so that no other gate pays for it."""
        return await self._ask(asker, template, "again", lambda scope: again_query(template, scope, asker.over))

    async def _over(self, asker: _Asker, template: Template, threshold: Threshold) -> tuple[Sorted | Missing, str]:
        """The answer over a stage, and the query narrowed to the release."""
        highest, lowest = threshold.has_upper, threshold.has_lower

        def promql(scope: Scope) -> str:
            if asker.whole and template.value is None:
                return whole_query(template, scope, asker.over)
            return stage_query(template, scope, asker.over, highest=highest, lowest=lowest)

        counted = "whole" if asker.whole else "difference"
        kind = f"extremes {highest:d}{lowest:d}" if template.value is not None else counted
        found = await self._ask(asker, template, kind, promql)
        return found, promql(own_scope(asker.key, asker.spec))

    async def preflight(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> tuple[Finding, ...]:
        """Tries every query of the spec; what no rule reads can only be warned of."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            problem = Problem(Reason.PROMETHEUS_UNKNOWN, f"server {spec.prometheus} is not declared to the operator")
            return (Finding("spec.prometheus", True, problem),)
        longest = max((stage.duration for stage in spec.stages), default=_LONG_STAGE)
        asker = _Asker(key, spec, _floor(now, _FINE), max(longest, _COARSE))
        found = await asyncio.gather(
            self._targets(asker, server), *(self._try(asker, need) for need in needs_of(key, spec, server))
        )
        return tuple(finding for findings in found for finding in findings)

    async def _targets(self, asker: _Asker, server: MetricsServer) -> list[Finding]:
        """Whether every pod is scraped. A server that answers nothing at all is told of by its metrics."""
        if not server.targets:
            return []
        question = Question(asker.spec.prometheus, Template(server.labels, timedelta(0)), "targets", _FINE, asker.at)
        scope = own_scope(asker.key, asker.spec)
        found = await self._asking.rows_once(question, scope, partial(targets_query, server.labels))
        if isinstance(found, Missing):
            return [] if found.server_wide else [Finding("targets", True, Problem(found.reason, found.message))]
        pods = {place: self._pods.all_of(place) for place in places(asker.key, asker.spec)}
        return [*target_findings(found.rows, server.labels, pods, asker.at - server.max_age)]

    async def _try(self, asker: _Asker, need: Need) -> list[Finding]:
        check, template = f"metrics/{need.metric.name}", need.template
        if isinstance(template, Problem):
            return [Finding(check, need.read_by_rules, template)]
        tried = await (
            self._counters(asker, template) if template.value is None else self._value(asker, need, template)
        )
        faults = check_metric(need.metric, template, tried, *places(asker.key, asker.spec))
        return [Finding(check, need.read_by_rules and fault.certain, fault.problem) for fault in faults]

    async def _counters(self, asker: _Asker, template: Template) -> Tried:
        window, presence = await asyncio.gather(
            self._ask(asker, template, "window", partial(window_query, template)),
            self._ask(asker, template, "presence", partial(presence_query, template)),
        )
        known = isinstance(presence, Missing) or any(one in presence.groups for one in places(asker.key, asker.spec))
        if known or template.buckets is None or template.native is not None:
            return Tried(window, presence=presence)
        native = await self._ask(asker, template, "native", partial(native_query, template))
        return Tried(window, presence=presence, native=native)

    async def _value(self, asker: _Asker, need: Need, template: Template) -> Tried:
        window = await self._ask(asker, template, "window", partial(window_query, template))
        thresholds = [one for one in asker.spec.thresholds if one.metric == need.metric.name]
        stages = [await self._over(asker, template, threshold) for threshold in thresholds]
        return Tried(window, next((found for found, _ in stages if isinstance(found, Missing)), None))

    async def _ask(
        self, asker: _Asker, template: Template, kind: str, promql: Callable[[Scope], str]
    ) -> Sorted | Missing:
        server = asker.spec.prometheus
        over = asker.over if kind not in _ITS_OWN_WINDOW else template.window
        question = Question(server, template, kind, over, asker.at)
        scope = own_scope(asker.key, asker.spec)
        found = await self._asking.ask_once(question, scope, promql)
        return found if isinstance(found, Missing) else self._pods.folded(found, template, asker.key, asker.spec)


def refused(need: Need, problem: Problem, at: datetime) -> MetricFacts:
    """Facts of a metric that cannot be asked."""
    missing = Missing(problem.reason, problem.message)
    return MetricFacts("", at, need.metric.window, canary=missing, stable=missing)


def _aligned(now: datetime, over: timedelta) -> tuple[datetime, timedelta]:
    """Instant and window of a gate, moved inwards to full seconds (tenths in a short stage), so that others share them.

    Inwards: nothing from before the stage is counted in it.
    """
    unit = _COARSE if over >= _LONG_STAGE else _FINE
    at = _floor(now, unit)
    start = _floor(now - over, unit)
    start = start if start == now - over else start + unit
    return (at, at - start) if at - start >= unit else (now, max(over, timedelta(milliseconds=1)))


def _floor(moment: datetime, unit: timedelta) -> datetime:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return moment - since % unit
