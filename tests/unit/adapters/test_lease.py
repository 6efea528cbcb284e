"""What a real API server cannot be made to do on purpose: lose a reply, hang, take its time while a clock runs."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sparkrelease.adapters.lease import LeaseHolder, new_identity
from sparkrelease.api.config import LeaseConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ContentType, Reply

RENEW, DEADLINE, DURATION = 0.05, 0.4, 0.8

# The loop's clock jumps to whatever is due next, so a busy machine cannot let a Lease run out between two renewals.
pytestmark = pytest.mark.looptime


class OneLease:
    """A strict API server with one Lease: guards by resourceVersion, and tricks a test asks for."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.versions = 0
        self.lose_replies: set[str] = set()
        self.hang = False
        self.writes: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | Sequence[object] | None = None,
        content: ContentType = ContentType.JSON,
        accept: str = "application/json",
        within: float | None = None,
    ) -> Reply:
        assert within is not None, "every request about the Lease has its own limit"
        if self.hang:
            await asyncio.sleep(within)
            return no_answer()
        reply = self.answer(method, body)
        self.meanwhile()
        if method in self.lose_replies:
            self.lose_replies.discard(method)
            return no_answer()
        return reply

    def answer(self, method: str, body: object) -> Reply:
        if method == "GET":
            return Reply(200, copy.deepcopy(self.stored)) if self.stored else refusal(404, "NotFound")
        assert isinstance(body, dict)
        if method == "POST" and self.stored:
            return refusal(409, "AlreadyExists")
        if method == "PUT":
            if self.stored is None:
                return refusal(404, "NotFound")
            if body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
                return refusal(409, "Conflict")
        self.versions += 1
        self.stored = copy.deepcopy(dict(body))
        self.stored["metadata"]["resourceVersion"] = str(self.versions)
        self.writes.append(f"{method} {self.stored['spec']['holderIdentity']}")
        return Reply(200, copy.deepcopy(self.stored))


def no_answer() -> Reply:
    return Reply(0, {}, Problem(Reason.API_SERVER_UNREACHABLE, "no answer"))


def refusal(code: int, reason: str) -> Reply:
    return Reply(code, {"kind": "Status", "reason": reason}, Problem(Reason.REFUSED, reason))


class Running:
    """A holder under way, and what it was called with."""

    def __init__(self, api: OneLease, monotonic: Callable[[], float] | None = None) -> None:
        config = LeaseConfig(
            renew=timedelta(seconds=RENEW), deadline=timedelta(seconds=DEADLINE), duration=timedelta(seconds=DURATION)
        )
        clock = monotonic or asyncio.get_running_loop().time
        self.holder = LeaseHolder(api, config, new_identity(), monotonic=clock)
        self.started = asyncio.Event()
        self.lost: list[str] = []
        self.task = asyncio.create_task(self.holder.run(self.started.set, self.lost.append))

    async def leads(self) -> LeaseHolder:
        await asyncio.wait_for(self.started.wait(), 5)
        return self.holder


@pytest.fixture
def api() -> OneLease:
    return OneLease()


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_lease_taken_without_an_answer_is_found_to_be_ours(api: OneLease, method: str) -> None:
    if method == "PUT":
        first = Running(api)
        await first.leads()
        await first.holder.stop()
    api.lose_replies.add(method)
    running = Running(api)
    holder = await running.leads()
    assert holder.valid_for(0)
    assert api.stored is not None
    assert holder.epoch == api.stored["spec"]["leaseTransitions"]
    await holder.stop()


async def test_a_renewal_without_an_answer_does_not_end_the_leadership(api: OneLease) -> None:
    running = Running(api)
    holder = await running.leads()
    epoch = holder.epoch
    for _ in range(3):
        api.lose_replies.add("PUT")
        await asyncio.sleep(RENEW * 3)
    assert holder.valid_for(0)
    assert holder.epoch == epoch
    assert running.lost == []
    await holder.stop()


async def test_a_frozen_holder_sends_nothing_when_it_wakes_after_its_deadline(api: OneLease) -> None:
    ahead = 0.0
    loop = asyncio.get_running_loop()
    running = Running(api, lambda: loop.time() + ahead)
    holder = await running.leads()
    assert holder.valid_for(0)
    ahead = DEADLINE + 0.01
    writes = list(api.writes)
    assert not holder.valid_for(0)
    assert holder.epoch == 0
    await asyncio.wait_for(running.task, 2)
    assert running.lost
    assert api.writes == writes, "a Lease that ran out is not renewed, nor given back"


async def test_validity_counts_from_the_start_of_a_try_and_not_from_its_answer(api: OneLease) -> None:
    clock = [100.0]

    def take_time() -> None:
        if clock[0] == 100.0:
            clock[0] += 0.1

    api.meanwhile = take_time
    running = Running(api, lambda: clock[0])
    holder = await running.leads()
    assert clock[0] == 100.1
    assert holder.valid_for(DEADLINE - 0.11)
    assert not holder.valid_for(DEADLINE - 0.09)
    running.task.cancel()
    await asyncio.gather(running.task, return_exceptions=True)


async def test_a_follower_that_was_frozen_looks_before_it_takes(api: OneLease) -> None:
    leader = Running(api)
    await leader.leads()
    ahead = 0.0
    loop = asyncio.get_running_loop()
    follower = Running(api, lambda: loop.time() + ahead)
    await asyncio.sleep(RENEW * 3)
    ahead = DURATION * 10
    await asyncio.sleep(RENEW * 4)
    assert not follower.started.is_set()
    assert leader.holder.valid_for(0)
    await follower.holder.stop()
    await leader.holder.stop()


async def test_a_follower_does_not_compare_clocks_of_machines(api: OneLease) -> None:
    leader = Running(api)
    await leader.leads()
    assert api.stored is not None
    api.stored["spec"]["renewTime"] = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    follower = Running(api)
    await asyncio.sleep(DURATION / 2)
    assert not follower.started.is_set()
    await follower.holder.stop()
    await leader.holder.stop()


async def test_a_hanging_api_server_does_not_delay_the_end(api: OneLease) -> None:
    running = Running(api)
    await running.leads()
    api.hang = True
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(running.task, 5)
    assert asyncio.get_running_loop().time() - began < DEADLINE + 0.2
    assert running.lost


async def test_stopping_before_leading_ends_at_once_and_writes_nothing(api: OneLease) -> None:
    leader = Running(api)
    await leader.leads()
    follower = Running(api)
    await asyncio.sleep(RENEW)
    await asyncio.wait_for(follower.holder.stop(), 1)
    assert not any(follower.holder.identity in write for write in api.writes)
    assert follower.lost == []
    await leader.holder.stop()
    assert api.writes[-1] == "PUT "


@pytest.mark.parametrize("body", [{}, {"metadata": {"resourceVersion": "7"}, "spec": {"leaseTransitions": "many"}}])
async def test_a_strange_lease_breaks_nothing(api: OneLease, body: dict[str, Any]) -> None:
    api.stored = {"metadata": {"resourceVersion": "7"}, "spec": {}} | body
    running = Running(api)
    holder = await running.leads()
    assert holder.epoch == 1
    await holder.stop()


async def test_whether_the_lease_is_still_held_is_what_the_api_server_says_now(api: OneLease) -> None:
    running = Running(api)
    holder = await running.leads()
    assert await holder.still_held() is True
    api.lose_replies.add("GET")
    assert await holder.still_held() is None
    assert api.stored is not None
    api.stored["spec"]["holderIdentity"] = "another"
    assert await holder.still_held() is False
    api.stored = None
    assert await holder.still_held() is False
    await holder.stop()


def test_a_deadline_that_is_not_before_the_duration_is_refused(api: OneLease) -> None:
    seconds = timedelta(seconds=10)
    with pytest.raises(ValueError, match="deadline"):
        LeaseHolder(api, LeaseConfig(duration=seconds, deadline=seconds), "me")


def test_two_starts_in_one_pod_have_two_identities() -> None:
    assert new_identity() != new_identity()
