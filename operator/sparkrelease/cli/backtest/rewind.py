"""A MetricSource of the past: instant queries, answered from range queries that fetch many of them at once.

A range query is by definition the instant query at each of its steps, so nothing is approximated. What is asked at a
steady pace is fetched ahead in chunks; what is asked once (a gate) goes through as it is. One chunk per query is kept.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.promql import NEWEST, PART
from sparkrelease.decide.series import Answer, RangeAnswer, Row, Series
from sparkrelease.ports.metrics import MetricSource

CHUNK = 240
"""Instants fetched by one range query; Prometheus allows 11,000, memory and the size of an answer do not."""

AT_ONCE = 4
"""Queries under way at once."""

_MOST_KEPT = 400
"""Queries whose pace is remembered, those asked last; that of a gate never comes again."""

_Found = TypeVar("_Found")
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Control:
    """Stands in for a Service without series of its own: what another one was some time ago."""

    service: str
    ago: timedelta
    label: str
    """Label that holds the Service's name."""


@dataclass(slots=True)
class _Pace:
    """One query at one distance from now: when it was asked last, and what was fetched ahead.

    `step` divides every pause between two of its questions so far, so that a pace that changes is fetched ahead, too.
    """

    last: datetime
    step: timedelta = timedelta(0)
    ahead: dict[int, list[Row]] = field(default_factory=dict)


@dataclass(slots=True)
class _Span:
    """A history fetched ahead."""

    begin: datetime
    end: datetime
    series: list[Series]


class Rewind:
    """Answers as the server would have answered at `now`, which whoever drives it moves on."""

    def __init__(self, source: MetricSource, now: datetime, until: datetime, control: Control | None = None) -> None:
        self.now = now
        self.problem: Missing | None = None
        """Why the server could not be asked; then nothing that was seen since means anything."""
        self.asked = 0
        """Queries sent."""
        self._source = source
        self._until = until
        self._control = control
        self._paces: dict[tuple[str, timedelta], _Pace] = {}
        self._spans: dict[tuple[str, timedelta, timedelta], _Span] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def servers(self) -> frozenset[str]:
        """See MetricSource."""
        return self._source.servers()

    async def idle(self) -> None:
        """Waits until everything asked was answered, and whoever asked has heard it."""
        while self._under_way:
            await self._idle.wait()
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    # ------------------------------------------------------------ instants

    async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        """See MetricSource."""
        self._begin()
        try:
            rows = await self._at(server, promql, at)
            control = self._control
            if control is None or isinstance(rows, Missing):
                return rows if isinstance(rows, Missing) else Answer(rows)
            past = await self._at(server, promql, at - control.ago)
            return past if isinstance(past, Missing) else Answer([*rows, *(_moved(row, control) for row in past)])
        finally:
            self._end()

    async def _at(self, server: str, promql: str, at: datetime) -> list[Row] | Missing:
        known = self._paces.pop((promql, self.now - at), None)
        if known is not None:
            self._paces[promql, self.now - at] = known
        else:
            if len(self._paces) >= _MOST_KEPT:
                del self._paces[next(iter(self._paces))]
            self._paces[promql, self.now - at] = _Pace(at)
            answer = await self._send(lambda: self._source.query(server, promql, at))
            whole = answer if isinstance(answer, Missing) else answer.whole
            return whole if isinstance(whole, Missing) else list(whole.rows)
        known.step, known.last = _common(known.step, abs(at - known.last)), at
        ready = known.ahead.get(_key(at))
        if ready is not None:
            return ready
        count = CHUNK if known.step > timedelta(0) else 1
        while True:
            found = await self._fetch(server, promql, at, max(known.step, _MILLISECOND), count)
            if not isinstance(found, Missing):
                known.ahead = found
                return found.get(_key(at), [])
            if found.reason is not Reason.ANSWER_TOO_LARGE or count == 1:
                return self._failed(found)
            count = max(1, count // 4)

    async def _fetch(
        self, server: str, promql: str, at: datetime, step: timedelta, count: int
    ) -> dict[int, list[Row]] | Missing:
        last = min(at + (count - 1) * step, max(self._until, at))
        answer = await self._send(lambda: self._source.query_range(server, promql, at, last, step))
        if isinstance(answer, Missing):
            return answer
        ahead: dict[int, list[Row]] = {_key(at + place * step): [] for place in range((last - at) // step + 1)}
        for series in answer.series:
            for when, row in series.rows:
                ahead.setdefault(round(when * 1000), []).append(row)
        return ahead

    # ------------------------------------------------------------ histories

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        """See MetricSource."""
        self._begin()
        try:
            series = await self._over(server, promql, start, end, step)
            control = self._control
            if control is None or isinstance(series, Missing):
                return series if isinstance(series, Missing) else RangeAnswer(series)
            past = await self._over(server, promql, start - control.ago, end - control.ago, step)
            if isinstance(past, Missing):
                return past
            return RangeAnswer([*series, *(_moved_series(one, control) for one in past)])
        finally:
            self._end()

    async def _over(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> list[Series] | Missing:
        key = (promql, step, self.now - end)
        span = self._spans.get(key)
        if span is None or start < span.begin or end > span.end or (start - span.begin) % step:
            first = span is None
            last = end if first else max(end, min(end + CHUNK * step, self._until))
            answer = await self._send(lambda: self._source.query_range(server, promql, start, last, step))
            if isinstance(answer, Missing):
                return self._failed(answer)
            span = self._spans[key] = _Span(start, last, list(answer.series))
        cut = [_cut(one, start.timestamp() - 1e-3, end.timestamp() + 1e-3) for one in span.series]
        return [one for one in cut if one.points or one.histograms]

    # ------------------------------------------------------------ sending

    async def _send(self, ask: Callable[[], Coroutine[None, None, _Found | Missing]]) -> _Found | Missing:
        async with self._gate:
            self.asked += 1
            answer = await ask()
        if isinstance(answer, Missing) and answer.server_wide:
            self._failed(answer)
        return answer

    def _failed(self, missing: Missing) -> Missing:
        """A query that is refused is the release's own fault, and its rules say so; all else ends the backtest."""
        if missing.server_wide or missing.reason is Reason.ANSWER_TOO_LARGE:
            self.problem = self.problem or missing
        return missing

    def _begin(self) -> None:
        self._under_way += 1
        self._idle.clear()

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()


def _key(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)) / _MILLISECOND)


def _common(one: timedelta, other: timedelta) -> timedelta:
    """The greatest span that divides both, to the millisecond."""
    return math.gcd(round(one / _MILLISECOND), round(other / _MILLISECOND)) * _MILLISECOND


def _cut(series: Series, begin: float, until: float) -> Series:
    """The part of a series between two instants."""
    points = tuple(point for point in series.points if begin <= point[0] <= until)
    return Series(series.labels, points, tuple(one for one in series.histograms if begin <= one[0] <= until))


def _moved(row: Row, control: Control) -> Row:
    """A row of the past as one of the control's, seen as lately as it was then."""
    seen = row.labels.get(PART, "").startswith(NEWEST)
    value = row.value + control.ago.total_seconds() if seen else row.value
    return Row({**row.labels, control.label: control.service}, value, row.histogram)


def _moved_series(series: Series, control: Control) -> Series:
    later = control.ago.total_seconds()
    points = tuple((at + later, value) for at, value in series.points)
    histograms = tuple((at + later, histogram) for at, histogram in series.histograms)
    return Series({**series.labels, control.label: control.service}, points, histograms)
