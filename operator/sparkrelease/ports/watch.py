"""How watched objects reach what caches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ObjectCache(Protocol):
    """Keeps what a watch shows of one or more kinds."""

    def kinds(self) -> frozenset[str]:
        """Kinds it wants to see, for example `HTTPRoute`."""
        ...

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """Takes an object: `event` is ADDED, MODIFIED, DELETED, or None for one from the first list. Never raises."""
        ...
