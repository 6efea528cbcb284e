"""Full lists: the first look at every kind, and what finds ghosts and missed events later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from sparkrelease.api.objects import APPROVAL_KIND
from sparkrelease.api.reasons import Reason
from sparkrelease.engine.intake import KINDS, OPTIONAL, Intake
from sparkrelease.ports.cluster import ObjectLister

log = logging.getLogger(__name__)

RETRY = 1.0
MISSING_RETRY = 20.0
"""Seconds after which an API that the cluster does not serve is looked for again."""

SETTLE = 2.0
"""Seconds a watch gets to show its list anew before ghosts are looked for."""

RECENT = 15.0
"""A list this young (seconds) needs no other one: watches begin when the process does."""


_UNSERVED = frozenset({Reason.ROUTE_API_MISSING})
"""Answers after which nothing of a kind that may be missing is waited for."""

_UNREADABLE = _UNSERVED | {Reason.FORBIDDEN}
"""The same of signatures, which an older installation may neither define nor allow to be read."""


class Resync:
    """Lists every kind at the start, every `every` seconds, and after a watch began anew.

    `missing` is kept up: the kinds the cluster does not serve now.
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
        self._listed_at: dict[str, float] = {}

    @property
    def done(self) -> bool:
        """Whether every kind was listed once, or is known not to be served."""
        return all(event.is_set() for event in self._first.values())

    async def first_lists(self) -> None:
        """Waits for `done`."""
        for event in self._first.values():
            await event.wait()

    def ask(self, kind: str) -> None:
        """Asks for a list soon: the watch of this kind began anew, and what vanished meanwhile has to be found."""
        listed_at = self._listed_at.get(kind)
        if listed_at is not None and asyncio.get_running_loop().time() - listed_at > RECENT:
            self._asked[kind].set()

    async def serve(self) -> None:
        """Lists until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind in KINDS:
                tasks.create_task(self._keep(kind), name=f"lists of {kind}")

    async def _keep(self, kind: str) -> None:
        while True:
            wait = await self._once(kind)
            try:
                await asyncio.wait_for(self._asked[kind].wait(), timeout=wait)
                await asyncio.sleep(SETTLE)
            except TimeoutError:
                pass
            self._asked[kind].clear()

    async def _once(self, kind: str) -> float:
        """One list; answers the seconds to the next."""
        self._intake.listing(kind)
        problem = await self._lister.list_objects(kind, partial(self._intake.page, kind))
        if problem is None:
            self._intake.listed(kind)
            self._listed_at[kind] = asyncio.get_running_loop().time()
            self._first[kind].set()
            if kind in self._missing or kind in self._awaited:
                self._missing.discard(kind)
                self._awaited.discard(kind)
                log.info("the cluster serves %s now", kind)
                self._api_appeared(kind)
            return self._every
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
        return RETRY if not self._first[kind].is_set() else MISSING_RETRY
