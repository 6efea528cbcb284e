"""Watches of one object: what is shown, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sparkrelease.adapters.kubernetes.client import Lane
from sparkrelease.adapters.kubernetes.credentials import Login
from sparkrelease.adapters.kubernetes.named import NamedObjects
from sparkrelease.adapters.kubernetes.throttle import Throttle

Body = dict[str, Any]
OBJECT: Body = {"metadata": {"namespace": "shop", "name": "flags", "resourceVersion": "7"}, "data": {"A": "0"}}


def event(kind: str, value: str, version: str) -> bytes:
    body = {"metadata": {"namespace": "shop", "name": "flags", "resourceVersion": version}, "data": {"A": value}}
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


class Server:
    """One ConfigMap, and the pieces that a watch of it is answered with."""

    def __init__(self) -> None:
        self.there = True
        self.pieces: list[bytes] = []
        self.status = 200
        self.asked: list[Mapping[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            status = {"kind": "Status", "reason": "NotFound", "message": "no"}
            return web.json_response(OBJECT) if self.there else web.json_response(status, status=404)
        self.asked.append(dict(request.query))
        if self.status != 200:
            return web.json_response({"kind": "Status", "reason": "Forbidden", "message": "no watch"}, status=403)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for piece in self.pieces:
            await answer.write(piece)
            await asyncio.sleep(0)
        return answer


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, NamedObjects]]:
    made, app = Server(), web.Application()
    app.router.add_get("/api/v1/namespaces/shop/configmaps", made.handle)
    app.router.add_get("/api/v1/namespaces/shop/configmaps/flags", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    login = Login(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    lane = Lane(login, Throttle(), connections=4, limit=5, urgent=False)
    yield made, NamedObjects(lane, lane)
    await lane.close()
    await runner.cleanup()


async def follow(watch: NamedObjects) -> tuple[list[tuple[str, Any]], str]:
    shown: list[tuple[str, Any]] = []
    problem = await watch.follow(
        "ConfigMap", "shop", "flags", lambda _, event, body: shown.append((event, body.get("data")))
    )
    return shown, problem.message if problem is not None else ""


async def test_it_is_shown_as_it_is_and_then_each_change_from_there(server: tuple[Server, NamedObjects]) -> None:
    made, watch = server
    line = event("MODIFIED", "0.1", "8")
    made.pieces = [line[:20], line[20:] + event("BOOKMARK", "0.1", "9"), event("DELETED", "0.1", "10")]
    shown, problem = await follow(watch)
    assert shown == [("MODIFIED", {"A": "0"}), ("MODIFIED", {"A": "0.1"}), ("DELETED", {"A": "0.1"})]
    assert problem == ""
    assert made.asked[0]["resourceVersion"] == "7"
    assert made.asked[0]["fieldSelector"] == "metadata.name=flags"


async def test_one_that_is_not_there_is_gone_until_it_comes(server: tuple[Server, NamedObjects]) -> None:
    made, watch = server
    made.there, made.pieces = False, [event("ADDED", "0", "3")]
    shown, _ = await follow(watch)
    assert shown == [("DELETED", None), ("MODIFIED", {"A": "0"})]
    assert "resourceVersion" not in made.asked[0]


async def test_a_version_too_old_ends_the_watch_without_a_word(server: tuple[Server, NamedObjects]) -> None:
    made, watch = server
    made.pieces = [b'{"type":"ERROR","object":{"code":410}}\n', event("MODIFIED", "1.0", "9")]
    assert await follow(watch) == ([("MODIFIED", {"A": "0"})], "")


async def test_where_it_may_not_be_watched_it_is_read_and_the_reason_told(server: tuple[Server, NamedObjects]) -> None:
    made, watch = server
    made.status = 403
    shown, problem = await follow(watch)
    assert shown == [("MODIFIED", {"A": "0"})]
    assert "no watch" in problem


async def test_a_large_object_comes_in_one_line_however_it_is_cut(server: tuple[Server, NamedObjects]) -> None:
    made, watch = server
    line = event("MODIFIED", "x" * 900_000, "8")
    made.pieces = [line[start : start + 65_536] for start in range(0, len(line), 65_536)]
    shown, problem = await follow(watch)
    assert problem == ""
    assert len(shown[-1][1]["A"]) == 900_000
