"""What rules want beside each metric's own window: other windows, the past, and histories. Asked for all at once."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sparkrelease.api.config import MetricsServer
from sparkrelease.decide.asks import asks_of, histories_of
from sparkrelease.decide.facts import Ask, History, MetricFacts, Missing, Problem, Reading, Role, Track
from sparkrelease.decide.grouping import Place, Sorted
from sparkrelease.decide.promql import UP, up_query, window_query
from sparkrelease.decide.ranges import Tracks, history_query, sort_series, tracks_of
from sparkrelease.decide.readings import Look, read
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import Scope, Template
from sparkrelease.engine.asking import Asking
from sparkrelease.engine.batch import Answered
from sparkrelease.engine.needs import Need, own_scope
from sparkrelease.engine.pods import PodsBehind
from sparkrelease.ports.cluster import ObjectKey

_POINTS = 120
YOUNG = timedelta(minutes=1)
"""How long after a release was first followed its pods may just be found: that is looked at every tick."""

UP_PAUSE = timedelta(seconds=5)
_HISTORY_PAUSE = timedelta(minutes=2)
_LOOKS_PER_HISTORY = 15

GapOf = Callable[[str, Template, datetime], Missing | None]
"""Why a difference since an instant would be wrong; None when nothing speaks against it."""


@dataclass(slots=True, eq=False)
class Beside(Answered):
    """A query that is asked every `pause`; who joined after it was sent does not read its answer."""

    template: Template = field(kw_only=True)
    pause: timedelta = field(kw_only=True)
    sent: int = 0
    joined: dict[ObjectKey, int] = field(default_factory=dict)

    def join(self, key: ObjectKey, places: tuple[Place, ...]) -> None:
        """Asks for these Services, too, at the next tick."""
        Answered.join(self, key, places)
        self.joined[key] = self.sent

    def leave(self, key: ObjectKey) -> bool:
        """Whether nobody is left."""
        self.joined.pop(key, None)
        return Answered.leave(self, key)

    def told(self, key: ObjectKey) -> bool:
        """Whether the last answer was asked for this release, too."""
        return self.at is not None and self.number > self.joined[key]


@dataclass(slots=True, eq=False)
class AskBatch(Beside):
    """A metric over another window, or as it was `back` ago."""

    back: timedelta = field(kw_only=True)

    def _write(self, scope: Scope) -> str:
        return window_query(self.template, scope)


@dataclass(slots=True, eq=False)
class HistoryBatch(Beside):
    """A metric over a time."""

    over: timedelta = field(kw_only=True)
    step: timedelta = field(kw_only=True)
    tracks: Tracks = field(default_factory=dict)

    def _write(self, scope: Scope) -> str:
        return history_query(self.template, scope)

    def keep(self, tracks: Tracks | Missing, at: datetime, number: int) -> None:
        """Keeps an answer."""
        self.at, self.number = at, number
        self.tracks, self.missing = ({}, tracks) if isinstance(tracks, Missing) else (tracks, None)


@dataclass(slots=True, eq=False)
class UpBatch(Beside):
    """Targets of every Service whose scrapes succeed; asked more often while pods of a new run may just be found."""

    grown: bool = False
    young_until: datetime | None = None

    def join(self, key: ObjectKey, places: tuple[Place, ...]) -> None:
        """Asks for these Services, too."""
        Beside.join(self, key, places)
        self.grown = True

    def pace(self, now: datetime, tick: timedelta) -> timedelta:
        """Pause between two questions."""
        if self.grown:
            self.grown, self.young_until = False, now + YOUNG
        return tick if self.young_until is not None and now < self.young_until else self.pause

    def _write(self, scope: Scope) -> str:
        return up_query(self.labels, scope)


@dataclass(slots=True)
class _Followed:
    stable: Place
    canary: Place
    up: UpBatch
    asks: list[tuple[Ask, Need, str, AskBatch]] = field(default_factory=list)
    histories: list[tuple[str, str, HistoryBatch]] = field(default_factory=list)
    refused_asks: dict[Ask, Problem] = field(default_factory=dict)
    refused_histories: dict[str, tuple[timedelta, Problem]] = field(default_factory=dict)
    asked: Mapping[Ask, MetricFacts] = field(default_factory=dict)
    history: Mapping[str, History] = field(default_factory=dict)
    built: int = -1


class Besides:
    """Asks for what followed releases want beside; the engine reads the last answers without waiting."""

    def __init__(
        self,
        asking: Asking,
        servers: Mapping[str, MetricsServer],
        tick: timedelta,
        gap: GapOf,
        pods: PodsBehind,
    ) -> None:
        self._asking = asking
        self._servers = servers
        self._tick = tick
        self._gap = gap
        self._pods = pods
        self._asks: dict[tuple[str, Template, timedelta, timedelta], AskBatch] = {}
        self._histories: dict[tuple[str, Template, timedelta, timedelta], HistoryBatch] = {}
        self._ups: dict[str, UpBatch] = {}
        self._followed: dict[ObjectKey, _Followed] = {}
        self._answers = 0
        self._at = datetime.min.replace(tzinfo=UTC)

    # ------------------------------------------------------------ who is asked for

    def follow(self, key: ObjectKey, spec: ResolvedSpec, needs: Sequence[Need], stable: Place, canary: Place) -> None:
        """Asks what the rules of this release want beside, from the next tick on."""
        by_name = {need.metric.name: need for need in needs}
        server, own = spec.prometheus, own_scope(key, spec)
        followed = self._followed[key] = _Followed(stable, canary, self._up_batch(server))
        followed.up.join(key, (stable, canary))
        for ask in sorted(asks_of(spec), key=lambda ask: (ask.metric, ask.window, ask.back)):
            need = by_name[ask.metric]
            if isinstance(need.template, Problem):
                followed.refused_asks[ask] = need.template
                continue
            template = dataclasses.replace(need.template, window=ask.window)
            asks = self._ask_batch(server, template, ask.back, need.metric.every)
            asks.join(key, (stable, canary))
            followed.asks.append((ask, need, window_query(template, own), asks))
        for name, over in histories_of(spec).items():
            need = by_name[name]
            if isinstance(need.template, Problem):
                followed.refused_histories[name] = (over, need.template)
                continue
            history = self._history_batch(server, need.template, over, need.metric.every)
            history.join(key, (stable, canary))
            followed.histories.append((name, history_query(need.template, own), history))

    def _up_batch(self, server: str) -> UpBatch:
        if server not in self._ups:
            labels = self._servers[server].labels
            pause = max(UP_PAUSE, self._tick)
            self._ups[server] = UpBatch(server, labels, template=Template(labels, timedelta(0)), pause=pause)
        return self._ups[server]

    def _ask_batch(self, server: str, template: Template, back: timedelta, every: timedelta) -> AskBatch:
        wanted = (server, template, back, every)
        if wanted not in self._asks:
            pause = max(every, self._tick)
            self._asks[wanted] = AskBatch(server, template.labels, template=template, pause=pause, back=back)
        return self._asks[wanted]

    def _history_batch(self, server: str, template: Template, over: timedelta, every: timedelta) -> HistoryBatch:
        wanted = (server, template, over, every)
        if wanted not in self._histories:
            pause = history_pause(over, self._tick)
            step = max(every, over / _POINTS)
            self._histories[wanted] = HistoryBatch(
                server, template.labels, template=template, pause=pause, over=over, step=step
            )
        return self._histories[wanted]

    def drop(self, key: ObjectKey) -> None:
        """Stops asking."""
        followed = self._followed.pop(key, None)
        if followed is None:
            return
        if followed.up.leave(key):
            self._ups.pop(followed.up.server, None)
        gone: set[int] = set()
        for batch in (*(one[3] for one in followed.asks), *(one[2] for one in followed.histories)):
            if batch.leave(key):
                gone.add(id(batch))
        self._asks = {wanted: batch for wanted, batch in self._asks.items() if id(batch) not in gone}
        self._histories = {wanted: batch for wanted, batch in self._histories.items() if id(batch) not in gone}

    # ------------------------------------------------------------ asking

    def start(self, now: datetime) -> Iterator[asyncio.Task[None]]:
        """Asks what is due; answers everything that is under way."""
        slack, self._at = self._tick / 2, now
        batches: list[AskBatch | HistoryBatch | UpBatch]
        batches = [*self._asks.values(), *self._histories.values(), *self._ups.values()]
        for batch in batches:
            pause = batch.pace(now, self._tick) if isinstance(batch, UpBatch) else batch.pause
            if batch.due(now, pause - slack):
                batch.sent_at = now
                batch.sent += 1
                batch.task = asyncio.create_task(self._ask(batch, now), name="query beside")
            if batch.task is not None:
                yield batch.task

    async def _ask(self, batch: AskBatch | HistoryBatch | UpBatch, now: datetime) -> None:
        number, template = batch.sent, batch.template
        try:
            if not isinstance(batch, HistoryBatch):
                at = now - batch.back if isinstance(batch, AskBatch) else now
                batch.take(
                    await self._asking.ask(batch.server, batch.promql(), at, template.labels, template), now, number
                )
            else:
                start = now - batch.over
                answer = await self._asking.ask_range(batch.server, batch.promql(), start, now, batch.step)
                batch.keep(answer if isinstance(answer, Missing) else sort_series(answer, template), now, number)
            self._answers += 1
        finally:
            batch.task = None

    # ------------------------------------------------------------ reading the last answers

    def asked(self, key: ObjectKey) -> Mapping[Ask, MetricFacts]:
        """What was asked over other windows and of the past; `at` is when it was asked."""
        followed = self._built(key)
        return followed.asked if followed is not None else {}

    def histories(self, key: ObjectKey) -> Mapping[str, History]:
        """By metric."""
        followed = self._built(key)
        return followed.history if followed is not None else {}

    def scraped(self, key: ObjectKey) -> Mapping[Role, int]:
        """Targets of each role whose scrapes succeed; a role is left out where `up` does not name its Service."""
        followed = self._followed.get(key)
        if followed is None or not followed.up.told(key):
            return {}
        groups = followed.up.found.groups
        sides = ((Role.STABLE, followed.stable), (Role.CANARY, followed.canary))
        known = ((role, groups[place].parts.get(UP)) for role, place in sides if place in groups)
        return {role: round(count) for role, count in known if count is not None and math.isfinite(count)}

    def _built(self, key: ObjectKey) -> _Followed | None:
        followed = self._followed.get(key)
        if followed is None or followed.built == self._answers:
            return followed
        followed.built = self._answers
        followed.asked = dict(self._asked(key, followed))
        followed.history = dict(self._history(key, followed))
        return followed

    def _asked(self, key: ObjectKey, followed: _Followed) -> Iterator[tuple[Ask, MetricFacts]]:
        for ask, problem in followed.refused_asks.items():
            missing = Missing(problem.reason, problem.message)
            yield ask, MetricFacts("", self._at, ask.window, missing, missing)
        for ask, need, query, batch in followed.asks:
            at = batch.at
            if at is None or not batch.told(key):
                continue
            then = at - ask.back
            look = Look.of(then, self._servers[batch.server].max_age, above=need.above, below=need.below)
            blind = batch.missing
            if blind is None and not isinstance(need.template, Problem):
                blind = self._gap(batch.server, need.template, then - ask.window)
            sides = (followed.canary, followed.stable)
            found = self._pods.fold(batch.found, batch.template, sides)
            canary, stable = (self._read(found, blind, batch, side, look) for side in sides)
            yield ask, MetricFacts(query, at, ask.window, canary, stable)

    def _read(self, found: Sorted, blind: Missing | None, batch: AskBatch, side: Place, look: Look) -> Reading:
        return blind or read(found, side, batch.template, look)

    def _history(self, key: ObjectKey, followed: _Followed) -> Iterator[tuple[str, History]]:
        for name, (over, problem) in followed.refused_histories.items():
            missing = Missing(problem.reason, problem.message)
            yield name, History("", self._at, over, missing, missing)
        for name, query, batch in followed.histories:
            if batch.at is None or not batch.told(key):
                continue
            canary, stable = (self._tracks(batch, side) for side in (followed.canary, followed.stable))
            yield name, History(query, batch.at, batch.over, canary, stable)

    def _tracks(self, batch: HistoryBatch, side: Place) -> tuple[Track, ...] | Missing:
        if batch.missing is not None:
            return batch.missing
        pods = self._pods.of(batch.template, side)
        tracks = tracks_of(batch.tracks, batch.template, side, pods.keys())
        if isinstance(tracks, Missing) or not any(pods.values()):
            return tracks
        return tuple(dataclasses.replace(track, born=pods.get(track.name)) for track in tracks)


def history_pause(over: timedelta, tick: timedelta) -> timedelta:
    """Pause between two looks at a history of that length."""
    return min(_HISTORY_PAUSE, max(over / _LOOKS_PER_HISTORY, tick))
