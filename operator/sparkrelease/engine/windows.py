"""Exact windows of every metric that tests count: each asked once for all releases, and given to each exactly once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import is_not

from sparkrelease.api.config import MetricsServer
from sparkrelease.api.metrics import Attribution
from sparkrelease.decide.facts import Missing, Window
from sparkrelease.decide.grouping import Place, Sorted, fold
from sparkrelease.decide.templates import Scope, Template
from sparkrelease.decide.windows import exact_query, floor, last_end, window_of, window_template
from sparkrelease.engine.asking import Asking
from sparkrelease.engine.batch import Asked
from sparkrelease.engine.pods import PodsBehind
from sparkrelease.ports.cluster import ObjectKey

MOST_BACK = 240
"""Windows asked for after an absence; what is older is void time (an hour, at 15 s)."""

_MOST_KEPT = 40
"""Windows kept for a release that counts none."""

_AT_ONCE = 4
"""Windows of one metric asked for in one tick; more where more of them end between two ticks."""


@dataclass(slots=True)
class _Reader:
    """One release: which window it gets next, and those it has not counted yet."""

    stable: Place
    canary: Place
    joined: int
    """Number of the first question that names its Services."""
    ready: deque[Window]
    since: datetime | None = None
    before: Window | None = None
    """The last one that was counted: a window of roles scraped apart is looked at beside it."""
    went_back: bool = False
    """Whether the window before the first one was asked for, because nobody has it."""
    told: tuple[Window, ...] = ()
    pods: Mapping[Place, frozenset[str]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class WindowBatch(Asked):
    """The windows of one metric of one server."""

    template: Template = field(kw_only=True)
    lag: timedelta = field(kw_only=True)
    pods: PodsBehind = field(kw_only=True)
    at_once: int = field(kw_only=True, default=_AT_ONCE)
    """How many are asked for in one tick: what ends between two ticks and one more, so that it catches up."""
    readers: dict[ObjectKey, _Reader] = field(default_factory=dict)
    waiting: dict[datetime, set[ObjectKey]] = field(default_factory=dict)
    """By the end of the window they get next."""
    answers: dict[datetime, tuple[int, Sorted | Missing]] = field(default_factory=dict)
    asking: dict[datetime, asyncio.Task[None]] = field(default_factory=dict)
    number: int = 0
    unheard: bool = False
    """Whether the server did not answer last time."""

    def _write(self, scope: Scope) -> str:
        return exact_query(self.template, scope)

    def follow(self, key: ObjectKey, stable: Place, canary: Place) -> None:
        """Counts for a release from the time on that `since` will say."""
        self.join(key, (stable, canary))
        self.number += 1
        kept: deque[Window] = deque(maxlen=max(_MOST_KEPT, 2 * self.at_once))
        self.readers[key] = _Reader(stable, canary, self.number, kept)

    def leave(self, key: ObjectKey) -> bool:
        """Whether nobody is left."""
        self.readers.pop(key, None)
        self._unwait(key)
        nobody = Asked.leave(self, key)
        if nobody:
            for task in self.asking.values():
                task.cancel()
        return nobody

    def since(self, key: ObjectKey, since: datetime) -> tuple[Window, ...]:
        """The windows known that end after `since`, oldest first. What ends before is never given again.

        Where the roles are scraped apart the window before the first of them comes along, if it is known.
        """
        reader = self.readers.get(key)
        if reader is None:
            return ()
        if reader.since is None or since < reader.since:
            self._begin(key, reader, since)
        reader.since = since
        while reader.ready and reader.ready[0].end <= since:
            reader.before = reader.ready.popleft()
        told = (*_neighbour(reader), *reader.ready)
        if len(told) != len(reader.told) or any(map(is_not, told, reader.told)):
            reader.told = told
        return reader.told

    def _begin(self, key: ObjectKey, reader: _Reader, since: datetime) -> None:
        self._unwait(key)
        reader.ready.clear()
        reader.before, reader.went_back = None, False
        self._wait(key, floor(since, self.template.window) + self.template.window)

    def _wait(self, key: ObjectKey, end: datetime) -> None:
        self.waiting.setdefault(end, set()).add(key)

    def _unwait(self, key: ObjectKey) -> None:
        for end, keys in [*self.waiting.items()]:
            keys.discard(key)
            if not keys:
                del self.waiting[end]

    # ------------------------------------------------------------ asking

    def due(self, now: datetime) -> tuple[datetime, ...]:
        """Ends of the windows to ask for now: the newest, and of those that are overdue the oldest."""
        every = self.template.window
        last = last_end(now, every, self.lag)
        self._skip(last - MOST_BACK * every)
        wanted = sorted({end for first in self.waiting for end in self._from(first, last)})
        room = (1 if self.unheard else self.at_once) - len(self.asking)
        chosen = wanted[: max(0, room)]
        if len(chosen) < len(wanted) and len(chosen) > 1:
            chosen[-1] = wanted[-1]
        return tuple(chosen)

    def _from(self, first: datetime, last: datetime) -> Iterator[datetime]:
        for place in range(self.at_once):
            end = first + place * self.template.window
            if end <= last and end not in self.asking and end not in self.answers:
                yield end

    def _skip(self, oldest: datetime) -> None:
        for end in [end for end in self.waiting if end < oldest]:
            for key in self.waiting.pop(end):
                self._wait(key, oldest)

    def take(self, end: datetime, number: int, answer: Sorted | Missing) -> None:
        """Keeps an answer and gives it to all whose turn it is. A server that says nothing is asked again."""
        self.unheard = isinstance(answer, Missing) and answer.server_wide
        if self.unheard:
            return
        self.answers[end] = (number, answer)
        for ready in sorted(self.answers):
            self._give(ready, *self.answers[ready])
        behind = {first + place * self.template.window for first in self.waiting for place in range(self.at_once)}
        for old in [old for old in self.answers if old not in behind or old in self.waiting]:
            del self.answers[old]

    def _give(self, end: datetime, number: int, answer: Sorted | Missing) -> None:
        for key in self.waiting.pop(end, set()):
            reader = self.readers[key]
            if reader.joined > number:
                self._wait(key, end)
                continue
            window = window_of(self._of(reader, answer), self.template, end, reader.stable, reader.canary)
            if window.apart and not reader.ready and reader.before is None and not reader.went_back:
                reader.went_back = True
                self._wait(key, end - self.template.window)
                continue
            if reader.since is not None and end <= reader.since:
                reader.before = window
            else:
                reader.ready.append(window)
            self._wait(key, end + self.template.window)

    def _of(self, reader: _Reader, answer: Sorted | Missing) -> Sorted | Missing:
        """The answer by Service. Pods that were behind it a window ago count, too: what they did not finish is void."""
        if isinstance(answer, Missing) or self.template.attribution is Attribution.SERVICE:
            return answer
        sides = (reader.stable, reader.canary)
        now = {place: frozenset(self.pods.of(self.template, place)) for place in sides}
        found = fold(answer, self.template, {place: now[place] | reader.pods.get(place, now[place]) for place in sides})
        reader.pods = now
        return found


def _neighbour(reader: _Reader) -> tuple[Window, ...]:
    return (reader.before,) if reader.before is not None and reader.ready and reader.ready[0].apart else ()


class Windows:
    """The windows of all followed releases."""

    def __init__(self, asking: Asking, servers: Mapping[str, MetricsServer], pods: PodsBehind, tick: timedelta) -> None:
        self._asking = asking
        self._tick = tick
        self._servers = servers
        self._pods = pods
        self._batches: dict[tuple[str, Template], WindowBatch] = {}
        self._of: dict[ObjectKey, dict[str, WindowBatch]] = {}

    def follow(
        self, key: ObjectKey, server: str, metric: str, template: Template, every: timedelta, *sides: Place
    ) -> None:
        """Counts a metric for a release; `sides` are stable and canary."""
        wanted = window_template(template, every)
        batch = self._batches.get((server, wanted))
        if batch is None:
            lag = self._servers[server].lag
            at_once = max(_AT_ONCE, -(-self._tick // every) + 1)
            batch = self._batches[server, wanted] = WindowBatch(
                server, wanted.labels, template=wanted, lag=lag, pods=self._pods, at_once=at_once
            )
        of = self._of.setdefault(key, {})
        if batch not in of.values():
            batch.follow(key, *sides)
        of[metric] = batch

    def drop(self, key: ObjectKey) -> None:
        """Counts no longer."""
        for batch in self._of.pop(key, {}).values():
            if batch.leave(key):
                self._batches.pop((batch.server, batch.template), None)

    def since(self, key: ObjectKey, since: Mapping[str, datetime]) -> Mapping[str, tuple[Window, ...]]:
        """By metric, the windows known that end after the instant given for it."""
        of = self._of.get(key)
        if not of:
            return {}
        return {name: of[name].since(key, moment) for name, moment in since.items() if name in of}

    def start(self, now: datetime) -> Iterator[asyncio.Task[None]]:
        """Asks what is due; answers everything that is under way."""
        for batch in self._batches.values():
            for end in batch.due(now):
                task = asyncio.create_task(self._ask(batch, end), name="windows query")
                batch.asking[end] = task
            yield from batch.asking.values()

    async def _ask(self, batch: WindowBatch, end: datetime) -> None:
        number = batch.number
        try:
            answer = await self._asking.ask(batch.server, batch.promql(), end, batch.labels, batch.template)
            batch.take(end, number, answer)
        finally:
            batch.asking.pop(end, None)
