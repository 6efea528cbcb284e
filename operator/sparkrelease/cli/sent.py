"""What the operator's measuring sends, written down with what it was for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, RangeAnswer
from sparkrelease.ports.metrics import MetricSource


class Purpose(StrEnum):
    """What a query is for."""

    READING = "reading"
    """A metric over its own window, or another one that a rule wants: for triggers, and to know that data is fresh."""
    WINDOW = "window"
    """Exact counts of one window, for the tests that compare canary with stable."""
    SHARE = "share"
    """Requests per role, to see that the weight is in force."""
    FLAG = "flag"
    """What each pod shows of the feature flag, to see that its value is in force."""
    DRAINING = "draining"
    """What canary still holds open after a rollback."""
    HISTORY = "history"
    """A metric over a time, for trends."""
    TARGETS = "targets"
    """Targets of each Service that can be scraped."""
    GATE = "gate"
    """A threshold's metric over a stage."""
    WATCH = "watch"
    """A threshold or a burn rate at a check of the watch."""
    BUDGET = "budget"
    """Whether the error budget is spent, before a run."""
    BASELINE = "baseline"
    """What stable was in the hour before the run."""
    PREFLIGHT = "preflight"
    """Tries before the run whether a query is answered and matches anything."""


Answered = Answer | RangeAnswer | Missing | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A query that was sent. `back`: whether it asks for the past; `ranged`: whether it is a range query.

    `stage` is how long the stage is that a gate's query looks over.
    """

    purpose: Purpose
    promql: str
    back: bool = False
    ranged: bool = False
    stage: timedelta | None = None


class SentRecorder:
    """A MetricSource that writes down what is asked, and asks the real one if there is any."""

    def __init__(self, inner: MetricSource | None, now: datetime) -> None:
        self._inner = inner
        self._now = now
        self.purpose = Purpose.PREFLIGHT
        self.stage: timedelta | None = None
        self.sent: dict[Sent, tuple[datetime, Answered]] = {}
        self._under_way: set[asyncio.Task[object] | None] = set()

    async def idle(self) -> None:
        """Waits for what is asked beside: nobody waits for what is only shown."""
        await asyncio.sleep(0)
        others = [task for task in self._under_way if task is not None]
        if others:
            await asyncio.wait(others)

    def servers(self) -> frozenset[str]:
        """See MetricSource."""
        return self._inner.servers() if self._inner is not None else frozenset()

    async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        """See MetricSource."""
        sent = Sent(self.purpose, promql, at < self._now, stage=self.stage)
        if self._inner is None:
            self.sent[sent] = (at, None)
            return Answer(())
        task = asyncio.current_task()
        self._under_way.add(task)
        try:
            answer = await self._inner.query(server, promql, at)
        finally:
            self._under_way.discard(task)
        self.sent[sent] = (at, answer)
        return answer

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        """See MetricSource."""
        sent = Sent(self.purpose, promql, ranged=True)
        if self._inner is None:
            self.sent[sent] = (end, None)
            return RangeAnswer(())
        answer = await self._inner.query_range(server, promql, start, end, step)
        self.sent[sent] = (end, answer)
        return answer
