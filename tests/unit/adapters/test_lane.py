"""A lane against a server that does what a real API server cannot be made to do on purpose."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from sparkrelease.adapters.kubernetes.client import ApiClients, Identity, open_clients
from sparkrelease.adapters.kubernetes.events import KubernetesEvents
from sparkrelease.adapters.kubernetes.workloads import ServiceWorkloads
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.plan import EventDraft
from sparkrelease.ports.api_server import ContentType
from sparkrelease.ports.cluster import ObjectKey

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: test, user: {{tokenFile: token}}}}]
"""


class Server:
    """A web server on loopback whose behaviour a test sets, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[str] = []
        self.handler: Handler = self.fine
        self.port = 0

    async def fine(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "ConfigMap", "metadata": {"name": "x"}})

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((time.monotonic(), request.method, request.path_qs))
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.text())
        return await self.handler(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.port = runner.addresses[0][1]
    yield served
    await runner.cleanup()


@pytest.fixture
async def clients(server: Server, tmp_path: Path) -> AsyncIterator[ApiClients]:
    kubeconfig = tmp_path / "kubeconfig"
    (tmp_path / "token").write_text("first\n")
    kubeconfig.write_text(KUBECONFIG.format(port=server.port))
    config = OperatorConfig(api_timeout=timedelta(seconds=2), rollback_timeout=timedelta(seconds=1))
    opened = await open_clients(config, Identity(kubeconfig=kubeconfig, process="operator-0_1"))
    yield opened
    await opened.close()


async def test_a_patch_says_what_kind_of_patch_it_is(server: Server, clients: ApiClients) -> None:
    reply = await clients.normal.request(
        "PATCH", "/x", query={"fieldManager": "sparkrelease"}, body=[{"op": "test"}], content=ContentType.JSON_PATCH
    )
    assert reply.ok
    assert reply.body["kind"] == "ConfigMap"
    assert server.asked[0][1:] == ("PATCH", "/x?fieldManager=sparkrelease")
    assert server.headers[0]["Content-Type"] == "application/json-patch+json"
    agent = server.headers[0]["User-Agent"]
    assert agent.startswith("sparkrelease/")
    assert agent.endswith(" (operator-0_1)"), "an audit log tells which of two replicas it was"
    assert server.bodies == ['[{"op": "test"}]']


async def test_a_rotated_token_is_used_without_a_restart(
    server: Server, clients: ApiClients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparkrelease.adapters.kubernetes.credentials.TOKEN_CHECK", 0.0)
    await clients.normal.request("GET", "/x")
    (tmp_path / "new").write_text("second\n")
    (tmp_path / "new").rename(tmp_path / "token")
    await clients.normal.request("GET", "/x")
    (tmp_path / "token").unlink()
    await clients.normal.request("GET", "/x")
    assert [headers["Authorization"] for headers in server.headers] == [
        "Bearer first",
        "Bearer second",
        "Bearer second",
    ]


async def test_a_server_that_hangs_costs_no_more_than_the_limit(server: Server, clients: ApiClients) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    server.handler = hang
    began = time.monotonic()
    reply = await clients.normal.request("GET", "/x", within=0.3)
    assert 0.3 <= time.monotonic() - began < 1.5
    assert not reply.answered
    assert reply.problem is not None
    assert reply.problem.reason is Reason.API_SERVER_UNREACHABLE


async def test_a_body_that_never_ends_costs_no_more_than_the_limit(server: Server, clients: ApiClients) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    server.handler = drip
    reply = await clients.normal.request("GET", "/x", within=0.4)
    assert not reply.answered


async def test_a_connection_cut_in_the_middle_of_a_write_is_an_unknown_outcome(
    server: Server, clients: ApiClients
) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.handler = cut
    reply = await clients.normal.request("PATCH", "/x", body=[])
    assert reply.status == 0
    assert reply.problem is not None
    assert reply.problem.reason is Reason.API_SERVER_UNREACHABLE
    assert len(server.asked) == 1, "a write is never sent twice"


async def test_ordinary_requests_that_hang_do_not_hold_up_a_rollback(server: Server, clients: ApiClients) -> None:
    hanging = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        if request.path != "/rollback":
            hanging.set()
            await asyncio.Event().wait()
        return web.json_response({"kind": "HTTPRoute"})

    server.handler = hang
    waiting = [asyncio.create_task(clients.normal.request("GET", f"/slow/{number}")) for number in range(200)]
    await asyncio.wait_for(hanging.wait(), 30)
    reply = await clients.rollback.request("PATCH", "/rollback", body=[])
    assert reply.ok
    assert not any(task.done() for task in waiting), "it was answered while every other request still hung"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.slow
async def test_a_busy_server_is_left_alone_by_every_lane_and_the_rollback_goes_first(
    server: Server, clients: ApiClients
) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        server.handler = server.fine
        return web.json_response({"kind": "Status"}, status=429, headers={"Retry-After": "1"})

    server.handler = busy
    first = await clients.normal.request("GET", "/first")
    assert first.status == 429
    assert first.retry_after == 1
    told = time.monotonic()
    ordinary = [asyncio.create_task(clients.normal.request("GET", f"/ordinary/{n}")) for n in range(3)]
    urgent = asyncio.create_task(clients.rollback.request("PATCH", "/rollback", body=[], within=3))
    assert all(reply.ok for reply in await asyncio.gather(urgent, *ordinary))
    later = server.asked[1:]
    assert later[0][2] == "/rollback"
    assert all(at - told >= 0.9 for at, _, _ in later)


async def test_what_could_not_be_sent_during_a_pause_says_so(server: Server, clients: ApiClients) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status"}, status=429, headers={"Retry-After": "30"})

    server.handler = busy
    await clients.normal.request("GET", "/first")
    reply = await clients.normal.request("GET", "/second", within=0.2)
    assert reply.problem is not None
    assert reply.problem.reason is Reason.API_SERVER_BUSY
    assert len(server.asked) == 1


async def test_proxy_variables_of_the_environment_lead_no_request_astray(
    server: Server, clients: ApiClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await clients.normal.request("GET", "/x")).ok


@pytest.mark.slow
async def test_the_librarys_own_client_keeps_the_pauses_too(server: Server, clients: ApiClients) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        server.handler = server.fine
        return web.json_response({"kind": "Status"}, status=429, headers={"Retry-After": "1"})

    server.handler = busy
    await clients.rollback.client.rest_client.request("GET", f"http://127.0.0.1:{server.port}/a", _request_timeout=5)
    await clients.rollback.client.rest_client.request("GET", f"http://127.0.0.1:{server.port}/b", _request_timeout=5)
    assert server.asked[1][0] - server.asked[0][0] >= 0.9


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[ApiClients]:
    """Lanes to a port of this machine where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (tmp_path / "token").write_text("first\n")
        kubeconfig = tmp_path / "away"
        kubeconfig.write_text(KUBECONFIG.format(port=closed.getsockname()[1]))
        opened = await open_clients(OperatorConfig(), Identity(kubeconfig=kubeconfig))
        yield opened
        await opened.close()


async def test_an_api_server_that_is_away_is_a_problem_and_not_an_empty_side(away: ApiClients) -> None:
    side = await ServiceWorkloads(away.normal).side("ns", "shop")
    assert side.problem is not None
    assert side.problem.reason is Reason.API_SERVER_UNREACHABLE


async def test_events_about_a_cluster_that_is_away_neither_raise_nor_block(away: ApiClients) -> None:
    events = KubernetesEvents(away.normal, "me")
    running = asyncio.create_task(events.run())
    async with asyncio.timeout(5):
        for number in range(2000):
            await events.emit(ObjectKey("ns", f"shop-{number}"), f"uid-{number}", EventDraft(Reason.ROLLED_BACK, "bad"))
    await events.flush(within=60)  # its time is that of two thousand refused connections, which is the machine's
    assert events.dropped == 2000
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
