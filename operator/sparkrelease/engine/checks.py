"""Items of spec.preflight under way: an attempt begins every item once, and can say at any moment how far they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.config import MetricsServer
from sparkrelease.api.metrics import Metric
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.alerts import alert_findings, undeclared_alerts
from sparkrelease.decide.facts import Check, Finding, Missing, Problem
from sparkrelease.decide.preflight.answers import PreflightAnswer, SeriesAnswer, Unanswered
from sparkrelease.decide.preflight.judge import judge
from sparkrelease.decide.preflight.words import filled_item
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import filled, template_of
from sparkrelease.engine.needs import own_scope
from sparkrelease.ports.alerts import AlertSource
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.metrics import MetricSource
from sparkrelease.ports.preflight import PreflightRunner, Subject

log = logging.getLogger(__name__)

AT_ONCE = 0.5
"""Seconds a look waits for items that have just begun: most of them answer within, and one write tells of all."""

LONGEST_WAIT = timedelta(minutes=1)
"""How long an item waits for its turn among those of all releases; its own timeout begins then."""

MOST_SERIES = 1000
"""Series of one answer that are looked at; more are an error in the query."""

_EDIT_HELPS = frozenset({Reason.INVALID_QUERY, Reason.PROMETHEUS_UNKNOWN, Reason.ANSWER_TOO_LARGE})


@dataclass(slots=True)
class _Attempt:
    """The items of one attempt, in order."""

    subject: Subject
    items: tuple[PreflightItem, ...]
    tasks: list[asyncio.Task[Check]] = field(default_factory=list)


class Checks:
    """Carries items out. `source` answers queries, `runner` all else; `wake` is told when an item has ended."""

    def __init__(
        self,
        runner: PreflightRunner,
        source: MetricSource,
        servers: Mapping[str, MetricsServer],
        now: Callable[[], datetime],
        alerts: AlertSource | None = None,
    ) -> None:
        self._alerts = alerts
        self._runner = runner
        self._source = source
        self._servers = servers
        self._now = now
        self._attempts: dict[ObjectKey, _Attempt] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.wake: Callable[[ObjectKey], None] = lambda _: None

    async def look(self, key: ObjectKey, uid: str, spec: ResolvedSpec, attempt: str) -> tuple[Check, ...]:
        """How far the attempt is, item by item; begins it if nobody has. Another attempt of the release ends."""
        known = self._attempts.get(key)
        if known is None or known.subject.attempt != attempt:
            self.drop(key)
            known = self._begin(key, Subject(key.namespace, key.name, uid, attempt, spec.traffic.canary.service), spec)
            await asyncio.wait(known.tasks, timeout=AT_ONCE)
        return tuple(_said(item, task) for item, task in zip(known.items, known.tasks, strict=True))

    async def built_in(self, key: ObjectKey, spec: ResolvedSpec) -> tuple[Finding, ...]:
        """What the administrator asks of every release's metrics server: alerts that are there, and heard."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            return ()
        untold = undeclared_alerts(spec.prometheus, server.alerts, silences=server.alertmanager is not None)
        if not server.alerts or self._alerts is None:
            return tuple(untold)
        rules, silences = await asyncio.gather(
            self._alerts.rules(spec.prometheus), self._alerts.silences(spec.prometheus)
        )
        services = frozenset({spec.traffic.stable.service, spec.traffic.canary.service})
        labels = {server.labels.namespace: frozenset({key.namespace}), server.labels.service: services}
        return (*untold, *alert_findings(server.alerts, rules, silences, labels))

    def drop(self, key: ObjectKey) -> None:
        """Ends the release's attempt, and removes what it made; keeps nobody waiting."""
        known = self._attempts.pop(key, None)
        if known is None:
            return
        for task in known.tasks:
            task.cancel()
        leaving = asyncio.create_task(
            self._runner.clean(known.subject, known.items), name=f"after checks of {key.name}"
        )
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _begin(self, key: ObjectKey, subject: Subject, spec: ResolvedSpec) -> _Attempt:
        items = tuple(filled_item(item, spec, key.namespace) for item in spec.preflight)
        attempt = self._attempts[key] = _Attempt(subject, items)
        for item in items:
            task = asyncio.create_task(self._one(key, subject, spec, item), name=f"check {item.name} of {key.name}")
            task.add_done_callback(lambda _: self.wake(key) if self._attempts.get(key) is attempt else None)
            attempt.tasks.append(task)
        return attempt

    async def _one(self, key: ObjectKey, subject: Subject, spec: ResolvedSpec, item: PreflightItem) -> Check:
        """One item to its end. An error of the operator itself is no pass either."""
        try:
            answer = await self._in_turn(key, subject, spec, item)
        except Exception as fault:  # one item's bug must not stop the others; it is told, and is no pass
            log.exception("check %s of %s/%s", item.name, key.namespace, key.name)
            answer = Unanswered(Verdict.ERROR, f"the operator failed on it: {type(fault).__name__}")
        return judge(item, answer)

    async def _in_turn(
        self, key: ObjectKey, subject: Subject, spec: ResolvedSpec, item: PreflightItem
    ) -> PreflightAnswer:
        """Two waits with a limit each: what keeps the operator busy is no latency of an endpoint."""
        async with AsyncExitStack() as taken:
            try:
                async with asyncio.timeout(LONGEST_WAIT.total_seconds()):
                    await taken.enter_async_context(self._runner.turn(item))
            except TimeoutError:
                waited = format_duration(LONGEST_WAIT)
                text = f"not asked within {waited}: the operator was busy with other items"
                return Unanswered(Verdict.NO_DATA, text)
            try:
                async with asyncio.timeout(item.limit.total_seconds()):
                    asked = self._query(key, spec, item) if item.promql is not None else self._runner.run(subject, item)
                    return await asked
            except TimeoutError:
                return Unanswered(Verdict.NO_DATA, f"not done within {format_duration(item.limit)}")

    async def _query(self, key: ObjectKey, spec: ResolvedSpec, item: PreflightItem) -> PreflightAnswer:
        """A release's own query sees its namespace alone; a policy's is the administrator's and sees what it names."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            return Unanswered(Verdict.ERROR, f"server {spec.prometheus} is not declared to the operator")
        namespace = None if item.name in spec.policy_preflight else key.namespace
        template = template_of(Metric(name=item.name, value=item.promql), server.labels, (), namespace)
        if isinstance(template, Problem):
            return Unanswered(Verdict.ERROR, template.message)
        promql = filled(template, own_scope(key, spec))
        answer = await self._source.query(spec.prometheus, promql, self._now())
        found = answer if isinstance(answer, Missing) else answer.whole
        if isinstance(found, Missing):
            verdict = Verdict.ERROR if found.reason in _EDIT_HELPS else Verdict.NO_DATA
            return Unanswered(verdict, found.message, {"query": promql})
        if len(found.rows) > MOST_SERIES:
            return Unanswered(Verdict.ERROR, f"the query answers {len(found.rows)} series", {"query": promql})
        return SeriesAnswer(promql, tuple(found.rows))


def _said(item: PreflightItem, task: asyncio.Task[Check]) -> Check:
    if not task.done() or task.cancelled():
        return Check(item.name, item.optional, None, "under way")
    return task.result()
