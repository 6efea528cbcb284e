"""The one door to the API server: paths, content types and the field manager of everything this provider asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from sparkrelease.adapters.traffic.gateway_api.document import Object, RouteKey, RouteObject
from sparkrelease.adapters.traffic.gateway_api.vocabulary import FIELD_MANAGER, GROUP, PLURALS, VERSION
from sparkrelease.api.objects import API_VERSION, RELEASES
from sparkrelease.ports.api_server import ApiServer, ContentType, Reply


class RouteDoor:
    """Reads and writes single routes over one lane, and looks at the Services and releases they belong to."""

    def __init__(self, lane: ApiServer) -> None:
        self._lane = lane

    async def get(self, key: RouteKey) -> Reply:
        """Reads a route."""
        return await self._lane.request("GET", _path(key))

    async def patch(self, key: RouteKey, ops: Sequence[Object], *, dry_run: bool = False) -> Reply:
        """Sends a JSON patch."""
        # A list and no other sequence: the client library sends anything else as a strategic merge patch.
        body = [dict(op) for op in ops]
        return await self._lane.request(
            "PATCH", _path(key), query=_write(dry_run), body=body, content=ContentType.JSON_PATCH
        )

    async def create(self, key: RouteKey, manifest: Object, *, dry_run: bool = False) -> Reply:
        """Creates a route."""
        return await self._lane.request("POST", _folder(key), query=_write(dry_run), body=manifest)

    async def delete(self, route: RouteObject) -> Reply:
        """Deletes exactly this version of a route; 409 when it has changed."""
        preconditions = {"uid": route.uid, "resourceVersion": route.resource_version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        return await self._lane.request("DELETE", _path(route.key), body=body)

    async def service(self, namespace: str, name: str) -> Reply:
        """Reads a Service."""
        return await self._lane.request("GET", f"/api/v1/namespaces/{quote(namespace)}/services/{quote(name)}")

    async def release(self, namespace: str, name: str) -> Reply:
        """Reads a SparkRelease."""
        path = f"/apis/{API_VERSION}/namespaces/{quote(namespace)}/{RELEASES}/{quote(name)}"
        return await self._lane.request("GET", path)


def api_missing(reply: Reply) -> bool:
    """Whether the server does not serve this kind at all: then the answer is no Status object."""
    return reply.not_found and not reply.status_reason


def unread(reply: Reply) -> bool:
    """Whether a read neither showed the object nor said that there is none."""
    return not reply.ok and (not reply.not_found or api_missing(reply))


def words(reply: Reply) -> str:
    """What a refused or lost request has to say for itself."""
    return reply.problem.message if reply.problem is not None else ""


def _folder(key: RouteKey) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{quote(key.namespace)}/{PLURALS[key.kind]}"


def _path(key: RouteKey) -> str:
    return f"{_folder(key)}/{quote(key.name)}"


def _write(dry_run: bool) -> Mapping[str, str]:
    return {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
