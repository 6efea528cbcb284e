"""Queries of the engine: counted, timed, sorted by Service once per answer, put together when several want the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import TypeVar, cast

from sparkrelease.api.config import RoleLabels
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.grouping import Sorted, sort_answer
from sparkrelease.decide.templates import Scope, Template, scope_of
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.ports.metrics import Answer, MetricSource, RangeAnswer

GATHERING = 0.025
"""Seconds a one-off question waits for others that can be answered by the same query."""

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked once: which query of a template (`kind`), of which server, over which window, at which instant."""

    server: str
    template: Template
    kind: str
    over: timedelta
    at: datetime


@dataclass(slots=True)
class _Waiting:
    namespaces: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    task: asyncio.Task[object] | None = None
    sent: bool = False


class Asking:
    """Asks the metric source. `asked` counts queries sent; `answered_at` is per server the instant answered last."""

    def __init__(self, source: MetricSource, metrics: OperatorMetrics | None) -> None:
        self._source = source
        self._metrics = metrics
        self._waiting: dict[Question, _Waiting] = {}
        self.asked = 0
        self.answered_at: dict[str, datetime] = {}

    async def ask(
        self, server: str, promql: str, at: datetime, labels: RoleLabels, template: Template | None = None
    ) -> Sorted | Missing:
        """One query. Never raises for what the server does."""
        answer = await self._noted(server, self._source.query(server, promql, at))
        if isinstance(answer, Missing):
            return answer
        known = self.answered_at.get(server)
        self.answered_at[server] = at if known is None else max(known, at)
        return sort_answer(answer, labels, template)

    async def ask_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        """One range query."""
        return await self._noted(server, self._source.query_range(server, promql, start, end, step))

    async def _noted(self, server: str, query: Coroutine[None, None, _Found | Missing]) -> _Found | Missing:
        self.asked += 1
        since = perf_counter()
        answer = await query
        if self._metrics is not None:
            outcome = str(answer.reason) if isinstance(answer, Missing) else "ok"
            self._metrics.answers.labels(server, outcome).inc()
            self._metrics.answer_seconds.observe(perf_counter() - since)
        return answer

    async def ask_once(self, question: Question, scope: Scope, promql: Callable[[Scope], str]) -> Sorted | Missing:
        """The same question of several releases within a moment is sent once, for the Services of all of them."""

        def send(everybody: Scope) -> Coroutine[None, None, Sorted | Missing]:
            template = question.template
            return self.ask(question.server, promql(everybody), question.at, template.labels, template)

        return await self.together(question, scope, send)

    async def rows_once(self, question: Question, scope: Scope, promql: Callable[[Scope], str]) -> Answer | Missing:
        """The same for an answer whose rows are wanted as they come."""

        def send(everybody: Scope) -> Coroutine[None, None, Answer | Missing]:
            return self._whole(question.server, promql(everybody), question.at)

        return await self.together(question, scope, send)

    async def _whole(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        answer = await self._noted(server, self._source.query(server, promql, at))
        return answer if isinstance(answer, Missing) else answer.whole

    async def together(
        self, question: Question, scope: Scope, send: Callable[[Scope], Coroutine[None, None, _Found]]
    ) -> _Found:
        """Sends once what several releases want within a moment; the same question always has the same `send`."""
        waiting = self._waiting.get(question)
        if waiting is None or waiting.sent:
            waiting = self._waiting[question] = _Waiting()
        waiting.namespaces.update(scope.namespaces)
        waiting.services.update(scope.services)
        if waiting.task is None:
            waiting.task = asyncio.create_task(self._send(question, waiting, send), name="one-off query")
        return cast("_Found", await asyncio.shield(waiting.task))

    async def _send(
        self, question: Question, waiting: _Waiting, send: Callable[[Scope], Coroutine[None, None, _Found]]
    ) -> _Found:
        await asyncio.sleep(GATHERING)
        waiting.sent = True
        if self._waiting.get(question) is waiting:
            del self._waiting[question]
        return await send(scope_of(waiting.namespaces, waiting.services))
