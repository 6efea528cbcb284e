"""What the operator writes: the status of a SparkRelease. It holds all state a restarted operator needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field, ValidationError

from sparkrelease.api.base import Documented, Duration, SeenWeight, StatusModel, Time
from sparkrelease.api.rules import LIST_KEYS, LIST_TYPE


class Phase(Documented):
    """Where a release is."""

    PENDING = "Pending", "Waiting: for pods, for the route, or for a spec that can be read."
    PREFLIGHT = "Preflight", "Checks before any traffic moves."
    AWAITING_APPROVAL = "AwaitingApproval", "People have yet to sign."
    PROGRESSING = "Progressing", "Traffic moves stage by stage, or walks back to stable after the promotion."
    WATCHING = "Watching", "The last weight is watched."
    SUCCEEDED = "Succeeded", "Nothing is left to do: stable serves all traffic, with the version wanted."
    ROLLING_BACK = "RollingBack", "Traffic goes back to stable."
    ROLLED_BACK = "RolledBack", "Traffic is back on stable, and this version gets none again without a retry."
    BLOCKED = "Blocked", "A check before the first weight failed, or NO-GO; nothing was shifted."


class Verdict(Documented):
    """What a rule says. Never just true or false: nothing measured is not a pass."""

    PASS = "Pass", "Measured, and within the limit."
    FAIL = "Fail", "Measured, and outside the limit."
    INCONCLUSIVE = "Inconclusive", "Too little was measured to say either."
    NO_DATA = "NoData", "Nothing usable was measured."
    ERROR = "Error", "The answer is wrong in itself, so waiting will not help."


class Outcome(Documented):
    """How a run ended."""

    SETTLED = "Settled", "Promoted, and stable serves the promoted version again."
    ROLLED_BACK = "RolledBack", "Traffic went back to stable; the version is refused from then on."
    SUPERSEDED = "Superseded", "A new version or a changed canary took its place."
    CANCELLED = "Cancelled", "The canary became what stable is, or the version went back to the settled one."
    DELETED = "Deleted", "The release was deleted; traffic went to stable first."
    BLOCKED = "Blocked", "A NO-GO came before any weight."


class Condition(StatusModel):
    """A metav1.Condition."""

    type: str = Field(max_length=316, description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec this was said of.")
    last_transition_time: Time = Field(description="When status last changed.")
    reason: str = Field(max_length=1024, description="Machine-readable reason in CamelCase.")
    message: str = Field(default="", max_length=4096, description="What a person should know.")


class Run(StatusModel):
    """One attempt to bring one version to all requests."""

    id: str = Field(max_length=160, description="Version and six digits no other run has.")
    version: str = Field(max_length=128, description="Version on trial.")
    started_at: Time = Field(description="When the run started.")
    spec_digest: str = Field(max_length=80, description="Digest of the spec this run follows.")
    stable_fingerprint: str = Field(max_length=80, description="What ran behind stable at the start.")
    canary_fingerprint: str = Field(max_length=80, description="What runs behind canary.")
    template: str = Field(default="", max_length=80, description="Digest of the candidate's pod template (managed).")
    capacity_floor: int = Field(default=0, ge=0, description="Ready stable endpoints at the start.")
    promoted_at: Time | None = Field(default=None, description="When the last gate passed.")
    gates_passed: int = Field(default=0, ge=0, description="Gates passed so far.")
    settle_forced: bool = Field(default=False, description="A settle command asked to walk back.")
    settle_held: bool = Field(default=False, description="A breach on stable stopped the walk back.")
    holds: int = Field(default=0, ge=0, description="Holds told in evidence so far.")
    dry: bool = Field(default=False, description="No traffic is moved.")
    regressed: bool = Field(default=False, description="It came back older than it was, and waits for a person.")
    end: Outcome | None = Field(default=None, description="How the run ended; absent while it is under way.")


class StageStatus(StatusModel):
    """The stage under way, or the step under way while traffic walks back to stable."""

    index: int = Field(ge=1, description="Number of the stage, from 1.")
    count: int = Field(ge=1, description="Number of stages.")
    name: str = Field(max_length=80, description="Name of the stage.")
    entered_at: Time = Field(description="When its weight was asked for.")
    started_at: Time | None = Field(default=None, description="When its weight was first verified.")
    observed: Duration = Field(default=timedelta(0), description="Time that counts: weight verified and data fresh.")
    counted_until: Time | None = Field(default=None, description="Last instant added to observed.")
    stalled_since: Time | None = Field(default=None, description="Since when the clock stands still.")
    checkpoint_at: Time | None = Field(default=None, description="When evidence last kept its readings.")
    passed_at: Time | None = Field(default=None, description="When its gate passed.")


class WeightStatus(StatusModel):
    """Canary weight in percent: what is wanted, what the route says, what requests show."""

    desired: SeenWeight = Field(default=0, description="What the operator wants.")
    observed: SeenWeight | None = Field(default=None, description="What the route says.")
    verified: bool = Field(
        default=False, description="The route's status accepts it and measured requests do not contradict it."
    )
    reason: str = Field(default="", max_length=256, description="Why it is not verified.")
    mirror: SeenWeight | None = Field(default=None, description="Requests to be mirrored to it, in percent.")
    changed_at: Time | None = Field(default=None, description="When desired last changed.")
    measured_share: SeenWeight | None = Field(
        default=None, description="Share of requests canary really got, in percent."
    )
    measured_at: Time | None = Field(default=None, description="When that was measured.")
    mismatches: int = Field(default=0, ge=0, description="Measurements in a row that contradict the weight.")


class RuleVerdict(StatusModel):
    """The last verdict of one rule."""

    rule: str = Field(max_length=80, description="Name of the trigger or threshold.")
    kind: Literal["trigger", "threshold", "comparison", "preflight"] = Field(description="What kind of rule it is.")
    verdict: Verdict = Field(description="Pass, Fail, Inconclusive, NoData or Error.")
    reason: str = Field(default="", max_length=64, description="Reason, as documented.")
    value: str = Field(default="", max_length=64, description="The value judged.")
    since: Time | None = Field(default=None, description="For a trigger: since when all its legs are true.")
    acted_at: Time | None = Field(
        default=None, description="For a trigger that steps back or notifies: when it last did so."
    )
    shared_since: Time | None = Field(
        default=None,
        description="Since when stable breaches it too, so that both have an incident.",
    )
    message: str = Field(default="", max_length=512, description="The sentence a person reads.")


def read_glance(text: str) -> RuleVerdict | None:
    """What a threshold said between gates, as it is stored; None when it cannot be read."""
    try:
        return RuleVerdict.model_validate_json(text)
    except ValidationError:
        return None


def glance_fails(text: str) -> bool:
    """Whether the threshold fails, at a quarter of what `read_glance` takes: it is asked at every round."""
    try:
        body = json.loads(text)
    except ValueError:
        return False
    return isinstance(body, Mapping) and body.get("verdict") == Verdict.FAIL


class TestState(StatusModel):
    """What one comparison has accumulated; with it a restarted operator goes on where the last one stopped."""

    metric: str = Field(max_length=80, description="Metric compared, or trigger/place of the leg that compares.")
    counted_until: Time | None = Field(default=None, description="End of the last window counted.")
    windows: int = Field(default=0, ge=0, description="Windows counted since the run started.")
    voided: int = Field(default=0, ge=0, description="Windows left out since the run started.")
    state: str = Field(default="", max_length=4096, description="Accumulated evidence, packed.")
    e: float = Field(default=1, description="Evidence against canary (e-value); it rejects at 1 / its part of alpha.")
    ratio: float | None = Field(default=None, description="Canary's share of bad events over stable's.")
    low: float | None = Field(default=None, description="Lower end of the ratio's confidence interval.")
    high: float | None = Field(default=None, description="Upper end of it.")


class BaselineStatus(StatusModel):
    """What stable was before the run."""

    metric: str = Field(max_length=63, description="Metric.")
    at: Time = Field(description="When it was looked at.")
    value: float | None = Field(default=None, description="Highest mean of the metric's windows.")
    spread: float = Field(default=0, description="Relative variance of bad events beyond chance.")


class IncidentStatus(StatusModel):
    """A breach that stable has too."""

    trigger: str = Field(max_length=80, description="Trigger that is true of both roles.")
    since: Time = Field(description="Since when.")
    from_stage: str = Field(default="", max_length=80, description="Stage that was under way.")
    recovered_at: Time | None = Field(default=None, description="Since when stable breaches it no more.")


class WatchStatus(StatusModel):
    """The watch after the last stage; `stage` has its clock."""

    check: int = Field(default=0, ge=0, description="Checks made.")
    of: int = Field(default=1, ge=1, description="Of how many.")
    checked_at: Time | None = Field(default=None, description="Last check.")
    message: str = Field(default="", max_length=512, description="What it said.")


class Next(StatusModel):
    """What happens next."""

    at: Time | None = Field(default=None, description="When, if it is known.")
    what: str = Field(max_length=128, description="What.")


class Rollback(StatusModel):
    """The last rollback."""

    run: str = Field(max_length=160, description="Run rolled back.")
    trigger: str = Field(max_length=80, description="Rule, verb or reason that asked for it.")
    reason: str = Field(max_length=64, description="Reason, as documented.")
    message: str = Field(default="", max_length=512, description="The sentence a person reads.")
    stage: str = Field(default="", max_length=80, description="Stage it happened at.")
    from_weight: SeenWeight = Field(default=0, description="Canary weight before.")
    from_mirror: SeenWeight | None = Field(default=None, description="Requests mirrored before, in percent.")
    decided_at: Time = Field(description="When it was decided.")
    traffic_at: Time | None = Field(default=None, description="When the route said 0.")
    seconds: float | None = Field(default=None, description="Seconds from decision to route.")
    connections: int | None = Field(default=None, description="Still open on canary, where the gateway counts them.")
    connections_at: Time | None = Field(default=None, description="When so many were first counted.")
    verified_at: Time | None = Field(default=None, description="Since when the gateway is known to follow.")
    measured_at: Time | None = Field(default=None, description="When the metrics after it were measured.")


class PreflightStatus(StatusModel):
    """Where the items of spec.preflight stand; what each of them says is among the verdicts."""

    attempt: str = Field(max_length=200, description="Run, spec and number.")
    failed_at: Time | None = Field(default=None, description="When it failed.")
    progress: str = Field(default="", max_length=16, description="Items that passed: 7/9.")


class EvidenceStatus(StatusModel):
    """Where the evidence of the current run is."""

    head: str = Field(default="", max_length=80, description="Digest of the last entry.")
    entries: int = Field(default=0, ge=0, description="Entries so far.")
    config_maps: tuple[str, ...] = Field(default=(), max_length=200, description="Their ConfigMaps, in order.")


class CommandStatus(StatusModel):
    """The last command that was taken."""

    nonce: str = Field(max_length=64, description="Its one-time name.")
    verb: str = Field(max_length=32, description="What was asked.")
    user: str = Field(default="", max_length=256, description="Who asked, pinned by the admission policy.")
    reason: str = Field(default="", max_length=512, description="Why, in the person's words.")
    at: Time = Field(description="When it was taken.")
    result: str = Field(default="", max_length=256, description="What came of it.")


class Pause(StatusModel):
    """A pause by command; spec.paused is a second, independent pause."""

    user: str = Field(default="", max_length=256, description="Who paused.")
    reason: str = Field(default="", max_length=512, description="Why.")
    at: Time = Field(description="Since when.")


class Settled(StatusModel):
    """The version stable serves, as far as this release knows."""

    version: str = Field(max_length=128, description="Version.")
    fingerprint: str = Field(max_length=80, description="What runs behind stable.")
    template: str = Field(default="", max_length=80, description="Digest of its pod template (managed).")
    at: Time = Field(description="Since when.")
    observed: bool = Field(
        default=False,
        description="No run brought it there: both sides ran the same.",
    )


class RefusedVersion(StatusModel):
    """A version that was rolled back and gets no traffic again without a recorded retry."""

    version: str = Field(max_length=128, description="Version.")
    run: str = Field(max_length=160, description="Run that was rolled back.")
    fingerprint: str = Field(default="", max_length=80, description="What ran behind canary then.")
    template: str = Field(default="", max_length=80, description="Digest of its pod template (managed).")
    at: Time = Field(description="When.")


class WorkloadStatus(StatusModel):
    """A managed workload, by digests of pod templates."""

    candidate: str = Field(default="", max_length=80, description="Template of the candidate.")
    stable: str = Field(default="", max_length=80, description="Template the copy was made from.")
    parked: str = Field(default="", max_length=160, description="Run after which the candidate was scaled to 0.")


class ContestedStatus(StatusModel):
    """Weights written by somebody else."""

    manager: str = Field(default="", max_length=128, description="Field manager that wrote last.")
    reverts: tuple[Time, ...] = Field(default=(), max_length=20, description="When, last ten minutes only.")
    total: int = Field(default=0, ge=0, description="Since the run started.")
    since: Time | None = Field(default=None, description="Since when the route counts as contested.")
    handled_generation: int = Field(default=0, ge=0, description="Generation of the route last counted as a revert.")


class OriginalRoute(StatusModel):
    """What a referenced route said before the run, as the provider wrote it down; restored at rest."""

    route: str = Field(max_length=300, description="Kind and name of the route.")
    state: str = Field(max_length=65536, description="Provider's own record of the weights (JSON).")


class HistoryEntry(StatusModel):
    """A run that ended."""

    run: str = Field(max_length=160, description="Run.")
    version: str = Field(max_length=128, description="Version.")
    outcome: Outcome = Field(description="How it ended.")
    reason: str = Field(default="", max_length=64, description="Reason, as documented.")
    started_at: Time = Field(description="Start.")
    ended_at: Time = Field(description="End.")
    evidence: EvidenceStatus = Field(default=EvidenceStatus(), description="Its evidence.")


class SparkReleaseStatus(StatusModel):
    """Status of a release, written by the operator alone."""

    observed_generation: int = Field(default=0, ge=0, description="Generation of the spec last acted on.")
    epoch: int = Field(default=0, ge=0, description="Fencing epoch of the operator that wrote this.")
    phase: Phase = Field(default=Phase.PENDING, description="Where the release is.")
    run: Run | None = Field(default=None, description="The run under way, or the last one.")
    stage: StageStatus | None = Field(default=None, description="The stage under way.")
    stage_text: str = Field(default="", max_length=16, description="Stage for the table, such as 3/5.")
    weight: WeightStatus = Field(default=WeightStatus(), description="Canary weight.")
    verdict: Verdict | None = Field(default=None, description="Worst last verdict of all rules.")
    verdicts: tuple[RuleVerdict, ...] = Field(default=(), max_length=160, description="Last verdict per rule.")
    glances: tuple[str, ...] = Field(default=(), max_length=64, description="What thresholds say now (JSON).")
    preflight: PreflightStatus | None = Field(default=None, description="Last preflight.")
    gate_text: str = Field(default="", max_length=16, description="Thresholds passing, or signatures, such as 6/6.")
    tests: tuple[TestState, ...] = Field(default=(), max_length=16, description="State of the comparisons.")
    baselines: tuple[BaselineStatus, ...] = Field(
        default=(), max_length=64, description="What stable was before the run, frozen."
    )
    incident: IncidentStatus | None = Field(default=None, description="An incident of both roles.")
    watch: WatchStatus | None = Field(default=None, description="The watch under way.")
    mitigations: tuple[str, ...] = Field(default=(), max_length=64, description="What triggers changed (JSON).")
    next: Next | None = Field(default=None, description="What happens next.")
    rollback: Rollback | None = Field(default=None, description="The last rollback.")
    settled: Settled | None = Field(default=None, description="The version stable serves.")
    refused: tuple[RefusedVersion, ...] = Field(
        default=(), max_length=10, description="Versions rolled back, newest first."
    )
    workload: WorkloadStatus | None = Field(default=None, description="The managed workload.")
    pause: Pause | None = Field(default=None, description="A pause by command.")
    command: CommandStatus | None = Field(default=None, description="The last command taken.")
    contested: ContestedStatus | None = Field(default=None, description="Weights written by somebody else.")
    original_route: OriginalRoute | None = Field(
        default=None, description="What a referenced route said before the run."
    )
    evidence: EvidenceStatus = Field(default=EvidenceStatus(), description="Evidence of the current run.")
    pending_evidence: tuple[str, ...] = Field(default=(), max_length=32, description="Entries (JSON) not stored yet.")
    untold: tuple[str, ...] = Field(
        default=(), max_length=10, description="Runs whose end notification targets are still to be told."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=32, description="Conditions.", json_schema_extra={LIST_TYPE: "map", LIST_KEYS: ["type"]}
    )
    history: tuple[HistoryEntry, ...] = Field(default=(), max_length=10, description="Last ten runs, newest first.")
