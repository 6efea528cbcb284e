"""An API server of a dictionary: what is put in is read, what is created is kept, and everything is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import PLAIN_TEXT, ContentType, Reply
from sparkrelease.ports.preflight import Subject

NAMESPACE = "shop"
SUBJECT = Subject(NAMESPACE, "web", "uid-1", "v2-abc.12345678.1", "web-canary")


def item(**fields: object) -> PreflightItem:
    """An item called `it`."""
    return PreflightItem.model_validate({"name": "it", **fields})


class FakeApi:
    """Objects by path; a collection answers all objects below it, whatever labels are asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, Mapping[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuse: dict[tuple[str, str], Reason] = {}

    def put(self, api: str, collection: str, name: str, body: Mapping[str, Any]) -> None:
        metadata = {"name": name, **body.get("metadata", {})}
        self.objects[f"{api}/namespaces/{NAMESPACE}/{collection}/{name}"] = {**body, "metadata": metadata}

    def config_map(self, name: str, **data: str) -> None:
        self.put("/api/v1", "configmaps", name, {"data": data})

    def service(self, name: str, *ports: tuple[str, int], **spec: object) -> None:
        told = [{"name": port, "port": number} for port, number in ports]
        self.put("/api/v1", "services", name, {"spec": {"ports": told, "selector": {"app": name}, **spec}})

    def endpoint(self, service: str, address: str, port: int, *, name: str = "", ready: bool = True) -> None:
        body = {
            "ports": [{"name": name, "port": port}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
        }
        self.put("/apis/discovery.k8s.io/v1", "endpointslices", f"{service}-{address}", body)

    def pod(self, name: str, **status: object) -> None:
        self.put("/api/v1", "pods", name, {"metadata": {"creationTimestamp": name}, "status": status})

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
        self.asked.append((method, path))
        reason = self.refuse.get((method, path.rpartition("/namespaces/shop/")[2].partition("/")[0]))
        if reason is not None:
            return Reply(403, {}, Problem(reason, f"{method} {path}: 403 no"))
        if accept == PLAIN_TEXT:
            return Reply(200, text=self.logs.get(path.split("/")[-2], ""))
        if method == "POST" and isinstance(body, Mapping):
            name = dict(body["metadata"])["name"]  # type: ignore[call-overload]  # a test's own object
            self.objects[f"{path}/{name}"] = body
            return Reply(201, body)
        if method == "DELETE":
            return Reply(200, self.objects.pop(path, {"kind": "Status"}))
        if path in self.objects:
            return Reply(200, self.objects[path])
        below = [one for place, one in sorted(self.objects.items()) if place.rpartition("/")[0] == path]
        if path.endswith(("pods", "endpointslices")):
            return Reply(200, {"items": below})
        return Reply(404, {}, Problem(Reason.OBJECT_NOT_FOUND, f"{path} not found"))
