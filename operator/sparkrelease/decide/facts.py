"""What one round knows. Everything here was gathered before; deciding adds nothing to it.

What metrics said has a module of its own, `measured`; it is part of the facts, and found here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.api.approval import Decision, Override
from sparkrelease.api.command import Command
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Verdict
from sparkrelease.decide.deployed import ManagedWorkload
from sparkrelease.decide.measured import (
    Again,
    Ask,
    Baseline,
    Buckets,
    Counts,
    History,
    MetricFacts,
    Missing,
    Reading,
    SpanAsk,
    Track,
    Value,
    Window,
)

__all__ = [
    "Again",
    "Approval",
    "Ask",
    "Baseline",
    "Buckets",
    "Check",
    "Counts",
    "Facts",
    "Finding",
    "History",
    "MetricFacts",
    "Missing",
    "Problem",
    "Reading",
    "Regression",
    "Role",
    "Route",
    "RouteMark",
    "Settings",
    "SettingsAsk",
    "Share",
    "Side",
    "SpanAsk",
    "Track",
    "Value",
    "Verification",
    "Window",
]


class Role(StrEnum):
    """Which side of the release."""

    STABLE = "stable"
    CANARY = "canary"


# ---------------------------------------------------------------- workload


@dataclass(frozen=True, slots=True)
class Side:
    """The pods behind one Service.

    `fingerprints` are those of all ready pods (one when rolled out); `rolled_out` means at least one ready
    endpoint, none that is not ready, and one fingerprint.
    """

    exists: bool = False
    ready: int = 0
    not_ready: int = 0
    fingerprints: frozenset[str] = frozenset()
    problem: Problem | None = None
    pods: frozenset[str] = frozenset()
    """Names of the ready ones, where they have names."""

    @property
    def rolled_out(self) -> bool:
        """Whether the side runs one thing, and all of it is ready."""
        return self.ready > 0 and self.not_ready == 0 and len(self.fingerprints) == 1

    @property
    def fingerprint(self) -> str | None:
        """The one fingerprint of the side, or None while there is none or several."""
        return next(iter(self.fingerprints)) if len(self.fingerprints) == 1 else None


# ---------------------------------------------------------------- traffic


class Verification(StrEnum):
    """Whether the gateway does what the route says. Never Verified by default."""

    VERIFIED = "Verified"
    PENDING = "Pending"
    CONTESTED = "Contested"
    UNSUPPORTED = "Unsupported"


@dataclass(frozen=True, slots=True)
class RouteMark:
    """What the operator wrote on a route beside the weights, in the same write."""

    run: str = ""
    epoch: int = 0
    weight: float = 0.0
    rollback: str = ""
    """Trigger of a rollback under way; a restarted operator that sees it goes on rolling back."""
    mirror: float = 0.0
    """Share of requests mirrored to canary, in percent."""
    asked: int = 0
    """How often the gateway was asked to look at this weight again."""


_NOT_THERE = frozenset({Reason.ROUTE_NOT_FOUND, Reason.ROUTE_API_MISSING})
"""Answers of an API server that has no such route."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the cluster says about the route.

    `canary_weight` is in percent and None when the managed rules disagree or do not hold both Services;
    `written_at` is when this operator's own last write was answered, None for a change seen by watch alone.
    """

    exists: bool = False
    canary_weight: float | None = None
    generation: int = 0
    verification: Verification = Verification.PENDING
    reason: Reason = Reason.ROUTE_PENDING
    message: str = ""
    manager: str = ""
    """Field manager of the last write to the weights; empty when it was this operator."""
    mark: RouteMark | None = None
    problem: Problem | None = None
    written_at: datetime | None = None
    write_problem: Problem | None = None
    """Why the last write of this operator failed; None once one succeeded."""
    original: str | None = None
    """Provider's record of the present weights of a referenced route, as `OriginalRoute.state` stores it."""
    mirror: float | None = 0.0
    """Share of requests copied to canary, whose answers nobody gets, in percent; None when the managed rules disagree.
    Without meaning where there is no `canary_weight`."""

    @property
    def gone(self) -> bool:
        """Whether there is no such route: canary gets nothing through it. One that nobody could read may be there."""
        return not self.exists and (self.problem is None or self.problem.reason in _NOT_THERE)


@dataclass(frozen=True, slots=True)
class Share:
    """Requests counted per role over `window`, last scraped at `at`; `judged`: by the gateway, not by the app itself.

    One scrape is one share, however often it is looked at.
    """

    stable: float
    canary: float
    window: timedelta
    at: datetime
    judged: bool


# ---------------------------------------------------------------- mitigation


@dataclass(frozen=True, slots=True)
class SettingsAsk:
    """What a mitigation would change: keys of a ConfigMap, and a Deployment to restart (or nothing)."""

    config_map: str
    keys: tuple[str, ...]
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What was read: the keys that are there, and the restart token in the Deployment's template."""

    config_map: str
    resource_version: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    problem: Problem | None = None
    """Why it cannot be read or changed now; it is tried again."""


# ---------------------------------------------------------------- signatures


@dataclass(frozen=True, slots=True)
class Approval:
    """A ReleaseApproval. Who signed, and in which groups they are, is what the admission policy let through."""

    name: str
    release_uid: str
    run: str
    decision: Decision
    by: str
    at: datetime
    """When the API server stored it."""
    groups: tuple[str, ...] = ()
    stage: str = ""
    """The stage it is for; empty for the go/no-go."""
    items: tuple[str, ...] = ()
    """Items it signs; all that the signer may sign when empty."""
    comment: str = ""
    overrides: tuple[Override, ...] = ()


# ---------------------------------------------------------------- checks, evidence, the whole


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of preflight; `fatal` findings keep the run from starting, others are warnings."""

    check: str
    fatal: bool
    problem: Problem


@dataclass(frozen=True, slots=True)
class Check:
    """One item of spec.preflight. `verdict` is None while it is under way; `details` are what evidence keeps of it."""

    name: str
    optional: bool
    verdict: Verdict | None
    message: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Regression:
    """What shows that the status, or the whole cluster, is older than what was known."""

    message: str
    run: str = ""
    """Run of whose evidence more is stored than its status knows; empty when the cluster itself came back older."""
    outcome: Outcome | None = None
    """How that evidence says the run ended."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one round knows about one release."""

    namespace: str
    name: str
    uid: str
    generation: int
    tick: timedelta
    epoch: int
    deleting: bool = False
    has_finalizer: bool = False
    namespace_terminating: bool = False
    spec_problem: Problem | None = None
    """Why the spec of the object cannot be resolved; a run under way goes on with its frozen spec."""
    frozen_problem: Problem | None = None
    """Why the spec of the run under way is lost; it is decided by another one then, and rises no further."""
    resolved_digest: str = ""
    """Digest of what the object's spec resolves to now; differs from the run's during SpecChangedDuringRun."""
    wanted_version: str = ""
    """spec.version of the object now; the frozen spec of a run under way may still have the one before."""
    paused_by_spec: bool = False
    command: Command | None = None
    command_problem: str | None = None
    route: Route = field(default_factory=Route)
    share: Share | None = None
    stable: Side = field(default_factory=Side)
    canary: Side = field(default_factory=Side)
    workload: ManagedWorkload | None = None
    """Of a release with spec.workload; None before the first look."""
    one_workload: bool = False
    """Whether both Services are in front of the same pods, which split their users by a feature flag."""
    metrics: Mapping[str, MetricFacts] = field(default_factory=dict)
    """By metric name, over the metric's own window; empty until first asked."""
    asked: Mapping[Ask, MetricFacts] = field(default_factory=dict)
    """What rules want over other windows than the metric's own (burnRate), or as it was (growth)."""
    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    """By metric name: windows that end after what the status' tests have counted, oldest first."""
    history: Mapping[str, History] = field(default_factory=dict)
    """By metric name, for metrics that a trend is read from."""
    scraped: Mapping[Role, int] = field(default_factory=dict)
    """Pods of each role whose scrapes succeed (`up`), for the roles of which the metrics server can say."""
    baselines: Mapping[str, Baseline] | None = None
    """By metric name; None unless the plan before asked for them."""
    gate: Mapping[str, MetricFacts] | None = None
    """By THRESHOLD name, over the stage; None unless the plan before asked for it."""
    spans: Mapping[str, MetricFacts] | None = None
    """By `SpanAsk.name`; None unless the plan before asked for them."""
    after: Mapping[str, MetricFacts] | None = None
    """By metric name, over the metric's own window, after a rollback; None unless the plan before asked for them."""
    settings: Settings | None = None
    """What a mitigation would change; None unless the plan before asked for it, or it failed a moment ago."""
    preflight: tuple[Finding, ...] | None = None
    """Results of the checks; None unless the plan before asked for them."""
    checks: tuple[Check, ...] | None = None
    """Items of spec.preflight, in order; None unless the plan before asked for them."""
    connections: int | None = None
    """What is open on the canary of a run rolled back lately; None when nobody counts it."""
    approvals: tuple[Approval, ...] = ()
    """Signatures for this release, but those for runs that ended."""
    approvals_problem: Problem | None = None
    """Why nobody can say what is signed."""
    evidence_problem: Problem | None = None
    """Why the last evidence could not be stored, or what is gone or changed of what was; None once all is there."""
    regression: Regression | None = None
    """Why the state is known to be older than it was; None once the status says so."""
