"""Waiting on a condition with a deadline: the only way anything here waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    what: str,
    condition: Callable[[], T | None],
    *,
    timeout: float = 30.0,
    every: float = 0.05,
    expected: tuple[type[Exception], ...] = (),
) -> T:
    """The first truthy answer of `condition`.

    Args:
        what: said in the error, so that a failed test names what it waited for.
        condition: asked until it answers something truthy.
        timeout: seconds after which to give up.
        every: seconds between two questions.
        expected: exceptions that mean "not yet"; any other one is raised at once.

    Raises:
        TimeoutError: with the last exception seen, or the last answer.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            answer = condition()
        except expected as error:
            last = error
        else:
            if answer:
                return answer
            last = answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s (last: {last!r})")
        time.sleep(every)
