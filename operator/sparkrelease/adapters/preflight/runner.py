"""The PreflightRunner of a real cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from sparkrelease.adapters.preflight.artifacts import Artifacts
from sparkrelease.adapters.preflight.gets import Gets
from sparkrelease.adapters.preflight.jobs import Jobs
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import PreflightAnswer, Unanswered
from sparkrelease.ports.api_server import ApiServer
from sparkrelease.ports.preflight import Subject

GETS = 16
"""Requests under way at once, of all releases together."""


class ClusterRunner:
    """Carries out items through the API server and over HTTP."""

    def __init__(self, api: ApiServer, config: PreflightConfig) -> None:
        self._gets = Gets(api, config)
        self._jobs = Jobs(api)
        self._artifacts = Artifacts(api, config)
        self._free = asyncio.Semaphore(GETS)

    def turn(self, item: PreflightItem) -> AbstractAsyncContextManager[None]:
        """See PreflightRunner."""
        if item.http is not None:
            return self._free
        return self._artifacts.turn(item) if item.artifact is not None else nullcontext()

    async def run(self, subject: Subject, item: PreflightItem) -> PreflightAnswer:
        """See PreflightRunner."""
        if item.http is not None:
            return await self._gets.get(subject.namespace, item.http)
        if item.job is not None:
            return await self._jobs.run(subject, item)
        if item.artifact is not None:
            return await self._artifacts.read(subject, item)
        return Unanswered(Verdict.ERROR, f"an item of kind {item.asks} is not asked here")

    async def clean(self, subject: Subject, items: Sequence[PreflightItem]) -> None:
        """See PreflightRunner."""
        await asyncio.gather(*(self._jobs.remove(subject, item) for item in items if item.job is not None))
