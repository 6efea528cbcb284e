"""The Lease in its own thread: renewed whatever the working loop does, and let go when that loop hangs for good."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from sparkrelease.adapters.lease import LeaseHolder, LeaseThread, new_identity
from sparkrelease.api.config import LeaseConfig
from unit.adapters.test_lease import OneLease

RENEW, DEADLINE, DURATION = 0.05, 0.6, 0.9
LONG = 5.0


class Holding:
    """A thread that wants the Lease, and what it was called with."""

    def __init__(self, api: OneLease, stuck: float) -> None:
        @asynccontextmanager
        async def connect() -> AsyncIterator[OneLease]:
            self.thread = threading.current_thread()
            yield api

        config = LeaseConfig(
            renew=timedelta(seconds=RENEW), deadline=timedelta(seconds=DEADLINE), duration=timedelta(seconds=DURATION)
        )
        self.lease = LeaseThread(connect, config, new_identity(), stuck=stuck)
        self.started = asyncio.Event()
        self.lost: list[tuple[str, threading.Thread]] = []
        self.task = asyncio.create_task(self.lease.run(self.started.set, self.lose))

    def lose(self, why: str) -> None:
        self.lost.append((why, threading.current_thread()))

    async def leads(self) -> LeaseThread:
        await asyncio.wait_for(self.started.wait(), LONG)
        return self.lease


@pytest.fixture
def api() -> OneLease:
    return OneLease()


@pytest.fixture
async def holding(api: OneLease) -> AsyncIterator[Callable[[float], Holding]]:
    made: list[Holding] = []

    def hold(stuck: float) -> Holding:
        made.append(Holding(api, stuck))
        return made[-1]

    yield hold
    for one in made:
        await one.lease.stop()
        await asyncio.wait_for(one.task, LONG)


def instants(seconds: float) -> Iterator[float]:
    """Holds the calling thread up, as a loop that is at work does, and looks at the clock again and again."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        yield now


@pytest.mark.slow
async def test_a_loop_that_is_busy_for_longer_than_the_deadline_keeps_its_lease(
    holding: Callable[[float], Holding],
) -> None:
    one = holding(LONG)
    lease = await one.leads()
    assert all(lease.valid_for(0) for _ in instants(2 * DEADLINE))
    assert one.lost == []


@pytest.mark.slow
async def test_a_loop_that_hangs_loses_its_lease_and_is_told_in_another_thread(
    holding: Callable[[float], Holding],
) -> None:
    one = holding(0.2)
    lease = await one.leads()
    told = next((True for _ in instants(LONG) if one.lost), False)
    assert told
    assert one.lost[0][1] is one.thread
    assert not lease.valid_for(0)
    assert lease.epoch == 0


async def test_a_clean_stop_gives_the_lease_back(api: OneLease, holding: Callable[[float], Holding]) -> None:
    one = holding(LONG)
    lease = await one.leads()
    assert lease.epoch > 0
    assert await lease.still_held()
    await lease.stop()
    await asyncio.wait_for(one.task, LONG)
    assert not lease.valid_for(0)
    assert api.writes[-1] == "PUT "
    assert one.lost == []


async def test_connections_that_cannot_be_opened_end_the_leadership() -> None:
    @asynccontextmanager
    async def connect() -> AsyncIterator[OneLease]:
        raise OSError("no kubeconfig")
        yield OneLease()

    lost: list[str] = []
    lease = LeaseThread(connect, LeaseConfig(), new_identity())
    await asyncio.wait_for(lease.run(lambda: None, lost.append), LONG)
    assert len(lost) == 1
    assert "no kubeconfig" in lost[0]


async def test_a_question_to_a_loop_that_ends_just_now_leaves_nothing_behind() -> None:
    """The task that asks is cancelled before it took a step, as `asyncio.run` does at its end."""

    async def never(_: LeaseHolder) -> None:
        raise AssertionError("the task was cancelled before it began")

    loop = asyncio.get_running_loop()
    lease = LeaseThread(OneLease, LeaseConfig(), new_identity())  # type: ignore[arg-type]
    lease._holder = LeaseHolder(OneLease(), LeaseConfig(), "me")  # type: ignore[assignment]
    lease._loop = loop
    before = asyncio.all_tasks()
    asked = asyncio.create_task(lease._ask(never, 0.2))
    while not (new := asyncio.all_tasks() - before - {asked}):  # noqa: ASYNC110 - every turn of the loop is looked at
        await asyncio.sleep(0)
    (question,) = new
    question.cancel()
    assert await asked is None
