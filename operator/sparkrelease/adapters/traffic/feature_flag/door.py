"""The one door to the API server: paths, content types and the field manager of everything this provider asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from sparkrelease.adapters.traffic.feature_flag.flag import Object, Place
from sparkrelease.api.objects import API_VERSION, RELEASES
from sparkrelease.ports.api_server import ApiServer, ContentType, Reply
from sparkrelease.ports.marks import FIELD_MANAGER


class FlagDoor:
    """Reads and patches single ConfigMaps over one lane, and looks at the Services and releases they belong to."""

    def __init__(self, lane: ApiServer) -> None:
        self._lane = lane

    async def get(self, place: Place) -> Reply:
        """Reads a ConfigMap."""
        return await self._lane.request("GET", _path(place, "configmaps"))

    async def patch(self, place: Place, ops: Sequence[Object], *, dry_run: bool = False) -> Reply:
        """Sends a JSON patch."""
        query: Mapping[str, str] = {"fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        # A list and no other sequence: the client library sends anything else as a strategic merge patch.
        body = [dict(op) for op in ops]
        path = _path(place, "configmaps")
        return await self._lane.request("PATCH", path, query=query, body=body, content=ContentType.JSON_PATCH)

    async def service(self, namespace: str, name: str) -> Reply:
        """Reads a Service."""
        return await self._lane.request("GET", _path((namespace, name), "services"))

    async def release(self, namespace: str, name: str) -> Reply:
        """Reads a SparkRelease."""
        path = f"/apis/{API_VERSION}/namespaces/{quote(namespace)}/{RELEASES}/{quote(name)}"
        return await self._lane.request("GET", path)


def _path(place: Place, collection: str) -> str:
    namespace, name = place
    return f"/api/v1/namespaces/{quote(namespace)}/{collection}/{quote(name)}"
