"""Who may write."""

from __future__ import annotations

from typing import Protocol


class Leadership(Protocol):
    """At most one process holds it; asked before every write."""

    @property
    def epoch(self) -> int:
        """Number of this leadership; grows with every change of holder; 0 while not leading."""
        ...

    def valid_for(self, seconds: float) -> bool:
        """Whether the leadership surely lasts that long, by the monotonic clock."""
        ...

    async def still_held(self) -> bool | None:
        """Asks whether nobody else has taken the leadership since; None when that cannot be said now."""
        ...
