"""A queue and a task for each target: a target that hangs keeps no other waiting, and nothing else at all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from sparkrelease.adapters.notify.post import Refused, post
from sparkrelease.api.notifications import NotificationTarget
from sparkrelease.decide.notices import Notice
from sparkrelease.ports.notifier import Delivery, Fate, Settled

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between tries, doubled each time, where the target does not say itself."""

LONGEST_WISH = 3600.0
"""Seconds a target may ask to be left alone."""


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    settled: Settled
    since: float
    tries: int = 0


class _Lane:
    """The messages to one target, in order, one at a time."""

    def __init__(
        self, name: str, target: NotificationTarget, cluster: str, first_pause: float, monotonic: Callable[[], float]
    ) -> None:
        self.target = target
        self._name = name
        self._cluster = cluster
        self._first_pause = first_pause
        self._monotonic = monotonic
        self._queue: deque[_Waiting] = deque()
        self._under_way: _Waiting | None = None
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._quiet_until = 0.0
        """Monotonic time until which the target asked to be left alone."""

    def __len__(self) -> int:
        return len(self._queue) + (self._under_way is not None)

    def put(self, notice: Notice, settled: Settled) -> None:
        """Queues a message; the oldest that waits makes way when there are too many."""
        self._queue.append(_Waiting(notice, settled, self._monotonic()))
        if len(self._queue) > self.target.queue:
            why = f"{self.target.queue} messages wait already, and the oldest makes way"
            self._settle(self._queue.popleft(), Fate.DROPPED, why)
        self._idle.clear()
        self._changed.set()

    async def idle(self) -> None:
        """Waits until nothing waits."""
        await self._idle.wait()

    async def serve(self, session: aiohttp.ClientSession) -> None:
        """Sends until cancelled."""
        while True:
            if not self._queue:
                self._idle.set()
                self._changed.clear()
                await self._changed.wait()
                continue
            self._under_way = message = self._queue.popleft()
            refused = await self._deliver(session, message)
            self._under_way = None
            self._settle(message, Fate.FAILED if refused else Fate.SENT, refused.why if refused else "")

    async def _deliver(self, session: aiohttp.ClientSession, message: _Waiting) -> Refused | None:
        """Tries until the target took it, refuses it for good, or it is too old; None when it took it."""
        pause = self._first_pause
        refused = Refused("the target asked to be left alone for longer than the message may wait", again=True)
        while self._stay_quiet_for() <= self._time_left(message):
            await asyncio.sleep(self._stay_quiet_for())
            message.tries += 1
            answer = await post(session, self.target, message.notice, self._cluster, datetime.now(UTC))
            if answer is None:
                return None
            refused = answer
            log.info("notification target %s, try %d: %s", self._name, message.tries, answer.why)
            wish = answer.retry_after
            if not answer.again and wish is None:
                break
            self._quiet_until = self._monotonic() + (pause if wish is None else min(wish, LONGEST_WISH))
            pause = min(pause * 2, LONGEST_PAUSE)
            if not answer.again:
                break
        return refused

    def _stay_quiet_for(self) -> float:
        return max(self._quiet_until - self._monotonic(), 0.0)

    def _time_left(self, message: _Waiting) -> float:
        """Seconds the message may still wait; one that never had a try has its first one however old it is."""
        left = self.target.give_up_after.total_seconds() - (self._monotonic() - message.since)
        return left if message.tries else max(left, 0.0)

    def _settle(self, message: _Waiting, fate: Fate, why: str) -> None:
        tries = f" ({message.tries} tries)" if message.tries > 1 and why else ""
        message.settled(Delivery(self._name, message.notice, fate, message.tries, why + tries))


class WebhookNotifier:
    """Notifier to the declared targets over HTTP; `run` sends, without it messages wait."""

    def __init__(
        self,
        targets: Mapping[str, NotificationTarget],
        *,
        cluster: str = "",
        first_pause: float = FIRST_PAUSE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes = {name: _Lane(name, target, cluster, first_pause, monotonic) for name, target in targets.items()}

    def open_to(self, namespace: str) -> frozenset[str]:
        """See Notifier."""
        lanes = self._lanes.items()
        return frozenset(
            name for name, lane in lanes if not lane.target.namespaces or namespace in lane.target.namespaces
        )

    def send(self, target: str, notice: Notice, settled: Settled) -> None:
        """See Notifier."""
        lane = self._lanes.get(target)
        if lane is None:
            settled(Delivery(target, notice, Fate.FAILED, 0, "no such target is declared"))
            return
        lane.put(notice, settled)

    def waiting(self) -> Mapping[str, int]:
        """See Notifier."""
        return {name: len(lane) for name, lane in self._lanes.items()}

    async def run(self) -> None:
        """Sends until cancelled. No proxy of the environment is asked, and no cookie kept."""
        if not self._lanes:
            return
        own_session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        async with own_session as session, asyncio.TaskGroup() as tasks:
            for lane in self._lanes.values():
                tasks.create_task(lane.serve(session))

    async def flush(self, within: float) -> None:
        """Waits until everything is settled, at most so many seconds; `run` must be under way.

        What is left is not settled: the end of a run is told by the next operator.
        """
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(lane.idle() for lane in self._lanes.values()))
        except TimeoutError:
            log.warning("%d notifications were not sent in time", sum(self.waiting().values()))
