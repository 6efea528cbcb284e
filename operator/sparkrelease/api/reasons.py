"""Every reason a user can meet, in conditions, Events, verdicts and evidence, with what it means and what to do."""

from __future__ import annotations

from sparkrelease.api.base import Documented


class Reason(Documented):
    """A reason with its explanation; `Reason.X.help` is the text the reference prints."""

    @classmethod
    def named(cls, value: str) -> Reason:
        """The reason that a status or an entry holds as text; ValueError when there is none of that name."""
        for member in cls:
            if member.value == value:
                return member
        raise ValueError(f"{value!r} is not a reason")

    # The object
    ACCEPTED = "Accepted", "The object is understood and work on it has begun."
    INVALID_SPEC = "InvalidSpec", "The spec cannot be acted on; the message names field, value and remedy."
    POLICY_NOT_FOUND = "PolicyNotFound", "spec.policyRef names a ReleasePolicy that does not exist."
    PROMETHEUS_UNKNOWN = (
        "PrometheusUnknown",
        "spec.prometheus names a server the administrator has not declared to the operator.",
    )
    SPEC_CHANGED_DURING_RUN = (
        "SpecChangedDuringRun",
        "The edit waits for the next run; this run follows the spec it started with.",
    )
    STATUS_UNREADABLE = (
        "StatusUnreadable",
        "Part of the stored status cannot be read and counts as empty; the message names the fields.",
    )
    INVALID_COMMAND = (
        "InvalidCommand",
        "The command annotation cannot be read, or its verb does not fit the present state; it was not taken.",
    )

    # Waiting
    CANARY_NOT_READY = "CanaryNotReady", "The canary Service has no rolled-out, ready pods yet."
    EARLIER_REQUESTS = (
        "EarlierRequests",
        "Requests of the run before are still within the window of a metric; the next run starts when they are not.",
    )
    STABLE_NOT_READY = "StableNotReady", "The stable Service has no rolled-out, ready pods yet."
    SERVICE_NOT_FOUND = "ServiceNotFound", "A Service named in spec.traffic does not exist."
    NOTHING_TO_RELEASE = (
        "NothingToRelease",
        "Canary runs what stable runs, or this version is the settled one.",
    )
    TRAFFIC_NOT_ON_STABLE = "TrafficNotOnStable", "A run starts only when all traffic is on stable."
    NOT_SETTLED = (
        "NotSettled",
        "The last promoted version is not on stable yet; roll stable out, or settle by command.",
    )
    SETTLE_BREACHED = (
        "SettleBreached",
        "Stable breached a trigger while traffic walked back; canary serves again until a settle command.",
    )
    PAUSED = "Paused", "Weights are frozen by spec.paused or by a pause command."

    # Preflight
    PREFLIGHT_RUNNING = "PreflightRunning", "Checks before any traffic moves."
    PREFLIGHT_PASSED = "PreflightPassed", "All checks before the first weight passed."
    PREFLIGHT_FAILED = "PreflightFailed", "A check before the first weight failed; nothing was shifted."
    PREFLIGHT_WARNING = "PreflightWarning", "An optional item of spec.preflight failed; the run goes on without it."
    ALERT_MISSING = "AlertMissing", "An alerting rule the administrator asks for is not loaded, or cannot be evaluated."
    ALERTS_NOT_DECLARED = (
        "AlertsNotDeclared",
        "Nobody looked whether burn-rate alerts are there, or silenced: none are declared for the metrics server.",
    )
    ALERT_SILENCED = "AlertSilenced", "An alert the administrator asks for is held back by a silence."
    TARGET_MISSING = "TargetMissing", "A pod behind a Service of the release is no target of the metrics server."
    TARGET_DOWN = "TargetDown", "Scrapes of a target of the release fail."
    ROUTE_NOT_FOUND = "RouteNotFound", "The route named in spec.traffic does not exist."
    ROUTE_INVALID = (
        "RouteInvalid",
        "The route does not have the two Services as backends in the rule that is managed.",
    )
    ROUTE_CONFLICT = (
        "RouteConflict",
        "Another route takes the same requests, so the weight could not be reached.",
    )
    MIRROR_UNSUPPORTED = (
        "MirrorUnsupported",
        "The gateway does not say that it can mirror requests as a stage asks.",
    )
    ROUTE_API_MISSING = "RouteAPIMissing", "The cluster does not serve the route's API."
    INVALID_QUERY = "InvalidQuery", "Prometheus refuses a query of this release."
    NO_SERIES = "NoSeries", "A query matches no series of either Service, so its rule could never act."
    BUCKET_EDGE = (
        "BucketEdge",
        "The limit on a quantile is no edge of the histogram, or none any more; the message names the nearest edges.",
    )
    NATIVE_HISTOGRAM = (
        "NativeHistogram",
        "There are no classic buckets of that name, but a native histogram: name it without _bucket.",
    )
    IGNORE_RULE_MISSING = (
        "IgnoreRuleMissing",
        "A GitOps tool manages the route and may revert weights; add an ignore rule.",
    )

    # The managed workload
    WORKLOAD_UNKNOWN = "WorkloadUnknown", "Nobody has looked at the Deployment of spec.workload yet."
    DEPLOYMENT_NOT_FOUND = "DeploymentNotFound", "The Deployment of spec.workload does not exist."
    DEPLOYMENT_OWNED = (
        "DeploymentOwned",
        "Somebody else keeps the Deployment, or one of the copy's name is there that is not this release's.",
    )
    WORKLOAD_UNSUPPORTED = (
        "WorkloadUnsupported",
        "The Deployment cannot be copied beside itself; the message says which field is in the way.",
    )
    STABLE_CREATED = "StableCreated", "The copy that serves as stable is made from the candidate, for the first time."
    STABLE_LOST = (
        "StableLost",
        "The copy is gone and the candidate is not what was promoted; put the promoted template back first.",
    )
    SELECTOR_MISMATCH = (
        "SelectorMismatch",
        "A Service of the release does not select the pods of its side alone; the message has the selector it needs.",
    )
    AUTOSCALER_ON_STABLE = (
        "AutoscalerOnStable",
        "An autoscaler may shrink stable while canary has its requests; forbid it to scale down during a run.",
    )
    PROMOTING = "Promoting", "The promoted pod template is on its way to stable."
    CANDIDATE_PARKED = "CandidateParked", "The candidate has no traffic any more and was scaled to 0."
    WORKLOAD_NOT_WRITTEN = "WorkloadNotWritten", "A write to the managed workload failed; it is tried again."
    NO_WAY_BACK = (
        "NoWayBack",
        "Both sides have the promoted pod template, so no weight helps; release another one.",
    )

    # Signatures
    AWAITING_APPROVAL = (
        "AwaitingApproval",
        "People have yet to sign; the message says what is missing. Weights stay as they are.",
    )
    APPROVED = "Approved", "Everything that was asked for is signed."
    NO_GO = "NoGo", "Somebody signed NO-GO: before the first weight the run is over, after it traffic goes back."
    APPROVAL_FOR_ANOTHER_RUN = (
        "ApprovalForAnotherRun",
        "The signature is for another run, or for another release object of the same name.",
    )
    APPROVAL_EXPIRED = "ApprovalExpired", "The signature is older than spec.approvalExpires."
    APPROVAL_NOT_ASKED_FOR = (
        "ApprovalNotAskedFor",
        "The signature names an item or a stage that nobody has to sign.",
    )
    APPROVER_NOT_IN_GROUP = "ApproverNotInGroup", "The signer is in none of the groups that may sign this."
    APPROVAL_REPEATED = "ApprovalRepeated", "The same person has signed this already; each counts once."
    APPROVALS_UNREADABLE = (
        "ApprovalsUnreadable",
        "The cluster does not serve ReleaseApprovals, or the operator may not read them; what needs one waits.",
    )

    # Progress
    PROGRESSING = "Progressing", "Traffic moves stage by stage."
    STAGE_ENTERED = "StageEntered", "A stage's weight was asked for."
    WEIGHT_VERIFIED = (
        "WeightVerified",
        "The route's status accepts the weight and measured requests do not contradict it.",
    )
    GATE_PASSED = "GatePassed", "Every threshold of the stage passed."
    GATE_FAILED = "GateFailed", "A threshold of the stage failed."
    GATE_INCONCLUSIVE = (
        "GateInconclusive",
        "Too little was measured to decide the gate; the stage is extended.",
    )
    GATE_PROCEEDED = (
        "GateProceeded",
        "The gate stayed inconclusive, and the stage says to proceed: nothing was shown to be well.",
    )
    GATE_SKIPPED = "GateSkipped", "A promote command skipped the gate."
    RUN_STARTED = "RunStarted", "A run began: version, fingerprints and the resolved spec it follows are recorded."
    PROMOTED = "Promoted", "The last gate passed; canary serves what the last stage says."
    CHECKPOINT = "Checkpoint", "What was measured so far, kept as evidence every ten minutes."
    SETTLING = "Settling", "Traffic walks back to stable, which serves the promoted version."
    SETTLED = "Settled", "Stable serves the promoted version and all traffic."
    SUPERSEDED = "Superseded", "A new version, or a retry, took the place of this run."
    CANCELLED = "Cancelled", "Canary and stable run the same, or the version is what stable is; weight is 0."
    CANARY_CHANGED = (
        "CanaryChanged",
        "Other pods than those the run started with answer behind canary; weight is 0.",
    )
    DRY_RUN = "DryRun", "spec.dryRun: decided and recorded, no traffic moved."

    # The watch
    WATCH_STARTED = "WatchStarted", "Every gate passed; the last weight is watched before the promotion."
    WATCH_CHECKED = "WatchChecked", "A check of the watch was made; the message says what it found."
    WATCH_FAILED = "WatchFailed", "A check of the watch found a threshold or a burn rate exceeded."
    CRITERIA_NOT_MET = "CriteriaNotMet", "At the end of the watch a criterion did not hold over the whole of it."
    WATCH_INCONCLUSIVE = (
        "WatchInconclusive",
        "The watch is over and a criterion cannot be decided; checks go on. Promote or roll back by command.",
    )

    # The error budget
    BUDGET_EXHAUSTED = "BudgetExhausted", "The error budget is spent; a new run waits until some of it is back."
    BUDGET_OVERRIDDEN = "BudgetOverridden", "The error budget is spent, and the run starts because it was approved."

    # Holding
    TRIGGER_HOLDS = "TriggerHolds", "A trigger with action hold is true; weights stay."
    STABLE_CAPACITY_LOW = (
        "StableCapacityLow",
        "Stable has fewer ready endpoints than at the start of the run; nothing is raised.",
    )
    STABLE_CHANGED = (
        "StableChanged",
        "Stable no longer runs what it ran at the start of the run; put it back, retry by command, or release another.",
    )
    PROGRESS_DEADLINE_EXCEEDED = (
        "ProgressDeadlineExceeded",
        "The stage's clock stood still longer than the progress deadline.",
    )
    EVIDENCE_NOT_STORED = "EvidenceNotStored", "Evidence could not be written; nothing is raised until it is."
    EVIDENCE_STORED = "EvidenceStored", "All evidence so far is stored."
    STATE_REGRESSED = (
        "StateRegressed",
        "The status or the cluster came back older than it was known; nothing rises until a person says resume.",
    )

    # Metrics
    METRICS_FRESH = "MetricsFresh", "Every metric answers with fresh data."
    PROMETHEUS_UNREACHABLE = (
        "PrometheusUnreachable",
        "The metrics server cannot be reached or does not answer in time.",
    )
    PROMETHEUS_ERROR = (
        "PrometheusError",
        "The metrics server answers with an error or with something that is not an answer.",
    )
    ANSWER_TOO_LARGE = "AnswerTooLarge", "The metrics server's answer is over the size limit."
    PARTIAL_ANSWER = "PartialAnswer", "The metrics server says that its answer is not complete."
    NO_DATA = "NoData", "A query that should have a value has none."
    NOT_A_NUMBER = "NotANumber", "A metric answers NaN or an infinite value."
    STALE_DATA = "StaleData", "The newest sample of a metric is too old."
    AMBIGUOUS_RESULT = "AmbiguousResult", "Several series came where one is meant."
    INCONSISTENT_COUNTS = (
        "InconsistentCounts",
        "Counters contradict each other, as after a reset in the middle of a window; the next window counts again.",
    )
    TARGETS_MISSING = (
        "TargetsMissing",
        "Fewer pods are scraped than are ready, so what is measured is not all of the role.",
    )
    CLOCK_SKEW = "ClockSkew", "The metrics server's clock and the operator's differ by more than a sample may be old."
    INSUFFICIENT_TRAFFIC = "InsufficientTraffic", "Canary got too few requests to say anything."
    WITHIN_LIMIT = "WithinLimit", "The value is within its limit."
    OVER_LIMIT = "OverLimit", "The value is outside its limit."
    WORSE_THAN_STABLE = "WorseThanStable", "Canary is worse than stable by more than its margin, beyond chance."
    NOT_WORSE = "NotWorse", "Nothing shows that canary is worse than its margin allows."
    WARMING_UP = "WarmingUp", "The weight has just risen; what is counted now is left out."
    WINDOW_VOID = (
        "WindowVoid",
        "A window's counts are not exact (a reset, a gap), or not comparable (stable's level moved; scraped apart).",
    )
    TOO_FEW_POINTS = "TooFewPoints", "The history is too short to read a trend or a growth from."
    NO_BASELINE = "NoBaseline", "The metric had no usable value before the run, so nothing can be compared with it."
    NOT_ACTIVE = "NotActive", "The trigger is not looked at now (activeWhen)."

    # Traffic
    TRAFFIC_IN_SYNC = "TrafficInSync", "The route says what is wanted and its gateway accepts it."
    ROUTE_PENDING = "RoutePending", "The gateway has not accepted the route's present generation yet."
    FLAG_PENDING = "FlagPending", "Not every ready pod shows the flag's value yet, or nobody can say what they show."
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted", "The gateway refuses the route; the message has its words."
    SHARE_MISMATCH = "ShareMismatch", "Measured requests contradict the weight."
    TRAFFIC_REVERTED = "TrafficReverted", "Somebody else changed the weights; they were set again."
    TRAFFIC_CONTESTED = (
        "TrafficContested",
        "Somebody else keeps changing the weights; the lower weight is held.",
    )
    NOT_CONTESTED = "NotContested", "Nobody else changes the weights."
    ROUTE_WRITE_FAILED = "RouteWriteFailed", "The route could not be written; it is tried again."

    # Incidents of both roles
    SHARED_INCIDENT = (
        "SharedIncident",
        "Stable breaches the same rule: traffic steps back and the release is held, or its stage begins anew.",
    )
    STEPPED_BACK = "SteppedBack", "Traffic went back to the weight of the stage before."
    MITIGATING = "Mitigating", "A trigger changes what its mitigation names; what was there before is in evidence."
    MITIGATED = "Mitigated", "What a trigger's mitigation names is changed."
    MITIGATION_FAILED = "MitigationFailed", "A mitigation could not be carried out or undone; it is tried again."
    MITIGATION_REFUSED = "MitigationRefused", "A mitigation names a ConfigMap that holds evidence."
    MITIGATION_UNDOING = "MitigationUndoing", "What a mitigation changed is set back after the rollback."
    MITIGATION_UNDONE = "MitigationUndone", "What a mitigation changed is as it was before."
    MITIGATION_KEPT = "MitigationKept", "Somebody changed what a mitigation had set, so it was not set back."
    NOTIFIED = "Notified", "A trigger that only tells was true for its time."

    # Going back
    ROLLING_BACK = "RollingBack", "Traffic goes back to stable."
    TRIGGER_FIRED = "TriggerFired", "A trigger was true for its time."
    ROLLED_BACK = (
        "RolledBack",
        "Traffic is back on stable; the version gets no traffic again without a retry or a new version.",
    )
    ROLLBACK_MEASURED = "RollbackMeasured", "What stable was after the rollback is measured and kept as evidence."
    ROLLBACK_REQUESTED = "RollbackRequested", "A person asked for the rollback."
    DATA_MISSING_TOO_LONG = "DataMissingTooLong", "Data was missing longer than spec.noData allows."
    ROUTE_CONTESTED = (
        "RouteContested",
        "The route stayed contested longer than spec.traffic.contested allows.",
    )
    STABLE_UNAVAILABLE = "StableUnavailable", "Stable has no ready endpoint; traffic flips on the first one."
    VERSION_REFUSED = (
        "VersionRefused",
        "This version was rolled back or got a NO-GO; give a new version or retry by command.",
    )
    DELETED_DURING_RUN = "DeletedDuringRun", "The release was deleted; traffic goes to stable first."

    # The API server
    API_SERVER_UNREACHABLE = (
        "APIServerUnreachable",
        "The API server cannot be reached or does not answer in time; what was sent may or may not have been done.",
    )
    API_SERVER_ERROR = "APIServerError", "The API server answers with an error of its own."
    API_SERVER_BUSY = "APIServerBusy", "The API server asks to wait; it is asked again after that."
    FORBIDDEN = "Forbidden", "The operator's account may not do this, or a quota or an admission policy forbids it."
    NAMESPACE_TERMINATING = "NamespaceTerminating", "The namespace is going away; nothing can be created in it."
    REFUSED = "Refused", "The API server finds the request invalid; the message has its words."
    OBJECT_CHANGED = "ObjectChanged", "Somebody changed the object in between; it is read again."
    OBJECT_NOT_FOUND = "ObjectNotFound", "The object does not exist."
    EVIDENCE_DIFFERS = "EvidenceDiffers", "A ConfigMap with the name of this evidence exists and holds something else."
    EVIDENCE_MISSING = "EvidenceMissing", "A ConfigMap that held evidence is gone or cannot be read as evidence."
    EVIDENCE_KEPT = "EvidenceKept", "Old evidence stays: the operator was given no account that may delete it."
    PODS_UNKNOWN = "PodsUnknown", "Endpoints are ready behind the Service, but their pods cannot be found."

    # The operator itself
    INTERNAL_ERROR = (
        "InternalError",
        "The operator failed on this release; other releases go on, and it is tried again. The log has the details.",
    )

    # Notifications
    NOTIFICATION_TARGET_UNKNOWN = (
        "NotificationTargetUnknown",
        "spec.notifications names a target the administrator has not declared for this namespace; it is told nothing.",
    )
    NOTIFICATION_LOST = (
        "NotificationLost",
        "A message could not be delivered to a notification target; the release goes on all the same.",
    )

    # People
    COMMAND_TAKEN = "CommandTaken", "A command was taken."
