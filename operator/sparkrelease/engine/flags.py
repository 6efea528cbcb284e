"""Which flags are followed: those of releases that are measured. An edit is seen at once, not at the next round."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from sparkrelease.engine.release import Release
from sparkrelease.engine.targets import FLAG
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.watch import NamedWatch

log = logging.getLogger(__name__)

AGAIN = 0.2
"""Seconds to the next watch after the server ended one; it does so every few minutes."""

POLL = 5.0
"""The same where one cannot be kept: the flag is read this often then."""

_Place = tuple[str, str]


class FlagWatches:
    """One watch per ConfigMap, however many releases take turns with it."""

    def __init__(self, watch: NamedWatch, see: Callable[[str, str | None, Mapping[str, object]], None]) -> None:
        self._watch = watch
        self._see = see
        self._wanted: dict[ObjectKey, _Place] = {}
        self._tasks: dict[_Place, asyncio.Task[None]] = {}

    def mind(self, release: Release) -> None:
        """Follows the release's flag while the release is active, and no longer; cheap when nothing changed."""
        target = release.target
        wanted = (target.namespace, target.route_name) if target is not None and target.kind == FLAG else None
        if not release.active or wanted is None:
            self.drop(release.key)
        elif self._wanted.get(release.key) != wanted:
            self.drop(release.key)
            self._wanted[release.key] = wanted
            if wanted not in self._tasks:
                self._tasks[wanted] = asyncio.create_task(self._follow(wanted), name=f"flag {'/'.join(wanted)}")

    def drop(self, key: ObjectKey) -> None:
        """Follows the flag of a release no longer, unless another one needs it."""
        place = self._wanted.pop(key, None)
        if place is not None and place not in self._wanted.values():
            self._tasks.pop(place).cancel()

    async def stop(self) -> None:
        """Ends every watch."""
        tasks = [*self._tasks.values()]
        self._wanted.clear()
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, place: _Place) -> None:
        told = ""
        while True:
            problem = await self._watch.follow(FLAG, *place, self._see)
            if problem is not None and problem.message != told:
                log.warning("ConfigMap %s/%s is read every %g s: %s", *place, POLL, problem.message)
            told = problem.message if problem is not None else ""
            await asyncio.sleep(AGAIN if problem is None else POLL)
