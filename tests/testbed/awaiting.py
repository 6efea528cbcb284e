"""`wait_for` for code that must not block the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(what: str, condition: Callable[[], Awaitable[T | None]], *, within: float = 30.0) -> T:
    """The first truthy answer of `condition`, asked every 50 ms.

    Raises:
        TimeoutError: with the last answer.
    """
    deadline = time.monotonic() + within
    while True:
        answer = await condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {within:g} s (last: {answer!r})")
        await asyncio.sleep(0.05)
