"""The Kubernetes API as the engine needs it: one door per effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.facts import Problem, Side
from sparkrelease.decide.plan import EventDraft

FINALIZER = "sparkrelease.dev/restore-traffic"
"""The operator's own finalizer, on a release only while its canary has weight."""


class WriteOutcome(StrEnum):
    """What became of a write."""

    DONE = "Done"
    CONFLICT = "Conflict"
    """The object changed in between; the newer body is in the answer where there is one."""
    GONE = "Gone"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Written:
    """Answer to a write: the object's new body where the server sent one, or why it failed."""

    outcome: WriteOutcome
    body: Mapping[str, object] | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """Namespace and name of a release."""

    namespace: str
    name: str


class StatusWriter(Protocol):
    """The one door to a release's status and finalizer."""

    async def write_status(self, key: ObjectKey, resource_version: str, status: SparkReleaseStatus) -> Written:
        """Replaces the status, guarded by resourceVersion."""
        ...

    async def set_finalizer(
        self, key: ObjectKey, resource_version: str, present: bool, known: Sequence[str] | None = None
    ) -> Written:
        """Adds or removes the operator's own finalizer, guarded by resourceVersion; other finalizers stay.

        `known` are all finalizers as of that resourceVersion; the API server is asked for them when they are not given.
        """
        ...

    async def fetch(self, key: ObjectKey) -> Written:
        """The release as the API server has it now."""
        ...


class ObjectLister(Protocol):
    """Full lists of watched kinds: what a watch missed is found here, and what is gone is dropped."""

    async def list_objects(self, kind: str, take: Callable[[Sequence[Mapping[str, object]]], None]) -> Problem | str:
        """Hands over all objects of a kind in the namespaces served, page by page: all at once take much memory.

        Answers the resourceVersion it began at: whatever changed since, a watch from there on shows. When the server
        has forgotten the list meanwhile, it is begun anew, and objects are handed over twice.
        Kinds: SparkRelease, ReleasePolicy, ReleaseApproval, HTTPRoute, GRPCRoute, EndpointSlice, Service. A kind the
        cluster does not serve answers Problem(ROUTE_API_MISSING).
        """
        ...


class EvidenceStore(Protocol):
    """The one door to stored evidence: immutable ConfigMaps of a run, never rewritten."""

    async def store(self, key: ObjectKey, run: str, index: int, entries: Sequence[str]) -> Problem | tuple[str, ...]:
        """Creates `<release>-<run>-evidence-NNN` with the entries (canonical JSON lines); answers the names.

        NNN starts at `index`, the number of ConfigMaps the run has so far; there is one name unless the entries are
        too large for one ConfigMap. When it exists already with the same entries, or with the first of them (a reply
        was lost, and more entries came since), that is success and the rest is stored after it; with others, a Problem.
        """
        ...

    def name(self, key: ObjectKey, run: str, index: int) -> str:
        """Name of the run's ConfigMap number `index`; no I/O."""
        ...

    async def load(self, namespace: str, config_maps: Sequence[str]) -> Sequence[str] | Problem:
        """The entries of these ConfigMaps, in order."""
        ...

    async def prune(self, key: ObjectKey, keep: int, present: str) -> Problem | None:
        """Deletes all evidence of this release but that of the `keep` runs stored last, with the pruner's right.

        `present` is the run the status speaks of: it counts as the last one.
        """
        ...


class Workloads(Protocol):
    """What runs behind a Service."""

    async def side(self, namespace: str, service: str) -> Side:
        """Reads Service, EndpointSlices and pods; cached until one of the Service's slices changes."""
        ...


class EventRecorder(Protocol):
    """The one door to Kubernetes Events."""

    async def emit(self, key: ObjectKey, uid: str, event: EventDraft) -> None:
        """Posts it, at most one per five minutes for the same (release, reason, message); never raises or blocks."""
        ...
