"""A small API server that keeps routes the way the real one does, for what a real one cannot be made to do on time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jsonpatch
import jsonpointer
from aiohttp import web
from kubernetes.aio.client import Configuration

from sparkrelease.adapters.kubernetes.client import Lane
from sparkrelease.adapters.kubernetes.credentials import Login
from sparkrelease.adapters.kubernetes.throttle import Throttle
from sparkrelease.api.spec import Traffic
from sparkrelease.ports.traffic import Target

Body = dict[str, Any]


class PatchTestError(Exception):
    """A test of a JSON patch did not hold."""


def apply_patch(document: Body, ops: Sequence[Body]) -> Body:
    """Applies a JSON patch as the API server does: a test for null holds where there is nothing."""
    absent = [op for op in ops if op["op"] == "test" and op["value"] is None]
    for op in absent:
        if jsonpointer.resolve_pointer(document, op["path"], None) is not None:
            raise PatchTestError(op["path"])
    rest = [op for op in ops if op not in absent]
    try:
        return jsonpatch.apply_patch(document, copy.deepcopy(rest))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise PatchTestError(str(error)) from error


@dataclass
class FakeAPI:
    """Routes and Services in memory. `before_write` runs once, between what a client read and its write."""

    objects: dict[str, Body] = field(default_factory=dict)
    writes: int = 0
    reads: int = 0
    before_write: Callable[[], None] | None = None
    lose_replies: int = 0
    refuse: tuple[int, str] | None = None
    refuse_reads: tuple[int, str] | None = None
    missing_kinds: frozenset[str] = frozenset()
    managers: list[str] = field(default_factory=list)
    version: int = 100

    def put(self, plural: str, body: Body) -> Body:
        """Stores an object as if somebody had written it."""
        old = self.objects.get(f"{plural}/{body['metadata']['name']}")
        body = copy.deepcopy(body)
        self.version += 1
        metadata = body["metadata"]
        metadata.setdefault("namespace", "trading")
        metadata["uid"] = old["metadata"]["uid"] if old else f"uid-{self.version}"
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        metadata["resourceVersion"] = str(self.version)
        same = old is not None and old.get("spec") == body.get("spec")
        metadata["generation"] = (old["metadata"]["generation"] + (not same)) if old else 1
        self.objects[f"{plural}/{metadata['name']}"] = body
        return body

    def edit(self, plural: str, name: str, change: Callable[[Body], None]) -> Body:
        """Changes a stored object as if somebody had written it."""
        body = copy.deepcopy(self.objects[f"{plural}/{name}"])
        change(body)
        return self.put(plural, body)

    def route(self, name: str = "shop", plural: str = "httproutes") -> Body:
        return self.objects[f"{plural}/{name}"]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        plural, name = request.match_info["plural"], request.match_info.get("name")
        if plural in self.missing_kinds:
            return web.Response(status=404, text="404 page not found\n")
        if request.method == "GET":
            self.reads += 1
            if self.refuse_reads is not None:
                return _status(*self.refuse_reads)
            found = self.objects.get(f"{plural}/{name}")
            return web.json_response(found) if found else _status(404, f'{plural} "{name}" not found')
        return await self._write(request, plural, name)

    async def _write(self, request: web.Request, plural: str, name: str | None) -> web.StreamResponse:
        sent = await request.json()
        if self.before_write is not None:
            hook, self.before_write = self.before_write, None
            hook()
        if self.refuse is not None:
            return _status(*self.refuse)
        reply = self._carry_out(request, plural, name, sent)
        if self.lose_replies > 0:
            self.lose_replies -= 1
            assert request.transport is not None
            request.transport.abort()
        return reply

    def _carry_out(self, request: web.Request, plural: str, name: str | None, sent: Body) -> web.Response:
        dry = request.query.get("dryRun") == "All"
        self.managers.append(request.query.get("fieldManager", ""))
        old = self.objects.get(f"{plural}/{name}")
        if request.method == "POST":
            if f"{plural}/{sent['metadata']['name']}" in self.objects:
                return _status(409, "already exists", "AlreadyExists")
            new = sent
        elif old is None:
            return _status(404, f'{plural} "{name}" not found')
        elif request.method == "DELETE":
            wanted = sent["preconditions"]
            if wanted["resourceVersion"] != old["metadata"]["resourceVersion"]:
                return _status(409, "precondition failed")
            del self.objects[f"{plural}/{name}"]
            return web.json_response({"kind": "Status", "status": "Success"})
        else:
            assert request.content_type == "application/json-patch+json"
            try:
                new = apply_patch(old, sent)
            except PatchTestError as error:
                return _status(422, f"testing path {error} failed")
        code = 201 if request.method == "POST" else 200
        if dry or new == old:
            return web.json_response(new, status=code)
        self.writes += 1
        return web.json_response(self.put(plural, new), status=code)


_REASONS = {403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}


def _status(code: int, message: str, reason: str = "") -> web.Response:
    said = reason or _REASONS.get(code, "Unknown")
    return web.json_response({"kind": "Status", "reason": said, "message": message}, status=code)


def lane_to(address: str, limit: float) -> Lane:
    """A lane to this server; `limit` in seconds."""
    return Lane(Login(Configuration(host=address)), Throttle(), connections=4, limit=limit, urgent=False)


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


def backend(name: str, weight: int, **more: object) -> Body:
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight, **more}


def http_route(*rules: Body, name: str = "shop", **metadata: object) -> Body:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "trading", **metadata},
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}],
            "hostnames": ["shop.example"],
            "rules": list(rules),
        },
    }


def split_rule(stable: int = 100, canary: int = 0, **more: object) -> Body:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [backend("shop-stable", stable), backend("shop-canary", canary)],
        **more,
    }


def traffic(**gateway: object) -> Traffic:
    return Traffic.model_validate(
        {
            "stable": {"service": "shop-stable", "port": 80},
            "canary": {"service": "shop-canary", "port": 80},
            "gatewayAPI": gateway,
        }
    )


def referenced(rule: str | None = None, kind: str = "HTTPRoute") -> Target:
    spec = traffic(route={"kind": kind, "name": "shop", **({"rule": rule} if rule else {})})
    return Target("trading", "shop", "release-uid", spec, kind, "shop", owned=False)


def owned(**more: object) -> Target:
    described = {"parentRefs": [{"name": "front"}], "hostnames": ["shop.example"], **more}
    kind = str(described.get("kind", "HTTPRoute"))
    return Target("trading", "shop", "release-uid", traffic(owned=described), kind, "shop", owned=True)
