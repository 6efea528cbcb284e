"""The one door to a release's status and finalizer: guarded JSON patches that answer the new body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from sparkrelease.adapters.kubernetes.paths import FIELD_MANAGER, path_of
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.ports.api_server import ApiServer, ContentType, Reply
from sparkrelease.ports.cluster import ObjectKey, WriteOutcome, Written

FINALIZER = "sparkrelease.dev/restore-traffic"

_KIND = "SparkRelease"


def _version_of(body: Mapping[str, object] | None) -> str:
    """`metadata.resourceVersion` of an object; empty when it has none."""
    metadata = body.get("metadata") if body is not None else None
    return str(metadata.get("resourceVersion") or "") if isinstance(metadata, Mapping) else ""


def _finalizers(body: Mapping[str, object]) -> list[str]:
    """`metadata.finalizers` of an object."""
    metadata = body.get("metadata")
    names = metadata.get("finalizers") if isinstance(metadata, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _guard(version: str) -> dict[str, object]:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": version}


class KubernetesStatusWriter:
    """Writes with the resourceVersion the caller decided on; a StatusWriter.

    When somebody else wrote in between, nothing is written and the newer body is answered.
    """

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def write_status(self, key: ObjectKey, resource_version: str, status: SparkReleaseStatus) -> Written:
        """Replaces the status, guarded by resourceVersion."""
        value = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        patch = [_guard(resource_version), {"op": "add", "path": "/status", "value": value}]
        return await self._patch(key, resource_version, patch, "status")

    async def set_finalizer(
        self, key: ObjectKey, resource_version: str, present: bool, known: Sequence[str] | None = None
    ) -> Written:
        """Adds or removes the operator's own finalizer, guarded by resourceVersion; see StatusWriter."""
        names = known
        if names is None or (FINALIZER in names) == present:
            now = await self.fetch(key)
            if now.outcome is not WriteOutcome.DONE or now.body is None:
                return now
            if _version_of(now.body) != resource_version:
                return Written(WriteOutcome.CONFLICT, now.body)
            names = _finalizers(now.body)
            if (FINALIZER in names) == present:
                return now
        wanted = [*names, FINALIZER] if present else [name for name in names if name != FINALIZER]
        # `add` makes the field or replaces its whole value; the guard makes that safe for the finalizers of others.
        patch = [_guard(resource_version), {"op": "add", "path": "/metadata/finalizers", "value": wanted}]
        return await self._patch(key, resource_version, patch, None)

    async def fetch(self, key: ObjectKey) -> Written:
        """The release as the API server has it now."""
        return _written(await self._api.request("GET", path_of(_KIND, key.namespace, key.name)))

    async def _patch(self, key: ObjectKey, version: str, patch: Sequence[object], subresource: str | None) -> Written:
        reply = await self._api.request(
            "PATCH",
            path_of(_KIND, key.namespace, key.name, subresource),
            query={"fieldManager": FIELD_MANAGER},
            body=patch,
            content=ContentType.JSON_PATCH,
        )
        if not reply.guard_failed:
            return _written(reply)
        # A failed guard and an object the schema refuses are both 422: only the present version tells them apart.
        now = await self.fetch(key)
        if now.outcome is WriteOutcome.DONE and _version_of(now.body) == version:
            return Written(WriteOutcome.FAILED, now.body, reply.problem)
        if now.outcome is WriteOutcome.FAILED:
            return Written(WriteOutcome.FAILED, None, reply.problem)
        return now if now.outcome is WriteOutcome.GONE else Written(WriteOutcome.CONFLICT, now.body, reply.problem)


def _written(reply: Reply) -> Written:
    if reply.ok:
        return Written(WriteOutcome.DONE, reply.body)
    gone = reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    return Written(WriteOutcome.GONE if gone else WriteOutcome.FAILED, None, reply.problem)
