"""How watched objects reach what caches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from sparkrelease.decide.facts import Problem


class ObjectCache(Protocol):
    """Keeps what a watch shows of one or more kinds."""

    def kinds(self) -> frozenset[str]:
        """Kinds it wants to see, for example `HTTPRoute`."""
        ...

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """Takes an object: `event` is ADDED, MODIFIED, DELETED, or None for one from the first list. Never raises."""
        ...


class NamedWatch(Protocol):
    """Follows single objects, where nothing else of their kind may be seen."""

    async def follow(
        self, kind: str, namespace: str, name: str, see: Callable[[str, str, Mapping[str, object]], None]
    ) -> Problem | None:
        """Shows an object as it is now, then what becomes of it, until the server ends the watch; never raises.

        `see` takes kind, event (MODIFIED or DELETED) and body. The problem is why the object cannot be followed; it has
        been shown as it is now unless it cannot even be read.
        """
        ...
