"""An API server and a gateway in memory, with every port the engine needs, a log of calls, and faults at will."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakes.clock import FakeClock
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.facts import RouteMark, Side
from sparkrelease.decide.plan import EventDraft
from sparkrelease.ports.cluster import FINALIZER, ObjectKey, WriteOutcome, Written

Body = dict[str, Any]


def copied(body: Mapping[str, Any]) -> Body:
    """What a reader gets, by way of JSON as over a wire."""
    return dict(json.loads(json.dumps(body)))


class ProcessDiedError(Exception):
    """The process that made this call is dead; nothing it does from now on has an effect."""


@dataclass
class Call:
    """One call to the API server that changes something, or tries to."""

    number: int
    kind: str
    detail: Any
    done: bool = False
    fault: str | None = None
    """What goes wrong with it."""


@dataclass
class FakeRoute:
    """A route as the API server holds it."""

    weight: float = 0.0
    mirror: float = 0.0
    generation: int = 1
    mark: RouteMark | None = None
    manager: str = ""
    accepted: int = 1
    written_at: datetime | None = None
    write_problem: Problem | None = None


@dataclass
class FakeSettings:
    """A ConfigMap that people keep settings in."""

    values: dict[str, str] = field(default_factory=dict)
    version: int = 1

    def set(self, values: Mapping[str, str | None]) -> None:
        after = self.values | {key: value for key, value in values.items() if value is not None}
        after = {key: value for key, value in after.items() if values.get(key, "") is not None}
        self.version += after != self.values
        self.values = after


Fault = Callable[[Call], str | None]
"""Says what goes wrong with a call: None, `fail`, `unheard` (it is done, and the answer a failure), `crash-before` or
`crash-after`."""


@dataclass
class FakeCluster:
    """Everything that outlives an operator process."""

    clock: FakeClock
    releases: dict[ObjectKey, Body] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)
    approvals: list[Body] = field(default_factory=list)
    config_maps: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    routes: dict[tuple[str, str], FakeRoute] = field(default_factory=dict)
    settings: dict[tuple[str, str], FakeSettings] = field(default_factory=dict)
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    sides: dict[tuple[str, str], Side] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    events: list[tuple[ObjectKey, EventDraft]] = field(default_factory=list)
    watch: list[tuple[str, str, Body]] = field(default_factory=list)
    fault: Fault = lambda _: None
    dead: bool = False
    deployments: object = None
    """Those of managed workloads, where there are some."""
    pruned: list[tuple[ObjectKey, int, str]] = field(default_factory=list)
    unreadable: int = 0
    """So many times evidence cannot be read."""
    flags_unreadable: bool = False
    after_write: list[Callable[[Call], None]] = field(default_factory=list)
    _version: int = 100

    # ------------------------------------------------------------ people

    def create(self, namespace: str, name: str, spec: Mapping[str, Any]) -> ObjectKey:
        key = ObjectKey(namespace, name)
        meta = {"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}-{self._version}", "generation": 1}
        self.releases[key] = {"metadata": meta, "spec": copied(dict(spec))}
        self._changed(key, "ADDED")
        return key

    def edit(self, key: ObjectKey, **spec: object) -> None:
        body = self.releases[key]
        body["spec"] |= spec
        body["metadata"]["generation"] += 1
        self._changed(key)

    def annotate(self, key: ObjectKey, **annotations: str) -> None:
        self.releases[key]["metadata"].setdefault("annotations", {}).update(
            {f"sparkrelease.dev/{name}": text for name, text in annotations.items()}
        )
        self._changed(key)

    def delete(self, key: ObjectKey) -> None:
        meta = self.releases[key]["metadata"]
        meta["deletionTimestamp"] = "2026-11-21T09:00:00Z"
        self._changed(key)
        self._let_go(key)

    def roll_out(self, namespace: str, service: str, fingerprint: str, ready: int = 2) -> None:
        self.sides[(namespace, service)] = Side(exists=True, ready=ready, fingerprints=frozenset({fingerprint}))
        self.show_slice(namespace, service)

    def show_slice(self, namespace: str, service: str) -> None:
        labels = {"kubernetes.io/service-name": service}
        meta = {
            "namespace": namespace,
            "name": f"{service}-1",
            "labels": labels,
            "resourceVersion": self.bump(),
        }
        self.watch.append(("EndpointSlice", "MODIFIED", {"metadata": meta}))

    def revert(self, namespace: str, name: str, weight: float, manager: str = "argocd") -> None:
        """Somebody else writes the weight and leaves the marks."""
        route = self.routes[(namespace, name)]
        route.weight, route.manager = weight, manager
        route.generation += 1
        self.show_route(namespace, name)

    def accept(self) -> None:
        """The gateway takes what every route says."""
        for (namespace, name), route in self.routes.items():
            if route.accepted != route.generation:
                route.accepted = route.generation
                self.show_route(namespace, name)

    def show_route(self, namespace: str, name: str) -> None:
        meta = {"namespace": namespace, "name": name, "resourceVersion": self.bump()}
        self.watch.append(("HTTPRoute", "MODIFIED", {"metadata": meta}))

    def status(self, key: ObjectKey) -> SparkReleaseStatus:
        return SparkReleaseStatus.model_validate(self.releases[key].get("status", {}))

    # ------------------------------------------------------------ calls

    def writes(self, *kinds: str) -> list[Call]:
        return [call for call in self.calls if call.done and (not kinds or call.kind in kinds)]

    def begin(self, kind: str, detail: object = None) -> Call:
        """Notes a call; raises when the process is dead or dies here. `fail` is left to the caller to answer."""
        if self.dead:
            raise ProcessDiedError(kind)
        call = Call(len(self.calls) + 1, kind, detail)
        self.calls.append(call)
        call.fault = self.fault(call)
        if call.fault == "crash-before":
            self.dead = True
            raise ProcessDiedError(kind)
        return call

    def failed(self, call: Call) -> bool:
        return call.fault == "fail"

    def end(self, call: Call) -> bool:
        """Notes that a call was carried out; whether its answer is lost. The process may die before it hears it."""
        call.done = True
        for look in self.after_write:
            look(call)
        if call.fault == "crash-after":
            self.dead = True
            raise ProcessDiedError(call.kind)
        return call.fault == "unheard"

    @property
    def version(self) -> int:
        """The last resourceVersion given."""
        return self._version

    def bump(self) -> str:
        self._version += 1
        return str(self._version)

    def _changed(self, key: ObjectKey, event: str = "MODIFIED") -> None:
        body = self.releases[key]
        body["metadata"]["resourceVersion"] = self.bump()
        self.watch.append(("SparkRelease", event, copied(body)))

    def _let_go(self, key: ObjectKey) -> None:
        body = self.releases[key]
        if body["metadata"].get("deletionTimestamp") and not body["metadata"].get("finalizers"):
            del self.releases[key]
            self.watch.append(("SparkRelease", "DELETED", body))


_FAILED = Written(WriteOutcome.FAILED, problem=Problem(Reason.API_SERVER_ERROR, "500"))


class FakeObjects:
    """StatusWriter and ObjectLister."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def write_status(self, key: ObjectKey, resource_version: str, status: SparkReleaseStatus) -> Written:
        call = self._cluster.begin("status", status.phase.value)
        refused = self._guard(call, key, resource_version)
        if refused is not None:
            return refused
        body = self._cluster.releases[key]
        stored = body.get("status", {})
        body["status"] = json.loads(status.model_dump_json(by_alias=True, exclude_none=True))
        if body["status"] != stored:
            self._cluster._changed(key)
        return _FAILED if self._cluster.end(call) else Written(WriteOutcome.DONE, copied(body))

    async def set_finalizer(
        self, key: ObjectKey, resource_version: str, present: bool, known: Sequence[str] | None = None
    ) -> Written:
        call = self._cluster.begin("finalizer", present)
        refused = self._guard(call, key, resource_version)
        if refused is not None:
            return refused
        body = self._cluster.releases[key]
        body["metadata"]["finalizers"] = [FINALIZER] if present else []
        self._cluster._changed(key)
        answer = copied(body)
        self._cluster._let_go(key)
        return _FAILED if self._cluster.end(call) else Written(WriteOutcome.DONE, answer)

    def _guard(self, call: Call, key: ObjectKey, resource_version: str) -> Written | None:
        if self._cluster.failed(call):
            return _FAILED
        body = self._cluster.releases.get(key)
        if body is None:
            return Written(WriteOutcome.GONE)
        if body["metadata"]["resourceVersion"] != resource_version:
            return Written(WriteOutcome.CONFLICT, copied(body))
        return None

    async def fetch(self, key: ObjectKey) -> Written:
        if self._cluster.dead:
            raise ProcessDiedError("fetch")
        body = self._cluster.releases.get(key)
        return Written(WriteOutcome.DONE, copied(body)) if body else Written(WriteOutcome.GONE)

    async def list_objects(self, kind: str, take: Callable[[Sequence[Mapping[str, object]]], None]) -> Problem | str:
        began = str(self._cluster.version)
        lists: dict[str, Sequence[Body]] = {
            "SparkRelease": list(self._cluster.releases.values()),
            "ReleasePolicy": list(self._cluster.policies.values()),
            "ReleaseApproval": self._cluster.approvals,
        }
        for body in list(lists.get(kind, ())):
            take([copied(body)])
        return began


class FakeEvidence:
    """EvidenceStore."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def name(self, key: ObjectKey, run: str, index: int) -> str:
        return f"{key.name}-{run}-evidence-{index:03d}"

    async def store(self, key: ObjectKey, run: str, index: int, entries: Sequence[str]) -> Problem | tuple[str, ...]:
        call = self._cluster.begin("evidence", [json.loads(entry)["kind"] for entry in entries])
        if self._cluster.failed(call):
            return Problem(Reason.FORBIDDEN, "403")
        names: list[str] = []
        rest = list(entries)
        while rest:
            place = (key.namespace, self.name(key, run, index + len(names)))
            there = self._cluster.config_maps.get(place)
            if there is not None and rest[: len(there)] != there:
                return Problem(Reason.EVIDENCE_DIFFERS, f"{place[1]} differs")
            if there is None:
                self._cluster.config_maps[place] = there = rest
            names.append(place[1])
            rest = rest[len(there) :]
        lost = self._cluster.end(call)
        return Problem(Reason.API_SERVER_UNREACHABLE, "no answer") if lost else tuple(names)

    async def load(self, namespace: str, config_maps: Sequence[str]) -> Sequence[str] | Problem:
        if self._cluster.unreadable:
            self._cluster.unreadable -= 1
            return Problem(Reason.API_SERVER_ERROR, "500")
        found = [self._cluster.config_maps.get((namespace, name)) for name in config_maps]
        if any(lines is None for lines in found):
            return Problem(Reason.EVIDENCE_MISSING, "gone")
        return [line for lines in found for line in lines or []]

    async def prune(self, key: ObjectKey, keep: int, present: str) -> Problem | None:
        self._cluster.pruned.append((key, keep, present))
        return None


class FakeWorkloads:
    """Workloads and ObjectCache."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.looks = 0

    async def side(self, namespace: str, service: str) -> Side:
        self.looks += 1
        return self._cluster.sides.get((namespace, service), Side())

    def kinds(self) -> frozenset[str]:
        return frozenset({"EndpointSlice", "Service"})

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """What is seen is read from the cluster directly."""
