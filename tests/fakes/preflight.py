"""Items of preflight that answer what they are told, when they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime, timedelta

from sparkrelease.api.preflight import PreflightItem
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.preflight.answers import HttpAnswer, PreflightAnswer
from sparkrelease.decide.series import Answer, RangeAnswer, Row
from sparkrelease.ports.preflight import Subject

FINE = HttpAnswer("http://web", 200, (), b"{}", 0.01)


class FakeRunner:
    """Answers FINE to everything, unless told otherwise; an item on `waiting` answers once it is taken off."""

    def __init__(self) -> None:
        self.answers: dict[str, PreflightAnswer] = {}
        self.waiting: dict[str, asyncio.Event] = {}
        self.ran: list[tuple[str, str]] = []
        """Attempt and item, in the order they were begun."""
        self.cleaned: list[str] = []

    def hold(self, name: str) -> asyncio.Event:
        """Lets an item wait until the event is set."""
        return self.waiting.setdefault(name, asyncio.Event())

    def turn(self, _: PreflightItem) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def run(self, subject: Subject, item: PreflightItem) -> PreflightAnswer:
        self.ran.append((subject.attempt, item.name))
        if item.name in self.waiting:
            await self.waiting[item.name].wait()
        return self.answers.get(item.name, FINE)

    async def clean(self, subject: Subject, items: Sequence[PreflightItem]) -> None:
        self.cleaned.append(subject.attempt)


class FakeSource:
    """A metrics server with one answer to everything; `asked` are the queries."""

    def __init__(self, answer: Answer | Missing | None = None) -> None:
        self.answer = answer or Answer([Row({}, 1.0)])
        self.asked: list[str] = []

    def servers(self) -> frozenset[str]:
        return frozenset({"default"})

    async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        self.asked.append(promql)
        return self.answer

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        raise AssertionError("items of preflight ask for one instant")
