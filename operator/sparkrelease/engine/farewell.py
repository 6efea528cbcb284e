"""A release that vanished with traffic on its canary, its finalizer taken away: the traffic still goes to stable."""

from __future__ import annotations

import asyncio
import logging

from sparkrelease.api.spec import DeletionPolicy
from sparkrelease.decide.plan import ReleaseRoute
from sparkrelease.engine.apply import RouteWriter, done, gone, pause_after
from sparkrelease.engine.bodies import metadata_of, text_of
from sparkrelease.engine.release import Release
from sparkrelease.engine.world import World
from sparkrelease.ports.cluster import WriteOutcome

log = logging.getLogger(__name__)


def left_traffic(release: Release) -> bool:
    """Whether a release that is gone may have left traffic on its canary that it was to take back."""
    run = release.status.run
    if not release.adopted or not release.under_way or run is None or run.dry or release.target is None:
        return False
    spec = release.spec
    return spec is None or spec.deletion_policy is not DeletionPolicy.ORPHAN


async def bring_home(world: World, routes: RouteWriter, release: Release) -> None:
    """Sets the route of a vanished release to rest; tries until it is done or this process may not write any more."""
    name = f"{release.key.namespace}/{release.key.name}"
    fetched = await world.objects.fetch(release.key)
    made_anew = fetched.body is not None and text_of(metadata_of(fetched.body), "uid") != release.uid
    if (fetched.outcome is not WriteOutcome.GONE and not made_anew) or release.target is None:
        log.error("%s vanished from the watch, but not from the API server; nothing is done about its route", name)
        return
    log.warning("%s is gone with its run under way; its traffic goes to stable", name)
    original = release.status.original_route
    action = ReleaseRoute(original=original.state if original is not None else None)
    run = release.status.run
    while world.leadership.valid_for(0):
        mark = world.traffic.observe(release.target).mark
        if mark is not None and run is not None and mark.run != run.id:
            return  # a release made anew has begun a run of its own
        applied = await routes.lower(release, release.target, action)
        if done(applied) or gone(applied):
            return
        await asyncio.sleep(pause_after(release.route_failures))
