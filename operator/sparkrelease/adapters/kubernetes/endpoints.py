"""EndpointSlices in the few words the operator needs: who is behind a Service, and who of them is ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a Service. `identity` is the same in every slice that names it; `pod` is a name or empty."""

    identity: str
    pod: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """One EndpointSlice."""

    service: str
    version: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """Endpoints behind a Service, each once."""

    ready: tuple[Endpoint, ...]
    not_ready: int


def read_slice(body: Mapping[str, object]) -> Slice | None:
    """The slice, or None when it belongs to no Service."""
    metadata = _mapping(body.get("metadata"))
    service = _mapping(metadata.get("labels")).get(SERVICE_LABEL)
    if not isinstance(service, str) or not service:
        return None
    listed = body.get("endpoints")
    endpoints = [_endpoint(item) for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    return Slice(
        service=service,
        version=str(metadata.get("resourceVersion") or ""),
        endpoints=tuple(endpoint for endpoint in endpoints if endpoint is not None),
    )


def _endpoint(item: Mapping[str, object]) -> Endpoint | None:
    """The endpoint; None for one that is terminating, which neither serves nor will serve."""
    conditions = _mapping(item.get("conditions"))
    if conditions.get("terminating") is True:
        return None
    target = _mapping(item.get("targetRef"))
    addresses = item.get("addresses")
    identity = str(target.get("uid") or "") or str(addresses)
    return Endpoint(
        identity=identity,
        pod=str(target.get("name") or "") if target.get("kind") == "Pod" else "",
        # The API says that an absent `ready` is to be read as true.
        ready=conditions.get("ready") is not False,
    )


def join(slices: Iterable[Slice]) -> Behind:
    """All endpoints of a Service, each once.

    One that is in several slices (two IP families, a slice being split) is ready only when all of them say so.
    """
    seen: dict[str, Endpoint] = {}
    for piece in slices:
        for endpoint in piece.endpoints:
            before = seen.get(endpoint.identity)
            if before is None or before.ready:
                seen[endpoint.identity] = endpoint
    ready = tuple(endpoint for endpoint in seen.values() if endpoint.ready)
    return Behind(ready=ready, not_ready=len(seen) - len(ready))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
