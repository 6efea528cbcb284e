"""GETs to a real server: what may be asked, what is read of it, and how it is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from sparkrelease.adapters.preflight import gets as module
from sparkrelease.adapters.preflight.gets import Gets
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import HttpAnswer, Unanswered
from unit.preflight.api import NAMESPACE, FakeApi
from unit.preflight.serving import serving


@dataclass
class Server:
    """A real HTTP server on the loopback interface."""

    port: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Host header and path of each request."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.headers["Host"], request.path_qs))
        if request.path == "/elsewhere":
            raise web.HTTPFound("http://169.254.169.254/")
        if request.path == "/large":
            return web.Response(body=b"x" * 5000)
        if request.path == "/slow":
            await asyncio.sleep(30)
        return web.json_response({"state": "ok"}, headers={"X-Build-SHA": "abc", "Set-Cookie": "a=b"})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serving(made.answer) as made.port:
        yield made


def gets(server: Server, api: FakeApi | None = None, **config: object) -> Gets:
    hosts = (f"127.0.0.1:{server.port}",)
    return Gets(api or FakeApi(), PreflightConfig.model_validate({"hosts": hosts, "maxBytes": 4096, **config}))


async def test_status_headers_and_body_are_read(server: Server) -> None:
    answer = await gets(server).get(NAMESPACE, f"http://127.0.0.1:{server.port}/a%20b?x=1")
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.body) == (200, b'{"state": "ok"}')
    assert ("X-Build-SHA", "abc") in answer.headers
    assert answer.seconds > 0


async def test_a_redirect_is_an_answer_and_is_not_followed(server: Server) -> None:
    answer = await gets(server).get(NAMESPACE, f"http://127.0.0.1:{server.port}/elsewhere")
    assert isinstance(answer, HttpAnswer)
    assert answer.status == 302
    assert len(server.seen) == 1


async def test_a_body_over_the_limit_is_no_answer(server: Server) -> None:
    answer = await gets(server).get(NAMESPACE, f"http://127.0.0.1:{server.port}/large")
    assert isinstance(answer, Unanswered)
    assert "more than 4096 bytes" in answer.message


async def test_a_host_that_is_not_allowed_is_never_asked(server: Server) -> None:
    answer = await gets(server, hosts=("status.example.com",)).get(NAMESPACE, f"http://127.0.0.1:{server.port}/")
    assert isinstance(answer, Unanswered)
    assert answer.verdict is Verdict.ERROR
    assert "neither a Service of namespace shop nor allowed" in answer.message
    assert server.seen == []


async def test_an_allowed_name_that_leads_to_this_machine_is_not_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(_: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        found = {"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}
        return [found]

    monkeypatch.setattr(module.ThreadedResolver, "resolve", resolve)
    host = f"status.example.com:{server.port}"
    answer = await gets(server, hosts=(host,)).get(NAMESPACE, f"http://{host}/")
    assert isinstance(answer, Unanswered)
    assert "loopback" in answer.message
    assert server.seen == []


async def test_a_proxy_of_the_environment_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    answer = await gets(server).get(NAMESPACE, f"http://127.0.0.1:{server.port}/")
    assert isinstance(answer, HttpAnswer)


async def test_a_port_nobody_listens_on_is_no_answer(server: Server) -> None:
    answer = await gets(server, hosts=("127.0.0.1:1",)).get(NAMESPACE, "http://127.0.0.1:1/")
    assert isinstance(answer, Unanswered)
    assert answer.verdict is Verdict.NO_DATA


async def test_who_cancels_it_does_not_wait_for_the_server(server: Server) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gets(server).get(NAMESPACE, f"http://127.0.0.1:{server.port}/slow"), 0.2)


# ---------------------------------------------------------------- Services


async def test_a_service_is_asked_through_a_ready_endpoint(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_forbidden", lambda _: False)
    api = FakeApi()
    api.service("web-canary", ("admin", 9), ("http", 8080))
    api.endpoint("web-canary", "127.0.0.2", 1, name="http", ready=False)
    api.endpoint("web-canary", "127.0.0.1", server.port, name="http")
    answer = await gets(server, api).get(NAMESPACE, "http://web-canary:8080/healthz")
    assert isinstance(answer, HttpAnswer)
    assert server.seen == [("web-canary:8080", "/healthz")]


async def test_an_endpoint_on_this_machine_is_never_asked(server: Server) -> None:
    api = FakeApi()
    api.service("web-canary", ("", 80))
    api.endpoint("web-canary", "127.0.0.1", server.port)
    answer = await gets(server, api).get(NAMESPACE, "http://web-canary/")
    assert isinstance(answer, Unanswered)
    assert answer.message == "Service web-canary has no ready endpoint"
    assert server.seen == []


@pytest.mark.parametrize(
    ("spec", "url", "says"),
    [
        (
            {"type": "ExternalName", "externalName": "169.254.169.254"},
            "http://web/",
            "another name of a host elsewhere",
        ),
        ({}, "http://web:81/", "has no port 81"),
        ({}, "http://other/", "Service other does not exist"),
    ],
)
async def test_a_service_that_is_none_of_ours_is_refused(
    server: Server, spec: dict[str, object], url: str, says: str
) -> None:
    api = FakeApi()
    api.service("web", ("", 80), **spec)
    answer = await gets(server, api).get(NAMESPACE, url)
    assert isinstance(answer, Unanswered)
    assert answer.verdict is Verdict.ERROR
    assert says in answer.message


async def test_a_right_that_is_missing_is_said(server: Server) -> None:
    api = FakeApi()
    api.refuse["GET", "services"] = Reason.FORBIDDEN
    answer = await gets(server, api).get(NAMESPACE, "http://web/")
    assert isinstance(answer, Unanswered)
    assert (answer.verdict, "403" in answer.message) == (Verdict.ERROR, True)
