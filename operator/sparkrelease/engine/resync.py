"""Full lists: the first look at every kind, where watches begin, and what finds ghosts and missed events later."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from sparkrelease.api.objects import APPROVAL_KIND
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.engine.intake import KINDS, OPTIONAL, Intake
from sparkrelease.ports.cluster import ObjectLister

log = logging.getLogger(__name__)

RETRY = 1.0
MISSING_RETRY = 20.0
"""Seconds after which an API that the cluster does not serve is looked for again."""

RECENT = 5.0
"""A watch that begins anew begins at a list this young (seconds): an older one the server may have forgotten."""


_UNSERVED = frozenset({Reason.ROUTE_API_MISSING})
"""Answers after which nothing of a kind that may be missing is waited for."""

_UNREADABLE = _UNSERVED | {Reason.FORBIDDEN}
"""The same of signatures, which an older installation may neither define nor allow to be read."""


class Resync:
    """Lists every kind at the start, every `every` seconds, and where a watch has to begin.

    Watches list nothing themselves: each begins at the version of a list that was taken in here, and shows what
    changed since. `missing` is kept up: the kinds the cluster does not serve now.
    """

    def __init__(
        self,
        lister: ObjectLister,
        intake: Intake,
        every: float,
        *,
        missing: set[str],
        api_appeared: Callable[[str], None],
    ) -> None:
        self._lister = lister
        self._intake = intake
        self._every = every
        self._api_appeared = api_appeared
        self._asked = {kind: asyncio.Event() for kind in KINDS}
        self._first = {kind: asyncio.Event() for kind in KINDS}
        self._missing = missing
        self._awaited: set[str] = set()
        """Kinds without which nothing begins, and which the cluster does not serve yet."""
        self._listed: dict[str, tuple[float, str]] = {}
        """When each kind was listed last, and the version of that list."""
        self._next = {kind: asyncio.Event() for kind in KINDS}
        """Set when the list that is awaited is there; the one after it has an event of its own."""

    @property
    def done(self) -> bool:
        """Whether every kind was listed once, or is known not to be served."""
        return all(event.is_set() for event in self._first.values())

    async def first_lists(self) -> None:
        """Waits for `done`."""
        for event in self._first.values():
            await event.wait()

    async def since(self, kind: str) -> str:
        """The version at which a watch of this kind may begin now; lists it first unless that was done just now.

        So what vanished while there was no watch is found, too. Empty for a kind that is never listed.
        """
        if kind not in self._asked:
            return ""
        while (version := self._recent(kind)) is None:
            self._asked[kind].set()
            await self._next[kind].wait()
        return version

    def _recent(self, kind: str) -> str | None:
        listed_at, version = self._listed.get(kind, (-math.inf, ""))
        return version if asyncio.get_running_loop().time() - listed_at <= RECENT else None

    async def serve(self) -> None:
        """Lists until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in KINDS:
                tasks.create_task(self._keep(kind), name=f"lists of {kind}")

    async def _keep(self, kind: str) -> None:
        while True:
            wait = await self._once(kind)
            if self._asked[kind].is_set():
                await asyncio.sleep(wait)  # a watch waits for the list that failed
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked[kind].wait(), timeout=wait)

    async def _once(self, kind: str) -> float:
        """One list; answers the seconds to the next."""
        self._intake.listing(kind)
        listed = await self._lister.list_objects(kind, partial(self._intake.page, kind))
        if not isinstance(listed, Problem):
            self._intake.listed(kind)
            self._note_listed(kind, listed)
            self._first[kind].set()
            if kind in self._missing or kind in self._awaited:
                self._missing.discard(kind)
                self._awaited.discard(kind)
                log.info("the cluster serves %s now", kind)
                self._api_appeared(kind)
            return self._every
        problem = listed
        if kind in OPTIONAL and problem.reason in (_UNREADABLE if kind == APPROVAL_KIND else _UNSERVED):
            if kind not in self._missing:
                log.warning("%s; releases on it wait, others are served", problem.message)
            self._missing.add(kind)
            self._intake.listed(kind)
            self._first[kind].set()
            return MISSING_RETRY
        if problem.reason is Reason.ROUTE_API_MISSING:
            # Watches look for kinds once, when they begin: a CRD that comes later has to be told to them.
            self._awaited.add(kind)
        log.warning("cannot list %s: %s", kind, problem.message)
        awaited = self._asked[kind].is_set() or not self._first[kind].is_set()
        return RETRY if awaited else MISSING_RETRY

    def _note_listed(self, kind: str, version: str) -> None:
        self._listed[kind] = (asyncio.get_running_loop().time(), version)
        self._asked[kind].clear()
        there, self._next[kind] = self._next[kind], asyncio.Event()
        there.set()
