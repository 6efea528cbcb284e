"""What the process holds of one release: the object as last seen, and the state between its rounds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from sparkrelease.api.command import Command
from sparkrelease.api.notifications import Notification
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.api.status import EvidenceStatus, SparkReleaseStatus
from sparkrelease.decide.deployed import ManagedWorkload
from sparkrelease.decide.facts import MetricFacts, Problem, Regression, Settings, Side
from sparkrelease.decide.plan import EventDraft, WorkloadStep
from sparkrelease.decide.resolve import ResolvedSpec, with_live_fields
from sparkrelease.ports.cluster import FINALIZER, ObjectKey
from sparkrelease.ports.traffic import Target

PENDING_LIMIT = 32
"""Entries the status has room for; more than these live in memory alone until they are stored."""

PENDING_SIZE = 256 * 1024
"""Characters of them it has room for: an object may have 1.5 MiB, and a status must never be refused for its size."""

NOTHING_SAID = SparkReleaseStatus()
"""The status of a release nobody has looked at."""


@dataclass(slots=True)
class Chain:
    """Evidence of the run under way: what is stored, what is linked but not stored yet."""

    run: str = ""
    stored: EvidenceStatus = field(default_factory=EvidenceStatus)
    pending: tuple[str, ...] = ()
    problem: Problem | None = None
    failures: int = 0
    try_again_at: float = 0.0
    """Monotonic time before which storing is not tried again."""
    broken: Problem | None = None
    """What is gone or changed of what was stored."""
    read: bool = False
    """Whether what is stored was read back under this leadership."""
    look_again_at: float = 0.0
    """Monotonic time before which what was found wrong is not looked at again."""


@dataclass(slots=True)
class Release:
    """One release. `status` is the newest the process knows; `written` is what the API server was last told."""

    key: ObjectKey
    uid: str
    generation: int = 0
    resource_version: str = ""
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    """Everybody's, as of `resource_version`."""
    wanted_version: str = ""
    paused_by_spec: bool = False
    policy: str | None = None
    declared: SparkReleaseSpec | Problem | None = None
    """The spec as people wrote it, before a policy is merged under it."""
    resolved: ResolvedSpec | None = None
    resolved_digest: str = ""
    spec_problem: Problem | None = None
    command_text: str | None = None
    command: Command | None = None
    command_problem: str | None = None
    target: Target | None = None
    home: Target | None = None
    """Route of a run that ended, until it is at rest: it stays the target whatever the object names by now."""
    status_text: str = ""
    """The status as last seen, until a leader adopts it, as JSON: a standby holds thousands, and a tree of Python
    objects takes some eight times as much."""

    adopted: bool = False
    """Whether `status` was read from the object under this leadership."""
    status: SparkReleaseStatus = NOTHING_SAID
    written: SparkReleaseStatus = NOTHING_SAID
    written_at: float = 0.0
    frozen: ResolvedSpec | None = None
    """Spec of the run under way, as recorded when it started, but for what the object may change at any time."""
    frozen_problem: Problem | None = None
    """Why the spec of the run under way is not known any more."""
    stand_in: ResolvedSpec | None = None
    """What a run whose spec is lost, and whose object resolves to nothing, can still be taken back by."""
    chain: Chain = field(default_factory=Chain)
    regression: Regression | None = None
    """Why the state is known to be older than it was, until the status says so."""
    stamped_epoch: int = 0
    stable: Side | None = None
    canary: Side | None = None
    sides_dirty: bool = True
    side_failures: int = 0
    """Looks in a row that could not say what runs behind a Service."""
    workload: ManagedWorkload | None = None
    workload_dirty: bool = True
    workload_problem: Problem | None = None
    """Why the last write to the managed workload failed."""
    workload_again_at: float = 0.0
    """Monotonic time before which none is tried again."""
    last_step: WorkloadStep | None = None
    """The step taken last: the same one again changed nothing, and is not hurried."""
    parked: str = ""
    """Run after which this process has scaled the candidate to 0."""
    route_problem: Problem | None = None
    """Why the API server could not say what the route is, when no watch has shown it."""
    active: bool = False
    looked_at: float = -math.inf
    """Monotonic time of the last look of a tick."""
    looked_on: Mapping[str, MetricFacts] = field(default_factory=dict)
    """What was measured then."""
    route_failures: int = 0
    write_failures: int = 0
    failed_looks: int = 0
    """Looks in a row that ended in an error of the operator itself."""
    look_again_at: float = 0.0
    """Monotonic time before which such a release is not looked at again."""
    settings_problem: Settings | None = None
    """Why what a mitigation names could not be read or changed."""
    settings_again_at: float = 0.0
    """Monotonic time before which that is not tried again."""
    hushed_until: float = 0.0
    """Monotonic time until which the status does not tell that a raised weight is not verified or measured yet."""
    unmeasured_until: float = 0.0
    """Monotonic time until which a run just taken over waits for its first measurements."""
    prune_due: bool = False
    """Whether a run has ended since old evidence was last pruned."""
    notifications: tuple[Notification, ...] = ()
    """Who is to be told of what, by the object and its policy as they are now: a run does not freeze it."""
    owed: dict[str, set[str] | None] = field(default_factory=dict)
    """By run whose end is still to be told, the targets it is on its way to; None when nobody has sent it yet."""
    said: dict[EventDraft, float] = field(default_factory=dict)
    """Events handed over lately and when: the same words of the same run are not repeated at every tick."""

    @property
    def finalizer(self) -> bool:
        """Whether the operator's own finalizer is on the object."""
        return FINALIZER in self.finalizers

    @property
    def managed(self) -> bool:
        """Whether the operator keeps its workload, by the object as it is now."""
        return isinstance(self.declared, SparkReleaseSpec) and self.declared.workload is not None

    @property
    def under_way(self) -> bool:
        """Whether a run has begun and not ended."""
        return self.status.run is not None and self.status.run.end is None

    @property
    def spec(self) -> ResolvedSpec | None:
        """The spec to decide by: the frozen one of a run under way, else what the object resolves to.

        `frozen_problem` keeps a run that lost its own spec from rising by another one.
        """
        if not self.under_way:
            return self.resolved
        return self.frozen or self.resolved or self.stand_in

    def keep_status(self, body: Mapping[str, object] | None) -> None:
        """Keeps the status as it was seen; nothing when there is none, or none is wanted."""
        self.status_text = "" if body is None else json.dumps(body, separators=(",", ":"))

    def seen_status(self) -> Mapping[str, object] | None:
        """The status as it was seen last, None when there is none or it was adopted."""
        if not self.status_text:
            return None
        body: Mapping[str, object] = json.loads(self.status_text)
        return body

    def freeze(self, spec: ResolvedSpec | None) -> None:
        """Follows this spec until the run ends; the fields whose edits act at once stay those of the object."""
        if spec is not None and isinstance(self.declared, SparkReleaseSpec):
            spec = with_live_fields(spec, self.declared)
        self.frozen = spec

    def take_owed(self) -> None:
        """Brings the status up to which ends of runs are still to be told."""
        untold = tuple(self.owed)
        if self.status.untold != untold:
            self.status = self.status.model_copy(update={"untold": untold})

    def drop_told_regression(self) -> None:
        """Forgets why the state is older once the status says so, or the run it is about is over.

        What is about a run that has not begun is kept until one has.
        """
        found, run = self.regression, self.status.run
        if found is None:
            return
        of_this_run = found.run == "" or (run is not None and found.run == run.id)
        untold = run is not None and not run.regressed
        if not (self.under_way and untold if of_this_run else not self.under_way):
            self.regression = None

    def take_chain(self) -> None:
        """Brings the status up to what is stored and pending of the evidence of its run."""
        status, chain = self.status, self.chain
        if status.run is None or status.run.id != chain.run:
            return
        pending = _room_for(chain.pending)
        if status.evidence == chain.stored and status.pending_evidence == pending:
            return
        changes: dict[str, object] = {"evidence": chain.stored, "pending_evidence": pending}
        last = status.history[0] if status.history else None
        if last is not None and last.run == chain.run:
            changes["history"] = (last.model_copy(update={"evidence": chain.stored}), *status.history[1:])
        self.status = status.model_copy(update=changes)


def _room_for(entries: tuple[str, ...]) -> tuple[str, ...]:
    """The first entries, as many as the status has room for."""
    sizes = accumulate(len(entry) for entry in entries[:PENDING_LIMIT])
    return entries[: sum(size <= PENDING_SIZE for size in sizes)]
