"""Keeping a managed workload: looking when something changed, and one step at a time, last of all in a round."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.deployed import Deployed, ManagedWorkload
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import ScaleDeployment, WorkloadStep
from sparkrelease.engine.release import Release
from sparkrelease.engine.world import World
from sparkrelease.ports.deployments import Owner, both

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds one look or one step may take."""

AT_ONCE = 0.05
"""Seconds to the round that sees what came of a step."""

TRY_AGAIN = 5.0
"""Seconds to the next try after a step failed."""


class Keeping:
    """The one place where the engine has Deployments read and written."""

    def __init__(self, world: World) -> None:
        self._world = world

    def seen(self, release: Release) -> ManagedWorkload | None:
        """What the last look showed, with what is known of our own steps."""
        if release.workload is None or release.spec is None or release.spec.workload is None:
            return None
        waiting = self._world.clock.monotonic() < release.workload_again_at
        return replace(
            release.workload, parked=release.parked, write_problem=release.workload_problem if waiting else None
        )

    async def look(self, release: Release) -> None:
        """Looks again when something about the workload changed, or when nobody could say."""
        owner = _owner(release)
        if owner is None:
            release.workload = None
            return
        if not (release.workload_dirty or release.workload is None or release.workload.problem is not None):
            return
        release.workload_dirty, looked = False, False
        try:
            async with asyncio.timeout(PATIENCE):
                release.workload = await self._world.deployments.look(owner)
            looked = release.workload.problem is None
        except TimeoutError:
            candidate, copy = both(owner.deployment)
            late = Problem(Reason.API_SERVER_UNREACHABLE, f"no answer within {PATIENCE:g} s")
            release.workload = ManagedWorkload(Deployed(candidate), Deployed(copy), problem=late)
        finally:
            # Also when the round was cut short: what changed is still to be looked at.
            release.workload_dirty = release.workload_dirty or not looked

    async def carry_out(self, release: Release, step: WorkloadStep) -> float:
        """Takes a step whose decision is stored; seconds to the round that looks at what came of it."""
        owner = _owner(release)
        if owner is None or not self._world.leadership.valid_for(0):
            return TRY_AGAIN
        release.workload_dirty = True
        try:
            async with asyncio.timeout(PATIENCE):
                problem = await self._world.deployments.carry_out(owner, step)
        except TimeoutError:
            problem = Problem(Reason.API_SERVER_UNREACHABLE, f"no answer within {PATIENCE:g} s")
        self._world.metrics.writes.labels("workload", "Failed" if problem is not None else "Done").inc()
        if problem is None and isinstance(step, ScaleDeployment) and step.parks:
            release.parked = step.parks
        if problem is None and step == release.last_step:
            return TRY_AGAIN  # somebody (an admission webhook) lets it be written and not be so
        if problem is None or problem.reason is Reason.OBJECT_CHANGED:
            release.last_step = step if problem is None else None
            return AT_ONCE
        release.workload_problem = problem
        release.workload_again_at = self._world.clock.monotonic() + TRY_AGAIN
        log.warning("%s/%s: %s", release.key.namespace, release.key.name, problem.message)
        return AT_ONCE


def _owner(release: Release) -> Owner | None:
    spec = release.spec
    if spec is None or spec.workload is None:
        return None
    services = (spec.traffic.stable.service, spec.traffic.canary.service)
    return Owner(release.key.namespace, release.key.name, spec.workload.deployment, services)
