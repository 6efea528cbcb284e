"""A rollback as its evidence tells it: the rule, the times, and what was measured before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.checkpoints import FAILED
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import MetricFacts
from sparkrelease.documents.record import Decision, Run, number_in, text_of
from sparkrelease.documents.visits import is_rollback


@dataclass(frozen=True, slots=True)
class RuleSaid:
    """What one rule said in the round of the rollback."""

    rule: str
    verdict: str
    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """One rule that failed the watch: what it found, and the limit that was held against it."""

    rule: str
    value: str
    limit: str
    message: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a rollback by command, and what they said with it."""

    user: str
    reason: str
    stage: str
    restore_point: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """One rollback. Times are None, and readings empty, where evidence does not say."""

    rule: str
    reason: str
    message: str
    stage: str
    from_weight: float | None
    from_mirror: float | None
    true_since: datetime | None
    """Since when the rule had been true, where it is a trigger."""
    decided_at: datetime
    traffic_at: datetime | None
    """When the route said 0."""
    entry: int
    digest: str
    closed_by: int | None
    """Number of the entry that closed the run."""
    asked: Asked | None
    said: tuple[RuleSaid, ...]
    failed: tuple[Failed, ...]
    """What failed the watch, where that is why it went back."""
    before: Mapping[str, MetricFacts]
    after: Mapping[str, MetricFacts]
    """What was measured for that once traffic was back; empty when it was not (yet)."""
    verified_at: datetime | None
    """Since when the gateway was known to follow, by that measurement."""

    @property
    def reaches_back(self) -> tuple[str, ...]:
        """Metrics measured afterwards whose window began before traffic was known to be back."""
        since = self.verified_at
        return tuple(name for name, one in self.after.items() if since is None or one.at - one.window < since)

    @property
    def seconds(self) -> float | None:
        """Seconds from the decision to the route: the recovery time."""
        return None if self.traffic_at is None else round((self.traffic_at - self.decided_at).total_seconds(), 3)


def rollback_of(run: Run) -> Rollback | None:
    """The rollback of the run; None when there was none."""
    for place, decision in enumerate(run.decisions):
        for entry in decision.entries:
            if is_rollback(entry):
                return _told(run, entry, decision, run.decisions[place:])
    return None


def _told(run: Run, entry: Entry, decision: Decision, rest: tuple[Decision, ...]) -> Rollback:
    decided_at, traffic_at, closed_by = decision.at, None, None
    for later in rest:
        closing = next((one for one in later.entries if "outcome" in one.data), None)
        if closing is not None:
            closed_by = closing.number
            decided_at, traffic_at = _times(run, decided_at, later)
            break
    stage = decision.inputs.status.stage if decision.inputs is not None else None
    message = entry.message.partition(": ")[2] if entry.message.startswith("rolling back from") else entry.message
    rule = text_of(entry.data, "trigger")
    before = decision.inputs.facts.metrics if decision.inputs is not None else {}
    after, verified_at = _after(rest)
    return Rollback(
        rule=rule,
        reason=entry.kind,
        message=message,
        stage=stage.name if stage is not None else "",
        from_weight=number_in(entry.data, "fromWeight"),
        from_mirror=number_in(entry.data, "fromMirror"),
        true_since=_since(decision, rule),
        decided_at=decided_at,
        traffic_at=traffic_at,
        entry=entry.number,
        digest=entry.digest,
        closed_by=closed_by,
        asked=_asked(decision) if entry.kind == Reason.ROLLBACK_REQUESTED.value else None,
        said=_said(entry),
        failed=_failed(entry),
        before=before,
        after=after,
        verified_at=verified_at,
    )


def _times(run: Run, decided_at: datetime, closing: Decision) -> tuple[datetime, datetime | None]:
    """When the rollback was decided, and when the route said 0, by the round that closed the run."""
    if closing.inputs is None:
        return decided_at, None
    record, route = closing.inputs.status.rollback, closing.inputs.facts.route
    if record is not None and record.run == run.id:
        decided_at = record.decided_at
    return decided_at, max(route.written_at or closing.inputs.now, decided_at)


def _since(decision: Decision, rule: str) -> datetime | None:
    verdicts = decision.inputs.status.verdicts if decision.inputs is not None else ()
    return next((one.since for one in verdicts if one.kind == "trigger" and one.rule == rule), None)


def _asked(decision: Decision) -> Asked | None:
    """The command, whose own entry stands beside the rollback's."""
    for entry in decision.entries:
        if entry.kind == Reason.COMMAND_TAKEN.value:
            keys = ("user", "reason", "stage", "restorePoint")
            return Asked(*(text_of(entry.data, key) for key in keys))
    return None


def _said(entry: Entry) -> tuple[RuleSaid, ...]:
    legs = entry.data.get("legs")
    found = []
    for rule, words in sorted(legs.items()) if isinstance(legs, Mapping) else ():
        for word in words if isinstance(words, list) else ():
            if isinstance(word, Mapping):
                found.append(RuleSaid(str(rule), text_of(word, "verdict"), text_of(word, "message")))
    return tuple(found)


def _failed(entry: Entry) -> tuple[Failed, ...]:
    rules = entry.data.get(FAILED)
    return tuple(
        Failed(*(text_of(rule, key) for key in ("rule", "value", "limit", "message")))
        for rule in (rules if isinstance(rules, list) else ())
        if isinstance(rule, Mapping)
    )


def _after(rest: tuple[Decision, ...]) -> tuple[Mapping[str, MetricFacts], datetime | None]:
    """What was measured for it once traffic was back, and since when the gateway was known to follow then."""
    for later in rest:
        after = later.inputs.facts.after if later.inputs is not None else None
        if later.inputs is not None and after:
            record = later.inputs.status.rollback
            return after, record.verified_at if record is not None else None
    return {}, None
