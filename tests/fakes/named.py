"""Watches of single objects that only say who asked for them, and end when they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from sparkrelease.decide.facts import Problem

See = Callable[[str, str, Mapping[str, object]], None]


class FakeNamed:
    """A NamedWatch."""

    def __init__(self) -> None:
        self.followed: dict[tuple[str, str], See] = {}
        self.begun = 0
        self.end = asyncio.Event()
        self.problem: Problem | None = None

    async def follow(self, kind: str, namespace: str, name: str, see: See) -> Problem | None:
        self.begun += 1
        self.followed[namespace, name] = see
        try:
            await self.end.wait()
            return self.problem
        finally:
            self.followed.pop((namespace, name), None)
