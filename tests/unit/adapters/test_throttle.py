"""A pause the API server asks for is kept by all, and rollbacks leave it first."""

from __future__ import annotations

import asyncio
import time

from sparkrelease.adapters.kubernetes.throttle import LONGEST_PAUSE, Throttle


async def test_without_a_pause_nobody_waits() -> None:
    throttle = Throttle()
    async with asyncio.timeout(0.5):
        for _ in range(100):
            await throttle.pass_through(urgent=False)
            await throttle.pass_through(urgent=True)


async def test_urgent_requests_leave_a_pause_before_ordinary_ones() -> None:
    throttle = Throttle()
    throttle.pause(0.2)
    left: list[str] = []

    async def send(name: str, *, urgent: bool) -> None:
        await throttle.pass_through(urgent=urgent)
        left.append(name)

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(send(f"ordinary {number}", urgent=False))
        group.create_task(send("rollback", urgent=True))
    assert left[0] == "rollback"
    assert time.monotonic() - began >= 0.2


async def test_a_pause_that_grows_while_waited_for_is_kept_whole() -> None:
    throttle = Throttle()
    throttle.pause(0.1)
    began = time.monotonic()
    waiting = asyncio.create_task(throttle.pass_through(urgent=True))
    await asyncio.sleep(0)
    throttle.pause(0.3)
    await waiting
    assert time.monotonic() - began >= 0.3


async def test_an_urgent_request_that_gives_up_holds_nobody_back() -> None:
    throttle = Throttle()
    throttle.pause(0.1)
    waiting = asyncio.create_task(throttle.pass_through(urgent=True))
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(1):
        await throttle.pass_through(urgent=False)


def test_a_shorter_pause_never_ends_a_longer_one_and_none_is_endless() -> None:
    now = 100.0
    throttle = Throttle(lambda: now)
    throttle.pause(10)
    throttle.pause(1)
    assert throttle.remaining() == 10
    throttle.pause(1e9)
    assert throttle.remaining() == LONGEST_PAUSE
