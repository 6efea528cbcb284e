"""When a release gets its round: one heap of due times, one running round per release, rollbacks first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.ports.clock import Clock
from sparkrelease.ports.cluster import ObjectKey

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
"""Seconds between tries of a release whose round raised."""


URGENT_STEP = 0.01
"""Seconds between two looks at whether rollbacks are done."""


@dataclass(frozen=True, slots=True)
class Again:
    """When the release wants its next round: in seconds, None for only when woken; `urgent` takes the rollback lane."""

    after: float | None = None
    urgent: bool = False


@dataclass(slots=True)
class _Lane:
    """Where one release stands in the scheduler."""

    due: float | None = None
    urgent: bool = False
    task: asyncio.Task[None] | None = None
    task_urgent: bool = False
    begun: bool = False
    """Whether the task took its first step: one cancelled before would end without a trace, and block the lane."""
    woken: bool = False
    failures: int = 0
    queued: bool = False
    gone: bool = False


class Scheduler:
    """Runs `run_round` for every release that is due.

    Ordinary rounds share `slots`; rounds in the rollback lane start at once and take no slot. An error of one
    release is counted, told to `on_error`, and backed off; it stops no other.
    """

    def __init__(
        self,
        run_round: Callable[[ObjectKey, bool], Awaitable[Again]],
        clock: Clock,
        metrics: OperatorMetrics,
        slots: int,
        on_error: Callable[[ObjectKey, BaseException], None],
    ) -> None:
        self._run_round = run_round
        self._clock = clock
        self._metrics = metrics
        self._slots = slots
        self._on_error = on_error
        self._lanes: dict[ObjectKey, _Lane] = {}
        self._heap: list[tuple[float, int, ObjectKey]] = []
        self._ready: deque[ObjectKey] = deque()
        self._order = itertools.count()
        self._busy = self._urgent = 0
        self._changed = asyncio.Event()
        self._open = False
        self._failing: set[ObjectKey] = set()

    # ------------------------------------------------------------ asking

    def open(self) -> None:
        """Lets rounds start: leadership is held and the first lists are done."""
        self._open = True
        self._changed.set()

    def wake(self, key: ObjectKey, *, after: float = 0.0, urgent: bool = False) -> None:
        """Asks for a round in `after` seconds; an earlier due time stays. During a round: another one follows it."""
        lane = self._lanes.setdefault(key, _Lane())
        lane.gone = False
        lane.urgent = lane.urgent or urgent
        if lane.task is not None and after <= 0:
            lane.woken = True
            return
        self._put(key, lane, self._clock.monotonic() + after)

    def preempt(self, key: ObjectKey) -> None:
        """Asks for an urgent round now; an ordinary round of the release that waits for something slow is cut short."""
        lane = self._lanes.setdefault(key, _Lane())
        if lane.task is not None and not lane.task_urgent and not lane.begun:
            self._busy -= 1
            self._urgent += 1
            lane.task_urgent = True
            self._changed.set()
        elif lane.task is not None and not lane.task_urgent:
            lane.woken = lane.urgent = True
            lane.task.cancel()
        elif lane.task is None:
            self.wake(key, urgent=True)

    def running(self, key: ObjectKey) -> bool:
        """Whether a round of the release is under way."""
        lane = self._lanes.get(key)
        return lane is not None and lane.task is not None

    def forget(self, key: ObjectKey) -> None:
        """Drops a release that is gone."""
        lane = self._lanes.get(key)
        self._note_failing(key, failing=False)
        if lane is not None and lane.task is None:
            del self._lanes[key]
        elif lane is not None:
            lane.due, lane.woken, lane.gone = None, False, True

    async def urgent_done(self, within: float) -> None:
        """Starts what is due, and returns when no round of the rollback lane is under way, or after so many seconds."""
        self.start_due()
        for _ in range(math.ceil(within / URGENT_STEP)):
            if not self._urgent:
                return
            await asyncio.sleep(URGENT_STEP)

    # ------------------------------------------------------------ running

    async def serve(self) -> None:
        """Starts due rounds until cancelled."""
        try:
            while True:
                self._changed.clear()
                wait = self.start_due()
                try:
                    await asyncio.wait_for(self._changed.wait(), timeout=wait)
                except TimeoutError:
                    continue
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Cuts every round short and waits for them."""
        self._open = False
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Runs what is due now, and what that makes due, until nothing is (for tests with their own clock)."""
        while True:
            self.start_due()
            tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
            if not tasks:
                return
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)

    def next_due(self) -> float | None:
        """Monotonic time of the earliest due round, None when nothing is due ever."""
        while self._heap:
            due, _, key = self._heap[0]
            lane = self._lanes.get(key)
            if lane is not None and lane.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    def start_due(self) -> float | None:
        """Starts every round that is due and has room; answers the seconds to the next due time."""
        if not self._open:
            return None
        now = self._clock.monotonic()
        while (due := self.next_due()) is not None and due <= now:
            _, _, key = heapq.heappop(self._heap)
            lane = self._lanes[key]
            lane.due = None
            if lane.task is not None:
                lane.woken = True
            elif lane.urgent:
                self._start(key, lane, late=now - due)
            elif not lane.queued:
                lane.queued = True
                self._ready.append(key)
        self._start_ready()
        due = self.next_due()
        return None if due is None else max(due - now, 0.0)

    def _start_ready(self) -> None:
        while self._ready and self._busy < self._slots:
            key = self._ready.popleft()
            lane = self._lanes.get(key)
            if lane is None or not lane.queued:
                continue
            lane.queued = False
            if lane.task is None:
                self._start(key, lane, late=0.0)

    def _put(self, key: ObjectKey, lane: _Lane, due: float) -> None:
        if lane.queued and not lane.urgent:
            return
        if lane.due is None or due < lane.due:
            lane.due = due
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._changed.set()

    def _start(self, key: ObjectKey, lane: _Lane, late: float) -> None:
        self._metrics.queue_lag.observe(max(late, 0.0))
        lane.task_urgent, lane.urgent, lane.woken, lane.queued = lane.urgent, False, False, False
        self._busy += not lane.task_urgent
        self._urgent += lane.task_urgent
        lane.begun = False
        lane.task = asyncio.create_task(self._one(key, lane), name=f"round {key.namespace}/{key.name}")

    async def _one(self, key: ObjectKey, lane: _Lane) -> None:
        again, lane.begun = Again(), True
        try:
            again = await self._run_round(key, lane.task_urgent)
            lane.failures = 0
            self._note_failing(key, failing=False)
        except asyncio.CancelledError:
            if not self._open:
                raise
        except Exception as problem:  # noqa: BLE001 - one release's bug must not stop the others; it is counted and told
            again = self._failed(key, lane, problem)
        finally:
            self._busy -= not lane.task_urgent
            self._urgent -= lane.task_urgent
            lane.task = None
            self._changed.set()
        if lane.gone:
            self._lanes.pop(key, None)
            return
        if lane.woken:
            again = Again(0.0, lane.urgent)
        if again.after is not None:
            lane.urgent = lane.urgent or again.urgent
            self._put(key, lane, self._clock.monotonic() + again.after)

    def _failed(self, key: ObjectKey, lane: _Lane, problem: Exception) -> Again:
        lane.failures += 1
        wait = min(FIRST_BACKOFF * 2 ** (lane.failures - 1), LONGEST_BACKOFF)
        self._metrics.rounds.labels("error").inc()
        self._note_failing(key, failing=True)
        log.error("round of %s/%s failed; next try in %.0f s", key.namespace, key.name, wait, exc_info=problem)
        self._on_error(key, problem)
        lane.woken = False
        return Again(wait, lane.task_urgent)

    def _note_failing(self, key: ObjectKey, *, failing: bool) -> None:
        (self._failing.add if failing else self._failing.discard)(key)
        self._metrics.failing.set(len(self._failing))
