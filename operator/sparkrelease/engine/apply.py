"""Carrying out what a plan wants of the route. Lowering waits for nothing and is never given up."""

from __future__ import annotations

import asyncio
import logging

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.plan import EventDraft, RouteAction, Severity
from sparkrelease.engine.release import Release
from sparkrelease.engine.telling import Teller
from sparkrelease.engine.world import World
from sparkrelease.ports.traffic import Applied, ApplyOutcome, Target

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between tries of lowering a route."""

TRIES_IN_A_ROW = 4
"""Quick tries before the status is told that the route refuses; from then on each round tries once."""

LEASE_LEFT = 0.5
"""Part of the Lease's deadline that must surely be left before a weight is raised."""

RELEASES_AGE = 90.0
"""Seconds after which what the watch showed is too old to raise a weight upon."""


def done(applied: Applied) -> bool:
    """Whether the route says what was wanted."""
    return applied.outcome in {ApplyOutcome.CHANGED, ApplyOutcome.UNCHANGED}


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(FIRST_PAUSE * 2 ** max(failures - 1, 0), LONGEST_PAUSE))


def gone(applied: Applied) -> bool:
    """Whether the API server said that there is no such route: canary gets nothing through it."""
    route = applied.route
    return not done(applied) and route is not None and not route.exists and _says_not_found(applied)


def _says_not_found(applied: Applied) -> bool:
    return applied.problem is not None and applied.problem.reason is Reason.ROUTE_NOT_FOUND


class RouteWriter:
    """The one place where the engine has a route written."""

    def __init__(self, world: World, teller: Teller) -> None:
        self._world = world
        self._teller = teller

    async def lower(self, release: Release, target: Target, action: RouteAction) -> Applied:
        """Lowers or re-asserts a weight: several quick tries; the caller comes back for more until it is done."""
        applied = await self._write(release, target, action, "lower")
        for _ in range(TRIES_IN_A_ROW - 1):
            fenced = applied.outcome is ApplyOutcome.FENCED
            if done(applied) or gone(applied) or fenced or release.route_failures >= TRIES_IN_A_ROW:
                break
            if applied.outcome is ApplyOutcome.CONFLICT:
                await self._world.traffic.refresh(target)
            else:
                await asyncio.sleep(pause_after(release.route_failures))
            applied = await self._write(release, target, action, "lower")
        return applied

    async def raise_weight(self, release: Release, target: Target, action: RouteAction) -> Applied:
        """Raises a weight once; on a conflict the route is read again, and the next round decides anew."""
        applied = await self._write(release, target, action, "raise")
        if applied.outcome is ApplyOutcome.CONFLICT:
            await self._world.traffic.refresh(target)
        return applied

    async def stamp(self, release: Release, target: Target) -> bool:
        """Makes every older leader's writes to this route fail. Answers whether the route may be written now."""
        world, epoch = self._world, self._world.leadership.epoch
        mark = world.traffic.observe(target).mark
        if mark is not None and mark.epoch < epoch:
            if not world.leadership.valid_for(0):
                return False
            applied = await world.traffic.stamp(target, epoch)
            world.metrics.writes.labels("stamp", applied.outcome.value).inc()
            if applied.outcome is ApplyOutcome.FENCED:
                applied = await self._mind_fence(applied, target)
            if not done(applied):
                return False
        release.stamped_epoch = epoch
        return True

    async def _write(self, release: Release, target: Target, action: RouteAction, way: str) -> Applied:
        world = self._world
        if not world.leadership.valid_for(0):
            return Applied(ApplyOutcome.FENCED, world.clock.now())
        applied = await world.traffic.apply(target, action, world.leadership.epoch)
        if applied.outcome is ApplyOutcome.FENCED and done(await self._mind_fence(applied, target)):
            applied = await world.traffic.apply(target, action, world.leadership.epoch)
        world.metrics.writes.labels(f"route-{way}", applied.outcome.value).inc()
        if done(applied) or gone(applied):
            release.route_failures = 0
        elif applied.outcome is ApplyOutcome.FAILED:
            release.route_failures += 1
            self._tell(release, target, applied, way)
        return applied

    async def _mind_fence(self, applied: Applied, target: Target) -> Applied:
        """Ends this process when a newer leader stamped the route; stamps over an epoch no leader ever had.

        Whoever may edit a route can write any epoch on it, and a route restored from another cluster bears a strange
        one: only the Lease, read after the route, tells.
        """
        world, name = self._world, f"{target.kind} {target.namespace}/{target.route_name}"
        held = await world.leadership.still_held()
        if held is False:
            world.fenced(f"a newer leader stamped {name}")
        if held is not True or not world.leadership.valid_for(0):
            return applied
        log.error("%s bears the epoch of no leader; it is stamped over", name)
        stamped = await world.traffic.stamp(target, world.leadership.epoch, over=True)
        world.metrics.writes.labels("stamp", stamped.outcome.value).inc()
        return stamped

    def _tell(self, release: Release, target: Target, applied: Applied, way: str) -> None:
        why = applied.problem.message if applied.problem else "no answer"
        level = logging.ERROR if way == "lower" else logging.WARNING
        name = f"{target.kind} {target.namespace}/{target.route_name}"
        log.log(level, "cannot %s the canary weight of %s (try %d): %s", way, name, release.route_failures, why)
        if release.route_failures == 1 or way == "raise":
            text = f"{name} could not be written: {why}"
            self._teller.tell(release, [EventDraft(Reason.ROUTE_WRITE_FAILED, text, Severity.WARNING)])
