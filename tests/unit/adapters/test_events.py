"""Events are never in anybody's way: bounded, counted, dropped before they hurt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from sparkrelease.adapters.kubernetes.events import BURST, WINDOW, KubernetesEvents
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.ports.api_server import ContentType, Reply
from sparkrelease.ports.cluster import ObjectKey

CROWD = 3
KEY = ObjectKey("ns", "shop")


class Slow:
    """An API server that answers when it is let, and tells how much it had to do at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.crowded = asyncio.Event()
        self.posted: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.fails = False

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
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once == CROWD:
            self.crowded.set()
        await self.open.wait()
        self.at_once -= 1
        if self.fails:
            return Reply(503, {}, Problem(Reason.API_SERVER_ERROR, "not now"))
        assert isinstance(body, Mapping)
        self.posted.append(str(body.get("message", "repeated")))
        return Reply(201, {"kind": "Event"})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def draft(message: str) -> EventDraft:
    return EventDraft(Reason.PROGRESSING, message)


def warning(message: str) -> EventDraft:
    return EventDraft(Reason.PREFLIGHT_FAILED, message, Severity.WARNING)


def closing(message: str, severity: Severity = Severity.NORMAL) -> EventDraft:
    return EventDraft(Reason.ROLLED_BACK if severity is Severity.WARNING else Reason.CANCELLED, message, severity)


async def emitted(events: KubernetesEvents, *messages: str, uid: str = "uid") -> None:
    for message in messages:
        await events.emit(KEY, uid, draft(message))


async def posting(events: KubernetesEvents) -> None:
    running = asyncio.create_task(events.run())
    await events.flush(within=5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_queue_drops_and_does_not_wait() -> None:
    events = KubernetesEvents(Slow(), "me", queue_size=3)
    async with asyncio.timeout(1):
        for number in range(10):
            await emitted(events, "hello", uid=f"uid-{number}")
    assert events.dropped == 7


async def test_posts_under_way_are_bounded() -> None:
    api = Slow()
    api.open.clear()
    events = KubernetesEvents(api, "me", in_flight=CROWD)
    for number in range(30):
        await emitted(events, "hello", uid=f"uid-{number}")
    running = asyncio.create_task(posting(events))
    await asyncio.wait_for(api.crowded.wait(), 5)
    api.open.set()
    await running
    assert api.most_at_once == CROWD
    assert len(api.posted) == 30


async def test_one_object_cannot_flood() -> None:
    clock = Clock()
    api = Slow()
    events = KubernetesEvents(api, "me", monotonic=clock)
    await emitted(events, *(f"blind for {second} s" for second in range(1000)))
    await emitted(events, "somebody else", uid="other")
    await posting(events)
    assert len(api.posted) == BURST + 1
    assert events.dropped == 1000 - BURST
    clock.now = WINDOW
    await emitted(events, "later")
    await posting(events)
    assert api.posted[-1] == "later"


async def test_whatever_else_an_object_said_the_ends_of_its_runs_and_its_warnings_are_posted() -> None:
    api = Slow()
    events = KubernetesEvents(api, "me", monotonic=Clock())
    await emitted(events, *(f"stage {number}" for number in range(BURST + 1)))
    await events.emit(KEY, "uid", warning("a check failed"))
    for number in range(BURST):
        await events.emit(KEY, "uid", warning(f"blind for {number} s"))
    await events.emit(KEY, "uid", closing("too many errors", Severity.WARNING))
    await events.emit(KEY, "uid", closing("taken back in Git"))
    await posting(events)
    assert {"a check failed", "too many errors", "taken back in Git"} <= set(api.posted)


@pytest.mark.parametrize("kind", [draft, warning, closing])
async def test_no_kind_of_event_can_flood(kind: Callable[[str], EventDraft]) -> None:
    api = Slow()
    events = KubernetesEvents(api, "me", monotonic=Clock())
    for number in range(1000):
        await events.emit(KEY, "uid", kind(f"number {number}"))
    await posting(events)
    assert len(api.posted) == BURST
    assert events.dropped == 1000 - BURST


async def test_the_same_words_of_another_run_are_an_event_of_their_own() -> None:
    api = Slow()
    events = KubernetesEvents(api, "me", monotonic=Clock())
    for run in ("v2-a", "v2-b", "v2-a"):
        await events.emit(KEY, "uid", replace(draft("stage ten (1/2)"), run=run))
    await posting(events)
    assert api.posted == ["stage ten (1/2)"] * 2


async def test_what_could_not_be_posted_is_posted_when_it_is_said_again() -> None:
    api = Slow()
    api.fails = True
    events = KubernetesEvents(api, "me")
    await emitted(events, "hello")
    await posting(events)
    api.fails = False
    await emitted(events, "hello")
    await posting(events)
    assert api.posted == ["hello"]
    assert events.dropped == 1


async def test_flush_gives_up_in_time() -> None:
    api = Slow()
    api.open.clear()
    events = KubernetesEvents(api, "me")
    await emitted(events, "hello")
    running = asyncio.create_task(events.run())
    async with asyncio.timeout(1):
        await events.flush(within=0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
