"""Kopf is a transport: it watches, and writes nothing."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from sparkrelease.adapters.kubernetes.credentials import Identity
from sparkrelease.engine.intake import GATEWAYS, KINDS
from sparkrelease.kopf_app import Watches, _NoMemories, _settings

if TYPE_CHECKING:
    from collections.abc import Mapping


async def nowhere(_: str) -> str:
    return ""


def watches(deliver=lambda *_: None, since=nowhere, **more) -> Watches:  # noqa: ANN001, ANN003 - a stand-in
    return Watches(Identity(), deliver, since, **more)


def test_every_kind_is_watched_by_an_event_handler_and_by_nothing_that_writes() -> None:
    registry = watches()._handlers()
    watched = {handler.id for handler in registry._watching.get_all_handlers()}
    assert watched == {*KINDS, *GATEWAYS}
    for writing in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(writing.get_all_handlers()) == []


def test_gateways_are_left_out_where_they_may_not_be_watched() -> None:
    registry = watches(gateways=False)._handlers()
    assert {handler.id for handler in registry._watching.get_all_handlers()} == set(KINDS)


def test_no_outage_ends_the_watches_and_nothing_is_posted_or_peered() -> None:
    settings = _settings()
    backoffs = settings.networking.error_backoffs
    for _ in range(2):
        pauses = list(itertools.islice(iter(backoffs), 500))  # type: ignore[arg-type]
        assert len(pauses) == 500
        assert max(pauses) <= 3
    assert settings.posting.enabled is False
    assert settings.peering.standalone is True
    assert settings.scanning.disabled is True
    assert settings.process.ultimate_exiting_timeout is None
    assert settings.watching.inactivity_timeout == 70


async def test_kopf_keeps_nothing_of_an_object_between_two_events() -> None:
    memories = _NoMemories()
    first = await memories.recall({"metadata": {"uid": "1"}}, memobase=(), noticed_by_listing=True)
    assert first.noticed_by_listing
    assert list(memories.iter_all_memories()) == []
    assert await memories.recall({"metadata": {"uid": "1"}}, memobase=()) is not first


def test_kopf_lists_nothing_of_its_own() -> None:
    assert _settings().watching.initial_streaming is True


async def asked_of_the_server(since, path: str, query: dict[str, str]) -> dict[str, str]:  # noqa: ANN001 - as `watches`
    """What the API server is asked when kopf sends this through its session."""
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.Response()

    there = watches(since=since)
    there._engine_loop = asyncio.get_running_loop()
    served = web.Application()
    served.router.add_get("/{rest:.*}", answer)
    async with (
        TestServer(served) as server,
        aiohttp.ClientSession(middlewares=(there._begin_watch,)) as session,
        session.get(server.make_url(path), params=query),
    ):
        pass
    (only,) = asked
    return only


ALL_FIRST = {"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"


async def test_a_watch_begins_at_the_version_of_the_engine_s_own_list_and_asks_for_nothing_listed_again() -> None:
    kinds: list[str] = []

    async def since(kind: str) -> str:
        kinds.append(kind)
        return "42"

    asked = await asked_of_the_server(since, ROUTES, ALL_FIRST)
    assert asked == {"watch": "true", "resourceVersion": "42"}
    assert kinds == ["HTTPRoute"]


async def test_the_watch_of_a_kind_nobody_lists_begins_with_all_there_is_on_every_version_of_the_server() -> None:
    asked = await asked_of_the_server(nowhere, "/apis/gateway.networking.k8s.io/v1/gateways", ALL_FIRST)
    assert asked == {"watch": "true"}


async def test_a_watch_that_goes_on_is_sent_as_it_is() -> None:
    async def since(kind: str) -> str:
        raise AssertionError(kind)

    going_on = {"watch": "true", "resourceVersion": "7"}
    assert await asked_of_the_server(since, ROUTES, going_on) == going_on
    assert await asked_of_the_server(since, "/apis", {}) == {}


async def test_what_a_watch_shows_is_news_from_its_first_event_on() -> None:
    seen: list[tuple[str, str | None, Mapping[str, object]]] = []
    there = watches(lambda *what: seen.append(what))
    there._engine_loop = asyncio.get_running_loop()
    await there._handler("HTTPRoute")(event={"type": None, "object": {"a": 1}})
    await asyncio.sleep(0)
    assert [(kind, event) for kind, event, _ in seen] == [("HTTPRoute", "ADDED")]


async def test_what_is_seen_arrives_in_the_engine_s_loop_in_order() -> None:
    seen: list[tuple[str, str | None, Mapping[str, object]]] = []
    there = watches(lambda *what: seen.append(what))
    there._engine_loop = asyncio.get_running_loop()
    await asyncio.to_thread(there._hand_over, "SparkRelease", None, {"a": 1})
    await asyncio.to_thread(there._hand_over, "SparkRelease", "DELETED", {"a": 1})
    await asyncio.sleep(0)
    assert [(kind, event) for kind, event, _ in seen] == [("SparkRelease", None), ("SparkRelease", "DELETED")]


async def test_what_is_seen_after_the_loop_ended_is_dropped() -> None:
    there = watches()
    loop = asyncio.new_event_loop()
    loop.close()
    there._engine_loop = loop
    there._hand_over("SparkRelease", None, {})
