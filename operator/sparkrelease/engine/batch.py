"""One query shared by releases: who needs it, how it is written for all of them, and its last answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sparkrelease.api.config import OpenConnections, RoleLabels, ShareCounter
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.grouping import EMPTY, Place, Sorted
from sparkrelease.decide.promql import counter_query, gauge_query, window_query
from sparkrelease.decide.readings import Look
from sparkrelease.decide.selectors import read_selector
from sparkrelease.decide.templates import Scope, Template, scope_of
from sparkrelease.ports.cluster import ObjectKey

LOOKBACK = timedelta(minutes=5)
"""How long Prometheus takes a series' last sample for its present value."""


@dataclass(slots=True)
class Asked:
    """A query for everybody who follows."""

    server: str
    labels: RoleLabels
    followers: dict[ObjectKey, tuple[Place, ...]] = field(default_factory=dict)
    _text: str | None = None

    def join(self, key: ObjectKey, places: tuple[Place, ...]) -> None:
        """Asks for these Services, too."""
        self.followers[key] = places
        self._text = None

    def leave(self, key: ObjectKey) -> bool:
        """Whether nobody is left."""
        self.followers.pop(key, None)
        self._text = None
        return not self.followers

    def promql(self) -> str:
        """The query for everybody who follows, as long as they are few enough to be named."""
        if self._text is None:
            everybody = [place for places in self.followers.values() for place in places]
            scope = scope_of((place[0] for place in everybody), (place[1] for place in everybody))
            self._text = self._write(scope)
        return self._text

    def _write(self, scope: Scope) -> str:
        raise NotImplementedError


@dataclass(slots=True)
class Answered(Asked):
    """A query and what came of it last."""

    task: asyncio.Task[None] | None = None
    sent_at: datetime | None = None
    at: datetime | None = None
    number: int = 0
    """Tick in which the answer below was asked for."""
    found: Sorted = EMPTY
    missing: Missing | None = None

    def due(self, now: datetime, pause: timedelta) -> bool:
        """Whether it is time to ask again; not while the last question is out."""
        return self.task is None and (self.sent_at is None or now - self.sent_at >= pause)

    def join(self, key: ObjectKey, places: tuple[Place, ...]) -> None:
        """Asks for these Services, too, at the next tick."""
        Asked.join(self, key, places)
        self.sent_at = None

    def take(self, answer: Sorted | Missing, at: datetime, number: int) -> None:
        """Keeps an answer."""
        self.at, self.number = at, number
        if isinstance(answer, Missing):
            self.found, self.missing = EMPTY, answer
        else:
            self.found, self.missing = answer, None


@dataclass(slots=True)
class Batch(Answered):
    """A metric over its own window."""

    template: Template = field(kw_only=True)
    pauses: dict[ObjectKey, timedelta] = field(default_factory=dict)
    """Longest time between two looks, per release."""
    max_age: timedelta = field(kw_only=True)
    _looks: dict[tuple[bool, bool], Look] = field(default_factory=dict)
    _seen: datetime | None = None
    _lost: bool = False
    _gap: tuple[datetime, datetime] | None = None

    @property
    def pause(self) -> timedelta:
        """Time between two looks: that of the least patient release."""
        return min(self.pauses.values(), default=timedelta(0))

    def look(self, at: datetime, *, above: bool, below: bool) -> Look:
        """How this answer is read; the same for all releases whose rules look the same way."""
        look = self._looks.get((above, below))
        if look is None or look.at is not at:
            look = self._looks[above, below] = Look.of(at, self.max_age, above=above, below=below)
        return look

    def _write(self, scope: Scope) -> str:
        return window_query(self.template, scope)

    def leave(self, key: ObjectKey) -> bool:
        """Whether nobody is left."""
        self.pauses.pop(key, None)
        return Answered.leave(self, key)

    def take(self, answer: Sorted | Missing, at: datetime, number: int) -> None:
        """Keeps an answer, and remembers between which instants there were no samples at all."""
        Answered.take(self, answer, at, number)
        age = at.timestamp() - self.found.newest
        if age > self.max_age.total_seconds():
            self._lost = True
            return
        if self._lost and self._seen is not None and at - self._seen > LOOKBACK:
            self._gap = (self._seen + LOOKBACK, at)
        self._seen, self._lost = at, False

    def gap(self, start: datetime) -> Missing | None:
        """Why a difference since `start` would count what happened before: the server has no sample of that time.

        A counter that comes back after a gap looks like one that was just born, with all it ever counted.
        """
        if self.template.value is not None or self._gap is None or not self._gap[0] < start < self._gap[1]:
            return None
        return Missing(Reason.NO_DATA, "the server has no samples from the start of the window", server_wide=True)


@dataclass(slots=True)
class ShareBatch(Answered):
    """The counter of requests of a server."""

    counter: ShareCounter = field(kw_only=True)

    def _write(self, scope: Scope) -> str:
        selector = read_selector(self.counter.counter)
        # What is no selector is sent as it is: the server's refusal says what is wrong with it.
        if isinstance(selector, str):
            return self.counter.counter
        return counter_query(selector, self.counter.labels, scope, self.counter.window)


@dataclass(slots=True)
class GaugeBatch(Answered):
    """The gauge of what is open on a server's gateway."""

    gauge: OpenConnections = field(kw_only=True)

    def _write(self, scope: Scope) -> str:
        selector = read_selector(self.gauge.gauge)
        return self.gauge.gauge if isinstance(selector, str) else gauge_query(selector, self.gauge.labels, scope)
