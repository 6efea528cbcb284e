"""The route by hand: what the operator's own checks say of it, with a person's reads and without any write."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.byhand import From
from sparkrelease.cli.cluster import Cluster
from sparkrelease.cli.manifests import read_manifest
from sparkrelease.cli.routed import weights
from sparkrelease.cli.tried import Result, Tried
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import Reply
from unit.cli.test_planning import manifest

ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"
PARENT = {"name": "gateway", "namespace": "infra"}


def route(name: str = "shop", *, canary: str = "shop-canary", weight: int = 0, **meta: object) -> dict[str, Any]:
    """A route to both Services, made on some day."""
    refs = [{"name": "shop-stable", "port": 80, "weight": 100 - weight}, {"name": canary, "port": 80, "weight": weight}]
    rules = [{"name": "main", "matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": refs}]
    created = {"uid": name, "resourceVersion": "5", "generation": 1, "creationTimestamp": "2026-11-02T00:00:00Z"}
    spec = {"parentRefs": [PARENT], "hostnames": ["shop.example"], "rules": rules}
    return {"metadata": {"name": name, "namespace": "shop", **created, **meta}, "spec": spec}


class Routes:
    """A cluster with these routes, both Services with port 80, and nothing else; lists are there for whom they may."""

    def __init__(self, *routes: dict[str, Any], everywhere: bool = True, readable: bool = True) -> None:
        self._routes = {f"{ROUTES}/{one['metadata']['name']}": one for one in routes}
        self._everywhere = everywhere
        self._readable = readable

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        del query
        forbidden = Reply(403, {}, Problem(Reason.FORBIDDEN, "httproutes is forbidden"))
        if path.endswith("/v1/httproutes") or path == ROUTES:
            may = path == ROUTES or self._everywhere
            return (
                Reply(200, {"metadata": {"resourceVersion": "9"}, "items": list(self._routes.values())})
                if may
                else forbidden
            )
        if path.startswith(ROUTES) and not self._readable:
            return forbidden
        if path in self._routes:
            return Reply(200, self._routes[path])
        if path.endswith(("/services/shop-stable", "/services/shop-canary")):
            return Reply(200, {"spec": {"ports": [{"port": 80}]}})
        return Reply(404, {"kind": "Status", "reason": "NotFound"}, Problem(Reason.OBJECT_NOT_FOUND, "not found"))


def looked(tmp_path: Path, cluster: Routes | str, **traffic: object) -> list[Tried]:
    body = manifest(preflight=[])
    body["spec"]["traffic"]["gatewayAPI"] = {"route": {"name": "shop", "rule": "main"}}
    body["spec"]["traffic"] |= traffic
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(body))
    here = From(cast("Cluster", cluster), OperatorConfig(), ask=False, configured=False)
    return asyncio.run(weights(read_manifest([file], []).placed("shop"), here))


def test_a_route_that_can_take_a_weight_passes_and_the_write_stays_the_operators(tmp_path: Path) -> None:
    (line,) = looked(tmp_path, Routes(route()))
    assert (line.name, line.result) == ("route shop", Result.PASS)
    assert "the operator tries a write of it (dry run)" in line.message


OLDER = {"creationTimestamp": "2026-11-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("routes", "name", "words"),
    [
        ([], "route shop", "HTTPRoute shop/shop does not exist"),
        ([route(canary="other")], "route/rules", "shop-canary"),
        (
            [route(), route("elder", **OLDER)],
            "route/conflict",
            "HTTPRoute shop/elder is older and takes the same requests",
        ),
        ([route(weight=20)], "route shop", "the route gives canary 20 %; set it to 0"),
    ],
)
def test_what_the_operator_would_find_wrong_fails(
    tmp_path: Path, routes: list[dict[str, Any]], name: str, words: str
) -> None:
    (line,) = looked(tmp_path, Routes(*routes))
    assert (line.name, line.result, words in line.message) == (name, Result.FAIL, True), line


def test_the_weight_of_a_run_under_way_is_not_held_against_the_next_one(tmp_path: Path) -> None:
    marks = {"sparkrelease.dev/release": "shop", "sparkrelease.dev/run": "r1", "sparkrelease.dev/weight": "20"}
    (line,) = looked(tmp_path, Routes(route(weight=20, annotations=marks)))
    assert line.result is Result.PASS, line


def test_a_route_that_may_not_be_read_is_skipped_and_no_verdict_on_it(tmp_path: Path) -> None:
    (line,) = looked(tmp_path, Routes(everywhere=False, readable=False))
    assert (line.result, line.required, "forbidden" in line.message) == (Result.SKIP, True, True), line


def test_who_sees_one_namespace_is_told_that_conflicts_of_others_were_not_looked_for(tmp_path: Path) -> None:
    passed, unseen = looked(tmp_path, Routes(route(), everywhere=False))
    assert passed.result is Result.PASS
    assert (unseen.name, unseen.result) == ("route/conflict", Result.SKIP)
    failed, _ = looked(tmp_path, Routes(route(), route("elder", **OLDER), everywhere=False))
    assert (failed.name, failed.result) == ("route/conflict", Result.FAIL), "its own namespace is seen"


def test_a_port_that_a_service_does_not_have_fails(tmp_path: Path) -> None:
    sides = {side: {"service": f"shop-{side}", "port": 81} for side in ("stable", "canary")}
    lines = looked(tmp_path, Routes(route()), **sides)
    assert {line.result for line in lines} == {Result.FAIL}
    assert any("Service shop-canary has no port 81; it has 80" in line.message for line in lines)


def test_an_owned_route_that_is_not_there_yet_will_be_made(tmp_path: Path) -> None:
    owned = {"owned": {"parentRefs": [PARENT], "hostnames": ["shop.example"]}}
    (line,) = looked(tmp_path, Routes(), gatewayAPI=owned)
    assert (line.result, "the operator makes HTTPRoute shop" in line.message) == (Result.PASS, True), line


def test_without_a_cluster_the_route_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (line,) = looked(tmp_path, "--offline")
    assert (line.result, line.message) == (Result.SKIP, "needs the cluster: --offline")
