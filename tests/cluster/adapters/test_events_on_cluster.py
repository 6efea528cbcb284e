"""Events people see with kubectl, each said once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.kubernetes.client import ApiClients
from sparkrelease.adapters.kubernetes.events import WINDOW, KubernetesEvents
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.ports.cluster import ObjectKey
from testbed.kubeapi import KubeObject

if TYPE_CHECKING:
    from testbed.cluster import Cluster

ROLLED_BACK = EventDraft(Reason.ROLLED_BACK, "http-5xx: canary 52 % over 3 %; evidence sha256:abcd", Severity.WARNING)


class Later:
    """A monotonic clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock() -> Later:
    return Later()


@pytest.fixture
async def events(clients: ApiClients, clock: Later) -> AsyncIterator[KubernetesEvents]:
    recorder = KubernetesEvents(clients.normal, "operator-0_test", monotonic=clock)
    running = asyncio.create_task(recorder.run())
    yield recorder
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def posted(cluster: Cluster, ns: str) -> list[KubeObject]:
    return [event for event in cluster.list("v1", "Event", ns) if event["involvedObject"]["kind"] == "SparkRelease"]


async def test_describe_shows_the_event(
    cluster: Cluster, ns: str, release: Callable[[str], KubeObject], events: KubernetesEvents
) -> None:
    body = release("shop")
    await events.emit(ObjectKey(ns, "shop"), body["metadata"]["uid"], ROLLED_BACK)
    await events.flush()
    described = await asyncio.to_thread(cluster.kubectl, "describe", "sr", "shop", "-n", ns)
    line = next(line for line in described.stdout.splitlines() if "RolledBack" in line)
    assert line.split()[0] == "Warning"
    assert "http-5xx: canary 52 % over 3 %" in line


async def test_the_same_words_are_posted_once_and_then_counted(
    cluster: Cluster, ns: str, events: KubernetesEvents, clock: Later
) -> None:
    key = ObjectKey(ns, "shop")
    for _ in range(3):
        await events.emit(key, "uid-1", ROLLED_BACK)
    await events.emit(key, "uid-1", EventDraft(Reason.ROLLED_BACK, "other words"))
    await events.flush()
    assert sorted(event["message"] for event in posted(cluster, ns)) == [ROLLED_BACK.message, "other words"]
    clock.ahead = WINDOW + 1
    await events.emit(key, "uid-1", ROLLED_BACK)
    await events.flush()
    counts = {event["message"]: event["count"] for event in posted(cluster, ns)}
    assert counts == {ROLLED_BACK.message: 4, "other words": 1}


async def test_an_event_the_cluster_forgot_is_posted_anew(
    cluster: Cluster, ns: str, events: KubernetesEvents, clock: Later
) -> None:
    key = ObjectKey(ns, "shop")
    await events.emit(key, "uid-1", ROLLED_BACK)
    await events.flush()
    cluster.delete("v1", "Event", posted(cluster, ns)[0]["metadata"]["name"], ns)
    clock.ahead = WINDOW + 1
    await events.emit(key, "uid-1", ROLLED_BACK)
    await events.flush()
    assert [event["count"] for event in posted(cluster, ns)] == [1]


async def test_a_very_long_message_is_cut_and_still_posted(cluster: Cluster, ns: str, events: KubernetesEvents) -> None:
    await events.emit(ObjectKey(ns, "shop"), "uid-1", EventDraft(Reason.ROLLED_BACK, "word " * 1000))
    await events.flush()
    assert posted(cluster, ns)[0]["message"].endswith("…")
    assert events.dropped == 0
