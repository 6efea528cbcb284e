"""The Lease in a thread with an event loop of its own: no amount of work elsewhere keeps it from being renewed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from sparkrelease.adapters.lease.holder import LeaseHolder
from sparkrelease.api.config import LeaseConfig
from sparkrelease.ports.api_server import ApiServer

T = TypeVar("T")

log = logging.getLogger(__name__)

BEAT = 0.25
"""Seconds between two signs of life of the loop that does the work."""

STUCK = 10.0
"""Seconds without one after which the Lease is left to run out: the work hangs, and another process shall lead."""

LONGEST_LOOK = 3.0
"""Seconds after which a look at the Lease counts as unanswered."""

LONGEST_STOP = 3.0
"""Seconds in which the Lease is given back; later it runs out by itself."""

_LOOK = 0.1
"""Seconds between two looks whether a loop that was asked something has ended without an answer."""

Connect = Callable[[], AbstractAsyncContextManager[ApiServer]]
"""Opens the connections for the Lease, in the loop it is called in."""


class LeaseThread:
    """A Leadership: a LeaseHolder beside the loop of whoever awaits `run`.

    Several hundred runs that begin at once, or a long garbage collection, hold that loop up for seconds; in it the
    Lease would run out for nothing. What an answer says counts from when its question was sent, so a thread that waits
    for its turn is never too sure. A loop that hangs for good loses the Lease all the same, see STUCK.
    """

    def __init__(
        self,
        connect: Connect,
        config: LeaseConfig,
        identity: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stuck: float = STUCK,
    ) -> None:
        self._connect = connect
        self._config = config
        self._identity = identity
        self._monotonic = monotonic
        self._stuck = stuck
        self._beat_at = monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holder: LeaseHolder | None = None
        self._stopping = False

    @property
    def epoch(self) -> int:
        """See LeaseHolder."""
        return self._holder.epoch if self._holder is not None else 0

    def valid_for(self, seconds: float) -> bool:
        """See LeaseHolder."""
        return self._holder is not None and self._holder.valid_for(seconds)

    async def still_held(self) -> bool | None:
        """See LeaseHolder; None also when the thread has just ended."""
        return await self._ask(LeaseHolder.still_held, LONGEST_LOOK)

    async def run(self, on_started: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        """Waits for the Lease and keeps it; returns when the thread has ended.

        `on_started` is called once in this loop; `on_lost` in the thread, because this loop may be what hangs.
        """
        loop = asyncio.get_running_loop()
        thread = threading.Thread(
            target=self._serve,
            args=(lambda: _call(loop, on_started), on_lost),
            name="lease",
            daemon=True,
        )
        self._beat_at = self._monotonic()
        thread.start()
        while thread.is_alive():
            self._beat_at = self._monotonic()
            await asyncio.sleep(min(BEAT, self._stuck / 4))

    async def stop(self) -> None:
        """Gives the Lease back, for a clean end: stop writing first."""
        self._stopping = True
        await self._ask(LeaseHolder.stop, LONGEST_STOP)

    async def _ask(self, what: Callable[[LeaseHolder], Coroutine[None, None, T]], longest: float) -> T | None:
        """Has the thread's loop do something; None when it does not answer in time, or has ended.

        The coroutine is made in a task of that loop that has begun: one that ends by itself just now cancels its tasks,
        those that never took a step too, and leaves no coroutine behind that nobody awaits.
        """
        loop, holder = self._loop, self._holder
        if loop is None or holder is None or loop.is_closed():
            return None
        answer: Future[T | None] = Future()
        try:
            loop.call_soon_threadsafe(lambda: asyncio.ensure_future(_answer(what, holder, answer)))
        except RuntimeError:  # closed between the look at it and the call
            return None
        asked = asyncio.wrap_future(answer)
        until = self._monotonic() + longest
        while not asked.done() and not loop.is_closed() and self._monotonic() < until:
            await asyncio.wait({asked}, timeout=_LOOK)
        return asked.result() if asked.done() else None

    def _alive(self) -> bool:
        return self._monotonic() - self._beat_at < self._stuck

    # ------------------------------------------------------------ in the thread

    def _serve(self, on_started: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        try:
            asyncio.run(self._hold(on_started, on_lost))
        except Exception as problem:
            log.exception("the thread of the Lease ended")
            on_lost(f"the thread of the Lease ended: {problem!r}")

    async def _hold(self, on_started: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        async with self._connect() as api:
            holder = LeaseHolder(api, self._config, self._identity, monotonic=self._monotonic, may_renew=self._alive)
            self._loop, self._holder = asyncio.get_running_loop(), holder
            if not self._stopping:
                await holder.run(on_started, on_lost)


async def _answer(
    what: Callable[[LeaseHolder], Coroutine[None, None, T]], holder: LeaseHolder, answer: Future[T | None]
) -> None:
    try:
        answer.set_result(await what(holder))
    except asyncio.CancelledError:
        answer.set_result(None)
        raise


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
