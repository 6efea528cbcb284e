"""What watches showed is enough to answer, until one of a Service's slices changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sparkrelease.adapters.kubernetes.pods import MOST
from sparkrelease.adapters.kubernetes.workloads import ServiceWorkloads
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ContentType, Reply

PODS = "/api/v1/namespaces/ns/pods"


class Pods:
    """An API server that knows pods alone, and counts what it is asked."""

    def __init__(self) -> None:
        self.images = {"1": "app@sha256:one"}
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.failure: Problem | None = None
        self.being_asked, self.answering = asyncio.Event(), asyncio.Event()
        self.answering.set()

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
        self.asked.append(f"{path}?{(query or {}).get('labelSelector')}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.being_asked.set()
        await asyncio.sleep(0)
        await self.answering.wait()
        self.at_once -= 1
        if self.failure is not None:
            return Reply(0, {}, self.failure)
        if not path.endswith("/pods"):
            return Reply(404, {}, Problem(Reason.OBJECT_NOT_FOUND, "no such object"))
        items = [
            {"metadata": {"uid": uid}, "spec": {"containers": [{"image": image}]}} for uid, image in self.images.items()
        ]
        return Reply(200, {"items": items, "metadata": {}})


def service(name: str = "shop", selector: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": name}, "spec": {"selector": selector or {"app": name}}}


def piece(version: str, *uids: str, name: str = "shop-1", owner: str = "shop", ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "resourceVersion": version,
            "labels": {"kubernetes.io/service-name": owner},
        },
        "endpoints": [
            {"addresses": [uid], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "uid": uid}}
            for uid in uids
        ],
    }


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
def workloads(pods: Pods) -> ServiceWorkloads:
    cache = ServiceWorkloads(pods, concurrent_reads=2, pause=0.05)
    cache.see("Service", None, service())
    cache.see("EndpointSlice", None, piece("5", "1"))
    return cache


async def test_pods_are_read_once_per_change_of_a_slice(pods: Pods, workloads: ServiceWorkloads) -> None:
    first = await workloads.side("ns", "shop")
    assert await workloads.side("ns", "shop") is first
    assert pods.asked == [f"{PODS}?app=shop"]
    pods.images = {"2": "app@sha256:two"}
    workloads.see("EndpointSlice", "MODIFIED", piece("6", "2"))
    second = await workloads.side("ns", "shop")
    assert second.fingerprints != first.fingerprints
    assert len(pods.asked) == 2


async def test_an_older_version_from_a_list_does_not_undo_what_a_watch_showed(
    pods: Pods, workloads: ServiceWorkloads
) -> None:
    workloads.see("EndpointSlice", "MODIFIED", piece("10"))
    workloads.see("EndpointSlice", None, piece("9", "1"))
    assert (await workloads.side("ns", "shop")).ready == 0


async def test_another_selector_reads_pods_again(pods: Pods, workloads: ServiceWorkloads) -> None:
    await workloads.side("ns", "shop")
    workloads.see("Service", "MODIFIED", service(selector={"app": "shop", "track": "canary"}))
    await workloads.side("ns", "shop")
    assert pods.asked[-1] == f"{PODS}?app=shop,track=canary"


async def test_a_deleted_slice_takes_its_endpoints_with_it(pods: Pods, workloads: ServiceWorkloads) -> None:
    workloads.see("EndpointSlice", None, piece("7", "2", name="shop-2"))
    pods.images["2"] = "app@sha256:one"
    assert (await workloads.side("ns", "shop")).ready == 2
    workloads.see("EndpointSlice", "DELETED", piece("8", "2", name="shop-2"))
    assert (await workloads.side("ns", "shop")).ready == 1


async def test_a_slice_that_changes_its_service_is_counted_there(pods: Pods, workloads: ServiceWorkloads) -> None:
    workloads.see("Service", None, service("other"))
    workloads.see("EndpointSlice", "MODIFIED", piece("6", "1", owner="other"))
    assert (await workloads.side("ns", "shop")).ready == 0
    assert (await workloads.side("ns", "other")).ready == 1


async def test_a_deleted_service_is_asked_for_and_found_missing(pods: Pods, workloads: ServiceWorkloads) -> None:
    await workloads.side("ns", "shop")
    workloads.see("Service", "DELETED", service())
    assert not (await workloads.side("ns", "shop")).exists


async def test_a_failure_is_not_remembered(pods: Pods, workloads: ServiceWorkloads) -> None:
    pods.failure = Problem(Reason.API_SERVER_UNREACHABLE, "away")
    side = await workloads.side("ns", "shop")
    assert side.problem is pods.failure
    assert (side.exists, side.ready) == (True, 1)
    pods.failure = None
    assert (await workloads.side("ns", "shop")).rolled_out


async def test_an_endpoint_whose_pod_is_not_found_is_unknown_and_not_equal(
    pods: Pods, workloads: ServiceWorkloads
) -> None:
    workloads.see("EndpointSlice", "MODIFIED", piece("6", "1", "2"))
    side = await workloads.side("ns", "shop")
    assert side.problem is not None
    assert side.problem.reason is Reason.PODS_UNKNOWN
    assert not side.fingerprints


async def test_reads_are_bounded(pods: Pods, workloads: ServiceWorkloads) -> None:
    for number in range(20):
        show(workloads, f"s{number}", {f"label-{number}": "x"})
    await asyncio.gather(*(workloads.side("ns", f"s{number}") for number in range(20)))
    assert pods.most_at_once == 2
    assert len(pods.asked) == 20


async def test_services_that_are_looked_at_together_share_a_list(pods: Pods, workloads: ServiceWorkloads) -> None:
    for number in range(3):
        show(workloads, f"s{number}", {"app": f"a{number}", "track": "canary"})
    sides = await asyncio.gather(*(workloads.side("ns", f"s{number}") for number in range(3)))
    assert all(side.rolled_out for side in sides)
    assert pods.asked == [f"{PODS}?app in (a0,a1,a2),track=canary"]


async def test_a_look_during_a_list_waits_for_one_of_its_own(pods: Pods, workloads: ServiceWorkloads) -> None:
    pods.answering.clear()
    first = asyncio.create_task(workloads.side("ns", "shop"))
    await asyncio.wait_for(pods.being_asked.wait(), 5)
    pods.images = {"1": "app@sha256:two"}
    workloads.see("EndpointSlice", "MODIFIED", piece("6", "1"))
    second = asyncio.create_task(workloads.side("ns", "shop"))
    pods.answering.set()
    await asyncio.wait_for(asyncio.gather(first, second), 5)
    assert len(pods.asked) == 2


async def test_a_round_that_is_cut_short_leaves_the_list_to_the_others(pods: Pods, workloads: ServiceWorkloads) -> None:
    pods.answering.clear()
    show(workloads, "other", {"app": "other"})
    cut, waiting = (asyncio.create_task(workloads.side("ns", name)) for name in ("shop", "other"))
    await asyncio.wait_for(pods.being_asked.wait(), 5)
    cut.cancel()
    pods.answering.set()
    assert (await asyncio.wait_for(waiting, 5)).rolled_out
    assert len(pods.asked) == 1


async def test_no_list_asks_for_more_than_a_few_selectors(pods: Pods, workloads: ServiceWorkloads) -> None:
    names = [f"s{number}" for number in range(MOST + 1)]
    for name in names:
        show(workloads, name, {"app": name})
    await asyncio.gather(*(workloads.side("ns", name) for name in names))
    assert [asked.count(",") + 1 for asked in pods.asked] == [MOST, 1]


def show(workloads: ServiceWorkloads, name: str, selector: dict[str, str]) -> None:
    """A Service with one ready endpoint."""
    workloads.see("Service", None, service(name, selector))
    workloads.see("EndpointSlice", None, piece("1", "1", name=f"{name}-1", owner=name))


@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": {"namespace": "ns", "name": "x", "labels": 7}}])
@pytest.mark.parametrize("kind", ["Service", "EndpointSlice", "Pod"])
@pytest.mark.parametrize("event", [None, "ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
def test_a_strange_object_breaks_nothing(
    workloads: ServiceWorkloads, kind: str, event: str | None, body: dict[str, Any]
) -> None:
    workloads.see(kind, event, body)
