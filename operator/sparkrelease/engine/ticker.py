"""The metric tick: ask every active release's metrics once, then look at each of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime

from sparkrelease.api.status import Phase, Verdict
from sparkrelease.engine.release import Release
from sparkrelease.engine.rhythm import Rhythm
from sparkrelease.engine.round import Rounds
from sparkrelease.engine.scheduler import FIRST_BACKOFF, LONGEST_BACKOFF, Scheduler
from sparkrelease.engine.store import Store
from sparkrelease.engine.unrest import unrest
from sparkrelease.engine.world import World

log = logging.getLogger(__name__)

SLICE = 0.01
"""Seconds the event loop is held at most before watches and probes get their turn."""

STIR = 0.01
"""Change of a measured share from which a release is looked at before the others."""

CALM = 0.9
"""Seconds in which a release that is well is looked at once, unless something new was measured."""

HEAD_START = 0.25
"""Seconds rollbacks that a tick began are given before the other releases are looked at."""

GATHERING = 0.2
"""Seconds a tick out of turn waits for others that want one too; so much lies between two ticks at least."""


class Ticker:
    """Ticks at a fixed pace. A tick that is late is left out, never made up for."""

    def __init__(
        self,
        world: World,
        store: Store,
        rounds: Rounds,
        scheduler: Scheduler,
        on_error: Callable[[Release, Exception], None],
    ) -> None:
        self._world = world
        self._store = store
        self._rounds = rounds
        self._scheduler = scheduler
        self._on_error = on_error
        self._asking: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._rhythm = Rhythm()
        self._heard_at: datetime | None = None
        self.last_at = world.clock.monotonic()
        """Monotonic time at which the last tick ended."""

    async def serve(self) -> None:
        """Ticks until cancelled."""
        clock, tick = self._world.clock, self._world.config.tick.total_seconds()
        due = clock.monotonic() + tick
        try:
            while True:
                if await self._wanted_before(due - clock.monotonic()):
                    await self.tick()
                    self._listen(in_turn=False)
                    continue
                began = clock.monotonic()
                late = began - due
                self._world.metrics.tick_lag.set(max(late, 0.0))
                if skipped := int(late // tick):
                    self._world.metrics.ticks_skipped.inc(skipped)
                due += tick * (skipped + 1)
                await self.tick()
                self._listen(in_turn=True)
                due = self._behind_a_scrape(began, due)
        finally:
            if self._asking is not None:
                self._asking.cancel()

    def _listen(self, *, in_turn: bool) -> None:
        """Tells the rhythm what the last answer says of the scrapes."""
        beat = self._world.measuring.beat()
        if beat is None:
            self._rhythm.missing()
        elif beat[0] != self._heard_at:
            self._rhythm.heard(beat[0].timestamp(), beat[1], in_turn=in_turn)
        self._heard_at = beat[0] if beat is not None else None

    def _behind_a_scrape(self, began: float, due: float) -> float:
        """When the next tick is due: as planned, or a little earlier where that is right behind a scrape."""
        clock = self._world.clock
        wall = clock.now().timestamp() - clock.monotonic()
        return self._rhythm.next(began + wall, due + wall) - wall

    def want(self) -> None:
        """Asks for a tick out of turn: a release has just begun to be followed and nothing is known of it."""
        self._wanted.set()

    async def _wanted_before(self, seconds: float) -> bool:
        """Waits for the next turn; True when a tick is wanted well before it."""
        if seconds <= GATHERING:
            await asyncio.sleep(max(seconds, 0.0))
            return False
        try:
            async with asyncio.timeout(seconds - GATHERING):
                await self._wanted.wait()
        except TimeoutError:
            await asyncio.sleep(GATHERING)
            return False
        await asyncio.sleep(GATHERING)
        return True

    async def tick(self) -> None:
        """One tick: measurements, which get one tick's time, then a look at every active release."""
        world = self._world
        started = world.clock.monotonic()
        self._wanted.clear()
        if self._asking is None:
            self._asking = asyncio.create_task(world.measuring.tick(world.clock.now()), name="measurements")
        await asyncio.wait({self._asking}, timeout=world.config.tick.total_seconds())
        if self._asking.done():
            problem = self._asking.exception()
            if problem is not None:
                log.error("measurements failed", exc_info=problem)
            self._asking = None
        await self.look()
        self.last_at = world.clock.monotonic()
        world.metrics.tick_seconds.observe(self.last_at - started)
        world.metrics.queries.set(world.measuring.asked)
        world.metrics.last_tick.set(world.clock.now().timestamp())

    async def look(self) -> None:
        """Decides for every active release; those with something to do get a round.

        First those of which something urgent is known or what was measured has changed. A release that is well, of
        which nothing new was measured since it was looked at a moment ago, is left for a later tick.
        """
        clock, began = self._world.clock, self._world.clock.monotonic()
        active = [release for release in self._store if release.active]
        self._world.metrics.active.set(len(active))
        draining = (self._store.get(key) for key in self._world.measuring.draining)
        rest = [release for release in draining if release is not None and not release.active]
        urgent = False
        async for release in self._in_slices(active):
            measured = self._world.measuring.readings(release.key)
            change = unrest(release.looked_on, measured)
            if change >= STIR or _pressing(release):
                urgent = self._look_at(release) or urgent
            elif change > 0 or not _calm(release, clock.now()) or began - release.looked_at >= CALM:
                rest.append(release)
        if urgent:
            await self._scheduler.urgent_done(within=HEAD_START)
        async for release in self._in_slices(rest):
            self._look_at(release)

    async def _in_slices(self, releases: Iterable[Release]) -> AsyncIterator[Release]:
        """Those that are still there, while this process leads; others get their turn in between."""
        clock = self._world.clock
        since = clock.monotonic()
        for release in releases:
            if clock.monotonic() - since > SLICE:
                await asyncio.sleep(0)
                since = clock.monotonic()
            if self._store.get(release.key) is release and self._world.leadership.valid_for(0):
                yield release

    def _look_at(self, release: Release) -> bool:
        """One release; whether a round in the rollback lane began with it."""
        now = self._world.clock.monotonic()
        if now < release.look_again_at:
            return False
        release.looked_at, release.looked_on = now, self._world.measuring.readings(release.key)
        running = self._scheduler.running(release.key)
        try:
            plan = self._rounds.glance(release) if running else self._rounds.look(release)
        except Exception as problem:  # noqa: BLE001 - one release's bug must not stop the others; it is counted and told
            pause = min(FIRST_BACKOFF * 2**release.failed_looks, LONGEST_BACKOFF)
            release.failed_looks += 1
            release.look_again_at = self._world.clock.monotonic() + pause
            self._on_error(release, problem)
            return False
        release.failed_looks, release.look_again_at = 0, 0.0
        if plan is None:
            return False
        urgent = plan.urgent and plan.route is not None
        if not running:
            self._scheduler.wake(release.key, urgent=urgent)
        elif urgent:
            self._scheduler.preempt(release.key)
        return urgent and not running


def _pressing(release: Release) -> bool:
    """Whether a rule has begun to be broken, or the release is on its way back."""
    status = release.status
    return status.phase is Phase.ROLLING_BACK or any(verdict.since is not None for verdict in status.verdicts)


def _calm(release: Release, now: datetime) -> bool:
    """Whether all is well with a release and nothing is due within a moment."""
    status = release.status
    due = status.next.at if status.next is not None else None
    fine = status.weight.verified and status.verdict in {Verdict.PASS, None}
    return fine and due is not None and (due - now).total_seconds() > CALM
