"""What is behind $canary, asked by hand through the API server's Service proxy: judged as the operator judges it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client

from fakes.prometheus_server import MisbehavingServer
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.byhand import From
from sparkrelease.cli.cluster import Cluster
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import read_manifest
from sparkrelease.cli.preflight import try_preflight
from sparkrelease.cli.proxied import Fetched
from sparkrelease.cli.tried import Result, Tried
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import Reply
from unit.cli.test_planning import manifest

PROXY = "/api/v1/namespaces/shop/services/http:shop-canary:80/proxy"
ITEM: dict[str, object] = {"name": "api", "http": "http://$canary/healthz"}


def cluster_at(url: str) -> Cluster:
    """The real door, to whatever stands there for an API server."""
    configuration = client.Configuration()
    configuration.host = url
    configuration.retries = 1
    return Cluster(client.ApiClient(configuration), "shop")


class Behind:
    """A cluster that has nothing but what answers behind the proxy, asked by the real door."""

    def __init__(self, url: str, services: tuple[str, ...] = ()) -> None:
        self._door = cluster_at(url)
        self._services = services

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        if path.endswith(tuple(f"/services/{name}" for name in self._services)):
            return Reply(200, {"kind": "Service"})
        return Reply(404, {}, Problem(Reason.OBJECT_NOT_FOUND, "not found"))

    def fetch(self, path: str, *, most: int, within: float) -> Fetched:
        return self._door.fetch(path, most=most, within=within)


def tried(tmp_path: Path, server: MisbehavingServer, services: tuple[str, ...] = (), **item: object) -> Tried:
    """The line of one item, with this server as API server."""
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(preflight=[ITEM | item])))
    target = read_manifest([file], []).placed("shop")
    config = OperatorConfig.model_validate({"preflight": {"maxBytes": 4096}})
    here = From(cast("Cluster", Behind(server.url, services)), config, ask=False, configured=False)
    return next(line for line in try_preflight(target, here) if line.name == "api")


def status(code: int, message: str, reason: str = "", kind: str = "services") -> bytes:
    """How the API server refuses."""
    told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return json.dumps(told | {"reason": reason, "details": {"kind": kind}, "code": code}).encode()


def asked(server: MisbehavingServer) -> list[str]:
    """Paths that were asked."""
    return [path for _, path, _, _ in server.requests]


def test_status_header_and_field_are_judged_as_the_operator_judges_them(tmp_path: Path) -> None:
    expect = ["status == 200", "X-Build-SHA == v2", ".state == ok"]
    with MisbehavingServer(b'{"state": "ok"}', headers={"X-Build-SHA": "v2"}).serving() as server:
        line = tried(tmp_path, server, http="http://$canary/healthz?deep=1", expect=expect)
        assert (line.result, line.message.startswith("200 in ")) == (Result.PASS, True), line
        assert asked(server) == [f"{PROXY}/healthz?deep=1"]
        line = tried(tmp_path, server, expect=["X-Build-SHA == v3", ".state == bad"])
        assert line.result is Result.FAIL
        assert "X-Build-SHA: v2, expected X-Build-SHA == v3; .state is ok, expected .state == bad" in line.message


@pytest.mark.parametrize("code", [403, 404, 500, 503])
def test_a_refusal_of_the_service_itself_is_a_failure(tmp_path: Path, code: int) -> None:
    with MisbehavingServer(b'{"kind": "Failure"}', status=code, headers={"Retry-After": "0"}).serving() as server:
        line = tried(tmp_path, server)
        assert (line.result, line.message) == (Result.FAIL, f"status {code}, expected 200")
        assert len(asked(server)) == 1, "what preflight asks, it asks once"


def test_a_redirect_is_an_answer_and_is_not_followed(tmp_path: Path) -> None:
    with MisbehavingServer(b"", status=301, headers={"Location": "/secrets"}).serving() as server:
        assert tried(tmp_path, server, expect=["status == 301"]).result is Result.PASS
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "body", "result", "words"),
    [
        (
            403,
            status(403, 'cannot get resource "services/proxy"', "Forbidden"),
            Result.SKIP,
            "right to get services/proxy",
        ),
        (401, status(401, "Unauthorized", "Unauthorized"), Result.SKIP, "did not ask Service shop-canary: 401"),
        (404, status(404, 'services "shop-canary" not found'), Result.FAIL, "Service shop-canary does not exist"),
        (503, status(503, 'no endpoints available for service "x"'), Result.FAIL, "has no ready endpoint"),
        (503, status(503, 'no service port 80 found for service "x"'), Result.FAIL, "has no port 80"),
        (503, status(503, "error trying to reach service: dial tcp: timeout"), Result.SKIP, "has no connection"),
        (503, status(503, "error trying to reach service: EOF"), Result.FAIL, "no answer: error trying to reach"),
        (429, status(429, "Too many requests"), Result.SKIP, "did not ask Service shop-canary: 429"),
        (503, status(403, "of another code"), Result.FAIL, "status 503, expected 200"),
        (200, status(200, "a document like any other"), Result.PASS, "200 in"),
    ],
)
def test_an_answer_of_the_api_server_is_not_taken_for_one_of_the_service(
    tmp_path: Path, *, code: int, body: bytes, result: Result, words: str
) -> None:
    with MisbehavingServer(body, status=code).serving() as server:
        line = tried(tmp_path, server)
    assert line.result is result
    assert words in line.message


def test_a_service_without_endpoints_is_skipped_though_the_proxy_says_that_there_is_no_service(tmp_path: Path) -> None:
    with MisbehavingServer(status(404, 'services "shop-canary" not found'), status=404).serving() as server:
        line = tried(tmp_path, server, services=("shop-canary",))
    assert (line.result, "has no Endpoints to go to" in line.message) == (Result.SKIP, True), line


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"expect": ["status == 200", "Cache-Control"]}, "header Cache-Control may be the API server's own"),
        ({"expect": ["strict-transport-security has max-age"]}, "header strict-transport-security"),
        ({"http": "https://$canary/healthz"}, "checks no certificate"),
        ({"http": "http://$canary/../../../../secrets/token"}, "rewrites the path"),
        ({"http": "http://$canary/%2e%2e/%2E%2e/secrets"}, "rewrites the path"),
        ({"http": "http://$canary/a%2Fb"}, "rewrites the path"),
        ({"http": "http://$canary//a"}, "rewrites the path"),
    ],
)
def test_what_the_proxy_would_change_is_skipped_and_not_asked(
    tmp_path: Path, item: dict[str, object], words: str
) -> None:
    headers = {"Cache-Control": "no-cache, private", "Strict-Transport-Security": "max-age=1"}
    with MisbehavingServer(b"{}", headers=headers).serving() as server:
        line = tried(tmp_path, server, **item)
        assert (line.result, words in line.message) == (Result.SKIP, True), line
        assert server.requests == []


@pytest.mark.slow
def test_a_body_over_the_limit_and_an_answer_that_comes_too_late_are_failures(tmp_path: Path) -> None:
    with MisbehavingServer(b"x" * 5000).serving() as server:
        assert tried(tmp_path, server).message == "the body has more than 4096 bytes"
    with MisbehavingServer(b"x" * 4000, drip=0.05).serving() as server:
        line = tried(tmp_path, server, timeout="300ms")
        assert (line.result, line.message) == (Result.FAIL, "not done within 300ms")


def test_without_an_api_server_it_is_skipped_with_the_reason(tmp_path: Path) -> None:
    with MisbehavingServer().serving() as server:
        gone = MisbehavingServer(url=server.url)
    line = tried(tmp_path, gone)
    assert (line.result, f"cannot reach {urlsplit(gone.url).scheme}://" in line.message) == (Result.SKIP, True), line


def test_the_door_says_who_it_is_and_asks_for_the_body_as_it_is() -> None:
    with MisbehavingServer(b"plain").serving() as server:
        fetched = cluster_at(server.url).fetch("/x", most=10, within=5)
        assert (fetched.status, fetched.body) == (200, b"plain")
        (_, _, headers, _) = server.requests[0]
        assert headers["User-Agent"].startswith("kubectl-sparkrelease/")
        assert (headers["Accept"], headers["Accept-Encoding"]) == ("*/*", "identity")
    with MisbehavingServer(b"x" * 9, drip=0.05).serving() as server, pytest.raises(CliError, match="took too long"):
        cluster_at(server.url).fetch("/x", most=10, within=0.1)
    with pytest.raises(CliError) as gone:
        cluster_at(server.url).fetch("/x", most=10, within=5)
    assert gone.value.code is ExitCode.UNREACHABLE
