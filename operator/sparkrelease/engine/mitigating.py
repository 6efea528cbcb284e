"""Carrying out a mitigation: last of all, only when what led to it is stored, and never in a rollback's way."""

from __future__ import annotations

import asyncio
import logging

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem, Settings, SettingsAsk
from sparkrelease.decide.mitigation import TRY_AGAIN
from sparkrelease.decide.plan import Change
from sparkrelease.engine.release import Release
from sparkrelease.engine.world import World

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds one reading or one change may take."""

AT_ONCE = 0.05
"""Seconds to the round that sees that a change was made."""


class Mitigating:
    """The one place where the engine has settings read and changed."""

    def __init__(self, world: World) -> None:
        self._world = world

    def failed_lately(self, release: Release) -> Settings | None:
        """What went wrong a moment ago: it is not tried at every tick."""
        failed = release.settings_problem
        return failed if failed is not None and self._world.clock.monotonic() < release.settings_again_at else None

    async def read(self, release: Release, ask: SettingsAsk) -> Settings:
        """What a mitigation would change."""
        try:
            async with asyncio.timeout(PATIENCE):
                seen = await self._world.mitigations.read(release.key.namespace, ask)
        except TimeoutError:
            late = Problem(Reason.API_SERVER_UNREACHABLE, f"no answer within {PATIENCE:g} s")
            seen = Settings(ask.config_map, problem=late)
        if seen.problem is not None:
            self._failed(release, ask.config_map, seen.problem)
        return seen

    async def carry_out(self, release: Release, change: Change) -> float:
        """Makes a change whose evidence and status are stored; seconds to the round that looks at what came of it."""
        world = self._world
        if not world.leadership.valid_for(0):
            return TRY_AGAIN.total_seconds()
        try:
            async with asyncio.timeout(PATIENCE):
                problem = await world.mitigations.change(release.key.namespace, change)
        except TimeoutError:
            problem = Problem(Reason.API_SERVER_UNREACHABLE, f"no answer within {PATIENCE:g} s")
        world.metrics.writes.labels("mitigation", "Failed" if problem is not None else "Done").inc()
        if problem is None or problem.reason is Reason.OBJECT_CHANGED:
            return AT_ONCE
        self._failed(release, change.config_map, problem)
        return AT_ONCE

    def _failed(self, release: Release, config_map: str, problem: Problem) -> None:
        release.settings_problem = Settings(config_map, problem=problem)
        release.settings_again_at = self._world.clock.monotonic() + TRY_AGAIN.total_seconds()
        name = f"{release.key.namespace}/{release.key.name}"
        log.warning("%s: mitigation by ConfigMap %s: %s", name, config_map, problem.message)
