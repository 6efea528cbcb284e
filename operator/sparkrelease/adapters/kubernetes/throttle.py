"""The pause an API server asks for with 429 Retry-After: kept by every lane, and the rollback lane leaves it first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LONGEST_PAUSE = 60.0
"""Seconds; a longer Retry-After is taken as this, so that one strange answer cannot silence the operator."""

HEAD_START = 0.05
"""Seconds after a pause in which only urgent requests are sent."""


class Throttle:
    """Shared by all lanes to one API server."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = 0.0
        self._urgent_waiting = 0

    def pause(self, seconds: float) -> None:
        """Keeps every request back for this long; a shorter pause never ends a longer one."""
        self._until = max(self._until, self._monotonic() + min(max(seconds, 0.0), LONGEST_PAUSE))

    def remaining(self) -> float:
        """Seconds the pause still lasts."""
        return max(0.0, self._until - self._monotonic())

    async def pass_through(self, *, urgent: bool) -> None:
        """Returns when a request may be sent. Without a pause that is at once."""
        if not urgent:
            # A pause may grow while it is waited for, so no event could be set in advance.
            while (rest := self.remaining()) > 0 or self._urgent_waiting:  # noqa: ASYNC110
                await asyncio.sleep(rest + HEAD_START)
            return
        self._urgent_waiting += 1
        try:
            while (rest := self.remaining()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(rest)
        finally:
            self._urgent_waiting -= 1
