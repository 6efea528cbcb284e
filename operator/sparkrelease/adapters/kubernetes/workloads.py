"""What runs behind a Service: endpoints from watched slices, fingerprints from a LIST of pods when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sparkrelease.adapters.kubernetes.endpoints import SERVICE_LABEL, Behind, Slice, join, read_slice
from sparkrelease.adapters.kubernetes.lists import list_pages
from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.adapters.kubernetes.pods import PAUSE, PodReader, Selector
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem, Side
from sparkrelease.ports.api_server import ApiServer

SERVICE, SLICE = "Service", "EndpointSlice"

_Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What is known of one Service: its selector (empty without one), and its slices by name."""

    selector: Selector
    slices: Mapping[str, Slice]

    @property
    def stamp(self) -> tuple[object, ...]:
        """Differs whenever pods have to be read again."""
        return (self.selector, *sorted((name, piece.version) for name, piece in self.slices.items()))


@dataclass(slots=True)
class _Seen:
    """What watches showed of one namespace's Service."""

    selector: Selector | None = None
    slices: dict[str, Slice] = field(default_factory=dict)


class ServiceWorkloads:
    """Workloads and ObjectCache: keeps slices and selectors of every Service shown, and sides until they change.

    A Service no watch has shown is asked for, so an answer is right before the first lists are done.
    """

    def __init__(self, api: ApiServer, concurrent_reads: int = 8, *, pause: float = PAUSE) -> None:
        self._api = api
        self._reads = asyncio.Semaphore(concurrent_reads)
        self._pods = PodReader(api, self._reads, pause=pause)
        self._seen: dict[_Key, _Seen] = {}
        self._service_of: dict[_Key, str] = {}
        self._sides: dict[_Key, tuple[tuple[object, ...], Side]] = {}
        self._born: dict[_Key, Mapping[str, datetime | None]] = {}

    # ------------------------------------------------------------ ObjectCache

    def kinds(self) -> frozenset[str]:
        """EndpointSlice and Service."""
        return frozenset({SERVICE, SLICE})

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """Takes an object from a watch or a list; what it cannot read it leaves out."""
        metadata = body.get("metadata")
        if not isinstance(metadata, Mapping):
            return
        key = (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        if kind == SERVICE:
            self._see_service(key, body if event != "DELETED" else None)
        elif kind == SLICE:
            self._see_slice(key, read_slice(body) if event != "DELETED" else None)

    def _see_service(self, key: _Key, body: Mapping[str, object] | None) -> None:
        if body is not None:
            self._seen.setdefault(key, _Seen()).selector = _selector(body)
            return
        self._sides.pop(key, None)
        self._born.pop(key, None)
        seen = self._seen.get(key)
        if seen is not None:
            seen.selector = None
            self._drop_empty(key)

    def _see_slice(self, key: _Key, piece: Slice | None) -> None:
        namespace, name = key
        if piece is not None and self._is_older(key, piece):
            return
        before = self._service_of.pop(key, None)
        if before is not None and (piece is None or piece.service != before):
            seen = self._seen.get((namespace, before))
            if seen is not None:
                seen.slices.pop(name, None)
                self._drop_empty((namespace, before))
        if piece is not None:
            self._service_of[key] = piece.service
            self._seen.setdefault((namespace, piece.service), _Seen()).slices[name] = piece

    def _is_older(self, key: _Key, piece: Slice) -> bool:
        """Whether a list that was under way while watches went on shows an older version than they did."""
        namespace, name = key
        seen = self._seen.get((namespace, self._service_of.get(key, "")))
        known = seen.slices.get(name) if seen is not None else None
        if known is None or not (known.version.isdigit() and piece.version.isdigit()):
            return False
        return int(piece.version) < int(known.version)

    def _drop_empty(self, key: _Key) -> None:
        seen = self._seen.get(key)
        if seen is not None and seen.selector is None and not seen.slices:
            del self._seen[key]

    # ------------------------------------------------------------ Workloads

    async def side(self, namespace: str, service: str) -> Side:
        """The pods behind a Service. `exists` is False only when the API server says that there is no such Service."""
        key = (namespace, service)
        snapshot = self._known(key)
        if snapshot is None:
            asked = await self._ask(key)
            if asked is None:
                return Side()
            if isinstance(asked, Problem):
                return Side(exists=True, problem=asked)
            snapshot = asked
        cached = self._sides.get(key)
        if cached is not None and cached[0] == snapshot.stamp:
            return cached[1]
        side = await self._read(namespace, service, snapshot)
        if side.problem is None:
            self._sides[key] = (snapshot.stamp, side)
        return side

    def pods(self, namespace: str, service: str) -> Mapping[str, datetime | None]:
        """Names of the pods behind a Service, ready or not, and when each last began; no request is made."""
        seen = self._seen.get((namespace, service))
        if seen is None:
            return {}
        born = self._born.get((namespace, service), {})
        names = {endpoint.pod for piece in seen.slices.values() for endpoint in piece.endpoints if endpoint.pod}
        return {name: born.get(name) for name in sorted(names)}

    def _known(self, key: _Key) -> _Snapshot | None:
        seen = self._seen.get(key)
        if seen is None or seen.selector is None:
            return None
        return _Snapshot(seen.selector, dict(seen.slices))

    async def _ask(self, key: _Key) -> _Snapshot | Problem | None:
        """The Service and its slices from the API server; None when there is no such Service."""
        namespace, name = key
        async with self._reads:
            reply = await self._api.request("GET", path_of(SERVICE, namespace, name))
            if reply.not_found:
                return None
            if reply.problem is not None:
                return reply.problem
            listed = await list_pages(self._api, path_of(SLICE, namespace), labels=f"{SERVICE_LABEL}={name}")
        if isinstance(listed, Problem):
            return listed
        return _Snapshot(_selector(reply.body), dict(_slices(listed)))

    async def _read(self, namespace: str, service: str, snapshot: _Snapshot) -> Side:
        behind = join(snapshot.slices.values())
        ready, not_ready = len(behind.ready), behind.not_ready
        if not ready:
            return Side(exists=True, ready=0, not_ready=not_ready)
        prints = await self._fingerprints(namespace, service, snapshot.selector, behind)
        if isinstance(prints, Problem):
            return Side(exists=True, ready=ready, not_ready=not_ready, problem=prints)
        names = frozenset(one.pod for one in behind.ready if one.pod)
        return Side(exists=True, ready=ready, not_ready=not_ready, fingerprints=prints, pods=names)

    async def _fingerprints(
        self, namespace: str, service: str, selector: Selector, behind: Behind
    ) -> frozenset[str] | Problem:
        """What the pods of the ready endpoints run."""
        if not selector:
            return Problem(Reason.PODS_UNKNOWN, f"Service {service} has no selector to find its pods by")
        pods = await self._pods.pods(namespace, selector)
        if isinstance(pods, Problem):
            return pods
        self._born[namespace, service] = {one.pod: pods.began(one.identity) for one in behind.ready if one.pod}
        found = [pods.fingerprint(endpoint.identity) for endpoint in behind.ready]
        missing = found.count(None)
        if missing:
            text = f"{missing} of {len(found)} ready endpoints of Service {service} have no pod with its labels"
            return Problem(Reason.PODS_UNKNOWN, text)
        return frozenset(one for one in found if one is not None)


def _selector(service: Mapping[str, object]) -> Selector:
    """The Service's selector; empty when it has none."""
    spec = service.get("spec")
    selector = spec.get("selector") if isinstance(spec, Mapping) else None
    if not isinstance(selector, Mapping):
        return ()
    return tuple(sorted((str(name), str(value)) for name, value in selector.items()))


def _slices(listed: Iterable[Mapping[str, object]]) -> Iterable[tuple[str, Slice]]:
    for body in listed:
        metadata = body.get("metadata")
        piece = read_slice(body)
        if piece is not None and isinstance(metadata, Mapping):
            yield str(metadata.get("name")), piece
