"""What people write: the spec of a SparkRelease and the parts it shares with a ReleasePolicy."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from sparkrelease.api import references, rules
from sparkrelease.api.approval import ChecklistItem, Expiry, Signatures
from sparkrelease.api.base import Documented, SpecModel
from sparkrelease.api.comparison import Comparison
from sparkrelease.api.flags import FeatureFlag
from sparkrelease.api.gateway import GatewayAPITraffic
from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.notifications import Notification
from sparkrelease.api.preflight import PreflightItems
from sparkrelease.api.scalars import (
    LongSpan,
    Mirror,
    Name,
    NameOfTwo,
    ObjectName,
    ShortSpan,
    Version,
    Weight,
)
from sparkrelease.api.triggers import NoData, Trigger
from sparkrelease.api.watch import ErrorBudget, Watch


class DeletionPolicy(Documented):
    """What deleting a release does to its traffic."""

    RESTORE = "Restore", "All traffic goes to stable; an owned route stays."
    ORPHAN = "Orphan", "Weights stay as they are."
    DELETE = "Delete", "All traffic goes to stable, then an owned route is removed."


class OnInconclusive(Documented):
    """What happens when a gate stayed inconclusive after the stage was extended to twice its duration."""

    HOLD = "hold", "The weight stays until the gate can be decided, or until a person decides."
    ROLLBACK = "rollback", "All traffic goes back to stable, and the run ends."
    PROCEED = "proceed", "The release goes on, and evidence says that it did so without a verdict."


class ServiceRef(SpecModel):
    """A Service of the release's namespace and the port that receives its requests."""

    service: Name = Field(description="Name of a Service in the namespace of the release.")
    port: int = Field(ge=1, le=65535, description="Port of the Service that receives requests.")


class Workload(SpecModel):
    """Managed promotion: what Git changes is the candidate, and the operator keeps the copy that is stable."""

    deployment: NameOfTwo = Field(description="Deployment on trial; its last promoted template runs as <name>-stable.")


class PolicyRef(SpecModel):
    """The cluster-wide policy a release inherits from."""

    name: ObjectName = Field(description="Name of a ReleasePolicy.")


class Contested(SpecModel):
    """What happens when somebody else keeps writing the route's weights."""

    rollback_after: ShortSpan = Field(
        default=timedelta(minutes=5),
        description="How long a contested route is held at the lower weight before a rollback.",
    )


class Traffic(SpecModel):
    """Where the requests are split, and between which two Services. Exactly one provider is named."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.ONE_PROVIDER, rules.TWO_SERVICES))

    stable: ServiceRef = Field(description="The version that serves now.")
    canary: ServiceRef = Field(description="The version on trial.")
    gateway_api: GatewayAPITraffic | None = Field(
        default=None, alias="gatewayAPI", description="Split by a Gateway API route (HTTPRoute or GRPCRoute)."
    )
    feature_flag: FeatureFlag | None = Field(
        default=None, description="Split by the application itself, by the value of a flag."
    )
    contested: Contested = Field(
        default=Contested(), description="Limits for a route that somebody else keeps writing."
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.ONE_PROVIDER.require((self.gateway_api is None) != (self.feature_flag is None))
        rules.TWO_SERVICES.require(self.stable.service != self.canary.service)
        return self


class Stage(SpecModel):
    """One step of a release: a canary weight, held for a time, judged at its end."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.MIRROR_WITHOUT_WEIGHT))

    name: Name = Field(description="Name of the stage, unique in the release.")
    weight: Weight = Field(description="Share of requests for the canary in percent (thousandths allowed).")
    mirror: Mirror | None = Field(
        default=None, description="Share of requests copied to canary, in percent; users get stable's answers."
    )
    duration: LongSpan = Field(
        description="How long the stage is observed. Only time counts in which the weight was verified and "
        "metrics were fresh."
    )
    on_inconclusive: OnInconclusive = Field(
        default=OnInconclusive.HOLD,
        description="What to do when the gate cannot be decided after twice the duration.",
    )
    approval: Signatures | None = Field(default=None, description="Signatures before it begins.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.MIRROR_WITHOUT_WEIGHT.require(self.mirror is None or self.weight == 0)
        return self


def _check_steps(steps: tuple[float, ...]) -> tuple[float, ...]:
    rules.STEPS_FALL.require(rules.falling(steps))
    rules.LAST_STEP.require(not steps or steps[-1] == 0)
    return steps


class Settle(SpecModel):
    """How traffic walks back from the promoted canary to a stable side that has caught up."""

    steps: Annotated[tuple[Weight, ...], AfterValidator(_check_steps)] = Field(
        default=(50.0, 0.0),
        min_length=1,
        max_length=10,
        description="Canary weights on the way back, falling, the last one 0.",
        json_schema_extra=rules.ruled(rules.STEPS_FALL, rules.LAST_STEP),
    )
    interval: ShortSpan = Field(
        default=timedelta(minutes=1), description="How long each step is observed, triggers on."
    )


class Evidence(SpecModel):
    """How long evidence is kept."""

    retain_runs: int = Field(
        default=10, ge=1, le=100, description="Runs whose evidence is kept; older ones are pruned."
    )


def _check_stages(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    rules.WEIGHTS_RISE.require(rules.rising([stage.weight for stage in stages]))
    rules.LAST_WEIGHT.require(not stages or stages[-1].weight > 0)
    return stages


Stages = Annotated[
    tuple[Stage, ...],
    Field(max_length=50, json_schema_extra=rules.MAP_BY_NAME | rules.ruled(rules.WEIGHTS_RISE, rules.LAST_WEIGHT)),
    AfterValidator(rules.unique_names),
    AfterValidator(_check_stages),
]
_ByName = Field(max_length=64, json_schema_extra=rules.MAP_BY_NAME)
Metrics = Annotated[tuple[Metric, ...], _ByName, AfterValidator(rules.unique_names)]
Thresholds = Annotated[tuple[Threshold, ...], _ByName, AfterValidator(rules.unique_names)]
Checklist = Annotated[tuple[ChecklistItem, ...], _ByName, AfterValidator(rules.unique_names)]
Triggers = Annotated[tuple[Trigger, ...], _ByName, AfterValidator(rules.unique_names)]
Notifications = Annotated[
    tuple[Notification, ...],
    Field(max_length=16, json_schema_extra=rules.MAP_BY_TARGET),
    AfterValidator(rules.unique_names),
]


class Shared(SpecModel):
    """What a ReleasePolicy can say for many releases and a release can say for itself; merged by name."""

    stages: Stages = Field(
        default=(), description="The steps, in order. A release's non-empty list replaces the policy's."
    )
    metrics: Metrics = Field(default=(), description="Named measurements; merged over the policy's by name.")
    thresholds: Thresholds = Field(
        default=(), description="What every gate asks for; merged over the policy's by name."
    )
    triggers: Triggers = Field(default=(), description="Rules that act at once; merged over the policy's by name.")
    preflight: PreflightItems = Field(default=(), description="Checks before any traffic moves; merged by name.")
    comparison: Comparison | None = Field(
        default=None,
        description="Always-valid comparison of canary with stable; a release's own replaces the policy's.",
    )
    checklist: Checklist = Field(default=(), description="Go/no-go before the first weight; merged by name.")
    approval_expires: Expiry | None = Field(default=None, description="How long a signature counts; its run if absent.")
    no_data: NoData | None = Field(default=None, description="Limits for missing data.")
    shared_rollback_after: ShortSpan | None = Field(
        default=None,
        description="How long an incident that stable has too is borne at the lower weight before the release is "
        "rolled back; 15m if absent.",
    )
    watch: Watch | None = Field(default=None, description="What comes between the last stage and the promotion.")
    error_budget: ErrorBudget | None = Field(default=None, description="Once it is spent no new run starts.")
    settle: Settle | None = Field(default=None, description="How traffic walks back to stable after a promotion.")
    progress_deadline: LongSpan | None = Field(
        default=None,
        description="How long a stage's clock may stand still before the release is Stalled; twice the stage, at least "
        "10m, if absent.",
    )
    notifications: Notifications = Field(
        default=(), description="Who is told of what; merged over the policy's by target."
    )


class SparkReleaseSpec(Shared):
    """One release: the version wanted, its traffic, its stages, and the rules it is judged by."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(*references.BETWEEN_PARTS))

    version: Version = Field(description="The version to bring to all requests. A new value starts a new run.")
    policy_ref: PolicyRef | None = Field(default=None, description="Policy to inherit from.")
    paused: bool = Field(default=False, description="Freezes weights; only a rollback still moves them.")
    dry_run: bool = Field(default=False, description="Decides and records everything, moves no traffic.")
    prometheus: Name = Field(
        default="default",
        description="Metrics server, one of those the administrator declared to the operator.",
    )
    workload: Workload | None = Field(
        default=None, description="Managed promotion; without it both sides are the team's."
    )
    traffic: Traffic = Field(description="Where the requests are split.")
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RESTORE, description="What deleting the release does to its traffic."
    )
    evidence: Evidence = Field(default=Evidence(), description="How long evidence is kept.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        references.WORKLOAD_BEHIND_ROUTE.require(self.workload is None or self.traffic.feature_flag is None)
        return self


class ReleasePolicySpec(Shared):
    """What many releases share."""
