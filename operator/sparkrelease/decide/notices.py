"""What people are told outside of Kubernetes: which Events are messages, about what, and with which figures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus, HistoryEntry, RuleVerdict, SparkReleaseStatus, Verdict
from sparkrelease.decide.limitwords import limit_of
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.decide.resolve import ResolvedSpec

MOST_RULES = 10
"""Rules one message names."""

CLOSING = frozenset(
    {
        Reason.ROLLED_BACK,
        Reason.SETTLED,
        Reason.CANCELLED,
        Reason.SUPERSEDED,
        Reason.CANARY_CHANGED,
        Reason.DRY_RUN,
        Reason.DELETED_DURING_RUN,
        Reason.NO_GO,
    }
)
"""Reasons a run ends with."""

_TOPICS: Mapping[Reason, Topic] = {
    Reason.RUN_STARTED: Topic.START,
    Reason.STAGE_ENTERED: Topic.STAGE,
    Reason.SETTLING: Topic.STAGE,
    Reason.WATCH_STARTED: Topic.STAGE,
    Reason.GATE_PASSED: Topic.GATE,
    Reason.GATE_PROCEEDED: Topic.GATE,
    Reason.GATE_SKIPPED: Topic.GATE,
    Reason.APPROVED: Topic.GATE,
    Reason.WATCH_CHECKED: Topic.GATE,
    Reason.AWAITING_APPROVAL: Topic.BLOCKED,
    Reason.APPROVALS_UNREADABLE: Topic.BLOCKED,
    Reason.NO_GO: Topic.BLOCKED,
    Reason.COMMAND_TAKEN: Topic.COMMAND,
    Reason.INVALID_COMMAND: Topic.COMMAND,
    Reason.PREFLIGHT_FAILED: Topic.BLOCKED,
    Reason.INVALID_SPEC: Topic.BLOCKED,
    Reason.POLICY_NOT_FOUND: Topic.BLOCKED,
    Reason.PROMETHEUS_UNKNOWN: Topic.BLOCKED,
    Reason.NOTIFIED: Topic.ALERT,
    Reason.MITIGATING: Topic.ALERT,
    Reason.STEPPED_BACK: Topic.ALERT,
    Reason.SHARED_INCIDENT: Topic.ALERT,
    Reason.SETTLE_BREACHED: Topic.ALERT,
    Reason.STABLE_CHANGED: Topic.ALERT,
    Reason.NOT_SETTLED: Topic.ALERT,
    Reason.TRAFFIC_CONTESTED: Topic.ALERT,
    Reason.STATE_REGRESSED: Topic.ALERT,
    Reason.ROLLING_BACK: Topic.ROLLBACK,
    Reason.ROLLED_BACK: Topic.ROLLBACK,
    Reason.STABLE_UNAVAILABLE: Topic.ROLLBACK,
    Reason.ROUTE_WRITE_FAILED: Topic.ROLLBACK,
    Reason.DELETED_DURING_RUN: Topic.ROLLBACK,
    Reason.PROMOTED: Topic.PROMOTED,
    Reason.SETTLED: Topic.END,
    Reason.CANCELLED: Topic.END,
    Reason.SUPERSEDED: Topic.END,
    Reason.CANARY_CHANGED: Topic.END,
    Reason.DRY_RUN: Topic.END,
}
_OWN = frozenset({Reason.NOTIFICATION_LOST, Reason.NOTIFICATION_TARGET_UNKNOWN})
"""Told in Events alone: a message about a message that could not be delivered would have no end."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The release a message is about."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RuleSaid:
    """What one rule found: its value, the limit it was held against (empty where a word does not do), the sentence."""

    rule: str
    verdict: Verdict
    value: str
    limit: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One message, before anybody gave it the form of a target. Weights are percent, times UTC."""

    id: str
    """The same for the same message, however often it is sent."""
    topic: Topic
    reason: Reason
    at: datetime
    warning: bool
    subject: Subject
    version: str
    run: str
    phase: str
    stage: str
    message: str
    rules: tuple[RuleSaid, ...]
    weight_before: float | None
    """Before a rollback; None where nothing went back."""
    weight: float
    seconds: float | None
    """From the decision to roll back to the route's answer."""
    evidence: EvidenceStatus
    again: bool = False
    """Whether an operator before this one may have sent it already."""
    mirror_before: float | None = None
    """Before a rollback, where requests were mirrored."""
    mirror: float = 0.0

    @property
    def command(self) -> str:
        """What to type to look further."""
        return f"kubectl sparkrelease status {self.subject.name} -n {self.subject.namespace}"


def topic_of(event: EventDraft) -> Topic | None:
    """What the Event is about; None for what is told in Events alone."""
    if event.reason in _OWN:
        return None
    by_reason = _TOPICS.get(event.reason)
    if by_reason is not None:
        return by_reason
    return Topic.WARNING if event.severity is Severity.WARNING else None


def worth_telling(events: Sequence[EventDraft]) -> list[EventDraft]:
    """The Events of one round that are messages: a rollback that began and ended in it is told once, with its end."""
    ended = any(event.reason is Reason.ROLLED_BACK for event in events)
    told = (event for event in events if topic_of(event) is not None)
    return [event for event in told if not (ended and event.reason is Reason.ROLLING_BACK)]


def notice_of(
    event: EventDraft,
    subject: Subject,
    spec: ResolvedSpec | None,
    status: SparkReleaseStatus,
    now: datetime,
    *,
    ended: HistoryEntry | None = None,
    again: bool = False,
) -> Notice:
    """The message an Event becomes, with the figures of the status as it is now; `ended`: the run it is the end of."""
    run, version = (ended.run, ended.version) if ended else _present(status)
    record = status.rollback if status.rollback is not None and status.rollback.run == run else None
    back = record if topic_of(event) is Topic.ROLLBACK else None
    at = ended.ended_at if ended else now
    weight = status.weight
    said = "" if ended else f"{event.message}\n{at.isoformat()}"
    return Notice(
        id=hashlib.sha256("\n".join((subject.uid, run, event.reason.value, said)).encode()).hexdigest()[:32],
        topic=topic_of(event) or Topic.WARNING,
        reason=event.reason,
        at=at,
        warning=event.severity is Severity.WARNING,
        subject=subject,
        version=version,
        run=run,
        phase=status.phase.value,
        stage=_stage(status, back.stage if back else ""),
        message=event.message,
        rules=_rules(event, spec, status, back.trigger if back else ""),
        weight_before=back.from_weight if back else None,
        mirror_before=back.from_mirror if back else None,
        weight=weight.desired if weight.observed is None else weight.observed,
        mirror=weight.mirror or 0.0,
        seconds=back.seconds if back else None,
        evidence=ended.evidence if ended else status.evidence,
        again=again,
    )


def ended_by(event: EventDraft, status: SparkReleaseStatus) -> HistoryEntry | None:
    """The run whose end the Event tells of: the last one that ended; None for any other Event."""
    last = status.history[0] if status.history else None
    return last if event.reason in CLOSING and last is not None and last.reason == event.reason.value else None


def closing_event(ended: HistoryEntry, status: SparkReleaseStatus) -> EventDraft:
    """The Event of the end of a run, from the status alone."""
    reason = Reason.named(ended.reason)
    record = status.rollback
    if record is not None and record.run == ended.run and reason is Reason.ROLLED_BACK:
        text = f"{record.message}; traffic back on stable after {record.seconds or 0:g} s"
    else:
        text = f"run {ended.run} of {ended.version} ended: {ended.outcome.value}"
    warning = reason in {Reason.ROLLED_BACK, Reason.DELETED_DURING_RUN}
    return EventDraft(reason, text, Severity.WARNING if warning else Severity.NORMAL)


def _present(status: SparkReleaseStatus) -> tuple[str, str]:
    return (status.run.id, status.run.version) if status.run is not None else ("", "")


def _stage(status: SparkReleaseStatus, of_rollback: str) -> str:
    if of_rollback or status.stage is None:
        return of_rollback
    return f"{status.stage.name} ({status.stage.index}/{status.stage.count})"


def _rules(
    event: EventDraft, spec: ResolvedSpec | None, status: SparkReleaseStatus, trigger: str
) -> tuple[RuleSaid, ...]:
    """The rules the message is about: the one that asked for the rollback, or those whose sentences it quotes."""

    def meant(verdict: RuleVerdict) -> bool:
        return verdict.rule == trigger or (bool(verdict.message) and verdict.message in event.message)

    found = (verdict for verdict in status.verdicts if verdict.verdict is not Verdict.PASS and meant(verdict))
    return tuple(
        RuleSaid(v.rule, v.verdict, v.value, limit_of(v.kind, v.rule, spec) if spec else "", v.message) for v in found
    )[:MOST_RULES]
