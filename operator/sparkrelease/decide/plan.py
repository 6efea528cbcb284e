"""What one round wants. Values only; the engine carries them out in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.facts import RouteMark, SettingsAsk, SpanAsk
from sparkrelease.decide.inputs import Inputs


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Give the canary this share (percent), and copies of so many requests (`mirror`, percent).

    Idempotent: nothing is written when the route says so already.
    """

    canary: float
    mark: RouteMark
    mirror: float = 0.0


@dataclass(frozen=True, slots=True)
class ReleaseRoute:
    """Bring the route to rest, without our marks: as recorded in `original` (referenced), else 100 % stable.

    `remove` deletes an owned route.
    """

    original: str | None = None
    remove: bool = False


RouteAction = SetWeight | ReleaseRoute

SAME_WEIGHT = 0.0005
"""Percent of the requests that make no other weight."""


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An evidence entry to be chained and stored. `data` holds JSON values only: what a person or a report reads of it.

    `inputs` are what the decision was made from; the first entry of a plan has them for all entries of the plan.
    """

    kind: Reason
    message: str
    data: Mapping[str, object] = field(default_factory=dict)
    inputs: Inputs | None = None


class Severity(StrEnum):
    """Type of a Kubernetes Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class EventDraft:
    """A Kubernetes Event to post. The same words about the same run are said once in a while."""

    reason: Reason
    message: str
    severity: Severity = Severity.NORMAL
    run: str = ""
    """Run it was said in, which whoever hands it over fills in; empty before the first one."""


@dataclass(frozen=True, slots=True)
class Change:
    """Set keys of a ConfigMap (None takes one away), if nobody wrote it since `resource_version` was read.

    `restart` is a Deployment whose pods are started anew by writing `token` into their template; writing the same token
    again does nothing.
    """

    config_map: str
    resource_version: str
    values: Mapping[str, str | None]
    restart: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class CopyTemplate:
    """Make the copy run the candidate's pod template, if that is still `template` and nobody wrote either since.

    `copy_version` is empty for a copy that is not there yet. `replicas` is None where they are not ours to write.
    """

    deployment: str
    version: str
    copy: str
    copy_version: str
    template: str
    replicas: int | None


@dataclass(frozen=True, slots=True)
class ScaleDeployment:
    """Set the replicas of a Deployment, if nobody wrote it since `version`.

    `parks` is the run after which a candidate is scaled to 0 for having no traffic.
    """

    deployment: str
    version: str
    replicas: int
    parks: str = ""


@dataclass(frozen=True, slots=True)
class SelectPods:
    """Have a Service select by these labels, unless somebody else keeps its selector; one that is missing is made.

    `port` is for one that is made; it leads to the candidate's port of the same number, or to its only one.
    """

    service: str
    selector: tuple[tuple[str, str], ...]
    port: int


WorkloadStep = CopyTemplate | ScaleDeployment | SelectPods


@dataclass(frozen=True, slots=True)
class Wants:
    """Facts the next round needs beyond the usual ones; the engine gathers them and decides again at once."""

    gate_over: timedelta | None = None
    """Ask every threshold's metric over this span (the stage so far)."""
    preflight: bool = False
    """Try every check, and look at the baselines of the metrics that rules compare with one."""
    checks: str = ""
    """Name of an attempt: say what its items of spec.preflight have come to, and begin those nobody began."""
    spans: tuple[SpanAsk, ...] = ()
    """Ask these once."""
    after: bool = False
    """Ask every metric once over its own window, after a rollback."""
    settings: SettingsAsk | None = None
    """Read what a mitigation would change."""

    @property
    def anything(self) -> bool:
        """Whether something is to be asked."""
        return self != _NOTHING


_NOTHING = Wants()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round wants done.

    Order of execution. `urgent` (anything that lowers canary weight or sets a reverted one again): route first,
    evidence at the same time and retried, then status. Otherwise: evidence, finalizer, status, route; when evidence
    cannot be stored nothing after it happens.
    """

    status: SparkReleaseStatus
    urgent: bool = False
    route: RouteAction | None = None
    change: Change | None = None
    """Carried out last, once everything decided is stored; never in the way of the route."""
    workload: WorkloadStep | None = None
    """The same, of a managed workload; one step a round."""
    entries: tuple[EntryDraft, ...] = ()
    events: tuple[EventDraft, ...] = ()
    finalizer: bool | None = None
    """True: must be there; False: must be gone; None: as it is."""
    wants: Wants = field(default_factory=Wants)
    wake_at: datetime | None = None
    """When to decide again at the latest; None for a release at rest, which only a change wakes."""
    active: bool = False
    """Whether metrics are asked for this release at every tick."""

    def raises(self, before: SparkReleaseStatus) -> bool:
        """Whether it gives canary more requests, now or by what it writes down, sets a weight or begins a run.

        Such a plan waits for its evidence; any other is taken first.
        """
        run, now, then = self.status.run, self.status.weight, before.weight
        begins = run is not None and (before.run is None or before.run.id != run.id)
        more = now.desired > then.desired + SAME_WEIGHT or (now.mirror or 0.0) > (then.mirror or 0.0) + SAME_WEIGHT
        return begins or more or (isinstance(self.route, SetWeight) and not self.urgent)
