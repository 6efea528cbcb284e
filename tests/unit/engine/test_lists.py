"""Full lists: the first look, missing APIs, ghosts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fakes.cluster import FakeObjects
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.engine.intake import KINDS
from sparkrelease.engine.resync import MISSING_RETRY, RETRY, Resync

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Take = Callable[[Sequence[Mapping[str, object]]], None]


class Lists(FakeObjects):
    """Lists that answer what the test says."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.cluster)
        self.problems: dict[str, Problem] = {}

    async def list_objects(self, kind: str, take: Take) -> Problem | str:
        return self.problems.get(kind) or await super().list_objects(kind, take)


def resync(rig: Rig, lists: Lists, appeared: list[str]) -> Resync:
    return Resync(lists, rig.engine.intake, 300.0, missing=rig.engine.store.missing, api_appeared=appeared.append)


async def test_ready_only_when_every_kind_was_listed_or_is_known_to_be_missing() -> None:
    rig = Rig()
    lists = Lists(rig)
    lists.problems["Service"] = Problem(Reason.API_SERVER_ERROR, "503")
    lists.problems["GRPCRoute"] = Problem(Reason.ROUTE_API_MISSING, "not served")
    lister = resync(rig, lists, [])
    for kind in KINDS:
        await lister._once(kind)
    assert not lister.done
    lists.problems.pop("Service")
    await lister._once("Service")
    assert lister.done
    assert rig.engine.store.missing == {"GRPCRoute"}


async def test_a_release_on_an_api_that_is_missing_says_so_and_others_are_served() -> None:
    rig = Rig()
    rig.release("web")
    lists, appeared = Lists(rig), []
    lists.problems["GRPCRoute"] = Problem(Reason.ROUTE_API_MISSING, "not served")
    lister = resync(rig, lists, appeared)
    await lister._once("GRPCRoute")
    rig.cluster.roll_out(NAMESPACE, "grpc-stable", "fp1")
    rig.cluster.roll_out(NAMESPACE, "grpc-canary", "fp2")
    body = spec("grpc")
    body["traffic"]["gatewayAPI"]["route"]["kind"] = "GRPCRoute"
    key = rig.cluster.create(NAMESPACE, "grpc", body)
    await rig.start()
    await rig.until(lambda: rig.route("web").weight == 50)
    ready = find(rig.status(key).conditions, ConditionType.READY)
    assert ready is not None
    assert ready.reason == "RouteAPIMissing"
    lists.problems.clear()
    await lister._once("GRPCRoute")
    assert appeared == ["GRPCRoute"]
    assert rig.engine.store.missing == set()


async def test_a_watch_begins_at_the_list_made_just_now_and_an_older_one_is_made_anew_first() -> None:
    rig = Rig()
    lister = resync(rig, Lists(rig), [])
    began = str(rig.cluster.version)
    await lister._once("SparkRelease")
    assert await lister.since("SparkRelease") == began
    assert not lister._asked["SparkRelease"].is_set()
    listed_at, version = lister._listed["SparkRelease"]
    lister._listed["SparkRelease"] = (listed_at - 60, version)
    rig.release("new")
    waiting = asyncio.create_task(lister.since("SparkRelease"))
    await asyncio.sleep(0)
    assert lister._asked["SparkRelease"].is_set()
    assert not waiting.done()
    later = str(rig.cluster.version)
    await lister._once("SparkRelease")
    assert await waiting == later != began
    assert not lister._asked["SparkRelease"].is_set()
    assert [release.key.name for release in rig.engine.store] == ["new"]


async def test_a_watch_waits_for_the_list_that_fails_which_is_tried_again_soon() -> None:
    rig = Rig()
    lists = Lists(rig)
    lister = resync(rig, lists, [])
    await lister._once("SparkRelease")
    lister._listed.clear()
    lists.problems["SparkRelease"] = Problem(Reason.API_SERVER_ERROR, "503")
    assert await lister._once("SparkRelease") == MISSING_RETRY
    waiting = asyncio.create_task(lister.since("SparkRelease"))
    await asyncio.sleep(0)
    assert await lister._once("SparkRelease") == RETRY
    assert not waiting.done()
    lists.problems.clear()
    await lister._once("SparkRelease")
    assert await waiting == str(rig.cluster.version)


async def test_the_watch_of_a_kind_that_is_never_listed_begins_with_what_there_is() -> None:
    rig = Rig()
    assert await resync(rig, Lists(rig), []).since("GatewayClass") == ""


async def test_what_a_watch_shows_while_a_list_is_under_way_is_newer_than_the_list() -> None:
    rig = Rig()
    old = rig.release("old")
    await rig.start()
    lists = Lists(rig)
    before: list[Mapping[str, object]] = []
    await lists.list_objects("SparkRelease", before.extend)

    async def slow(kind: str, take: Take) -> Problem | str:
        new = rig.release("new")
        rig.cluster.delete(old)
        body = rig.cluster.releases.pop(old)
        rig.cluster.watch.append(("SparkRelease", "DELETED", body))
        for shown, event, seen in rig.cluster.watch:
            rig.engine.intake.see(shown, event, seen)
        rig.cluster.watch.clear()
        assert rig.engine.store.get(new) is not None
        take(before)
        return "1"

    lists.list_objects = slow  # type: ignore[method-assign]
    await resync(rig, lists, [])._once("SparkRelease")
    assert [release.key.name for release in rig.engine.store] == ["new"]


async def test_what_vanished_before_the_list_is_found_although_other_objects_are_shown_meanwhile() -> None:
    rig = Rig()
    rig.release("gone")
    stays = rig.release("stays")
    await rig.start()
    lists = Lists(rig)
    listed = [rig.cluster.releases[stays]]

    async def slow(kind: str, take: Take) -> Problem | str:
        rig.engine.intake.see("SparkRelease", None, rig.cluster.releases[stays])
        take(listed)
        return "1"

    lists.list_objects = slow  # type: ignore[method-assign]
    await resync(rig, lists, [])._once("SparkRelease")
    assert [release.key.name for release in rig.engine.store] == ["stays"]


async def test_watches_look_anew_once_the_operator_s_own_kinds_are_served() -> None:
    rig = Rig()
    lists, appeared = Lists(rig), []
    lists.problems["SparkRelease"] = Problem(Reason.ROUTE_API_MISSING, "the cluster does not serve SparkRelease")
    lister = resync(rig, lists, appeared)
    assert await lister._once("SparkRelease") < 5
    assert (lister.done, appeared) == (False, [])
    lists.problems.clear()
    await lister._once("SparkRelease")
    await lister._once("SparkRelease")
    assert appeared == ["SparkRelease"]
