"""Whether one decision of a run can follow another: what only a recorded decision may change has not changed between.

Most rounds record nothing, so a status moves on between two entries: clocks run, tests count windows. Three things hold
all the same. What `standing` names stays as it was. A time at which something began, and which lies before the earlier
decision, was known to it. What counts up never goes down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.status import SparkReleaseStatus, StageStatus
from sparkrelease.decide.facts import Facts


@dataclass(frozen=True, slots=True)
class Stood:
    """A status that a recorded decision was made from, or led to; when it was decided, and under which epoch."""

    status: SparkReleaseStatus
    at: datetime
    epoch: int
    waits: bool = False
    """The decision that led to it is taken once its evidence is known to be stored."""


@dataclass(frozen=True, slots=True)
class Leap:
    """What changed and may not have: the field of the status, what it says, what it must have said."""

    field: str
    stored: object
    expected: object


ABSENT = "absent"
"""Stands for a value that is on one side only."""

_WRITTEN = timedelta(milliseconds=1)
"""A status that was read back has its times cut to the millisecond."""

_STEPS_BACK = timedelta(seconds=5)
"""What began so shortly before the earlier decision may have begun after it, on a wall clock that was set back."""


def leap_of(known: Sequence[Stood], status: SparkReleaseStatus, now: datetime, facts: Facts) -> Leap | None:
    """The first thing that cannot be so after what is known; None where it follows from it, or nothing is known.

    It follows from the last one. Two may decide from an older status again: the successor of an operator that died
    between evidence and status, and one that was told that the state came back older than it was. And a decision that
    waits for its evidence may never be taken: what follows where that went unheard is decided from the status before.
    """
    if not known:
        return None
    found = next(_leaps(known[-1], status, now), None)
    anew = facts.epoch > known[-1].epoch or facts.regression is not None
    older = known[:-1] if anew else known[-2:-1] if known[-1].waits else ()
    if any(next(_leaps(stood, status, now), None) is None for stood in older):
        return None
    return found


def _leaps(stood: Stood, status: SparkReleaseStatus, now: datetime) -> Iterator[Leap]:
    old, new = _standing(stood.status), _standing(status)
    yield from (Leap(field, new[field], one) for field, one in old.items() if new[field] != one)
    if now >= stood.at:
        yield from _unknown(_beginnings(stood.status), _beginnings(status), stood.at - _STEPS_BACK)
    before, after = _counts(stood.status), _counts(status)
    slack = _WRITTEN.total_seconds()
    yield from (Leap(field, n, before[field]) for field, n in after.items() if n < before.get(field, n) - slack)


def _unknown(old: Mapping[str, datetime], new: Mapping[str, datetime], until: datetime) -> Iterator[Leap]:
    """Beginnings up to an instant that a status of a later one did not know."""
    for field, at in new.items():
        known = old.get(field)
        if at <= until and (known is None or abs(known - at) > _WRITTEN):
            yield Leap(field, at.isoformat(), ABSENT if known is None else known.isoformat())


def _standing(status: SparkReleaseStatus) -> dict[str, object]:
    """The part of a status that stays as it is until an entry tells of a change."""
    run, stage, rollback = status.run, status.stage, status.rollback
    return {
        "run": run.id if run else None,
        "specDigest": run.spec_digest if run else None,
        "end": run.end.value if run and run.end else None,
        "gatesPassed": run.gates_passed if run else None,
        "promoted": run is not None and run.promoted_at is not None,
        "stage": stage.name if stage else None,
        "weight": status.weight.desired,
        "rollback": rollback.trigger if rollback else None,
        "incident": status.incident.trigger if status.incident else None,
    }


def _beginnings(status: SparkReleaseStatus) -> dict[str, datetime]:
    """Times at which something began that the status remembers, each taken from the clock of the round it began in."""
    run, stage, incident, watch = status.run, status.stage, status.incident, status.watch
    found = {
        "run.startedAt": run.started_at if run else None,
        "run.promotedAt": run.promoted_at if run else None,
        "stage.enteredAt": stage.entered_at if stage else None,
        "stage.startedAt": stage.started_at if stage else None,
        "stage.passedAt": stage.passed_at if stage else None,
        "weight.changedAt": status.weight.changed_at,
        "incident.since": incident.since if incident else None,
        "incident.recoveredAt": incident.recovered_at if incident else None,
        "watch.checkedAt": watch.checked_at if watch else None,
        "pause.at": status.pause.at if status.pause else None,
    }
    for verdict in status.verdicts:
        path = f"verdicts[{verdict.rule}]"
        found |= {
            f"{path}.since": verdict.since,
            f"{path}.actedAt": verdict.acted_at,
            f"{path}.sharedSince": verdict.shared_since,
        }
    return {field: at for field, at in found.items() if at is not None}


def _counts(status: SparkReleaseStatus) -> dict[str, float]:
    """What only grows: within the run, and for the clock of a stage within that stage."""
    run, stage, watch = status.run, status.stage, status.watch
    if run is None:
        return {}
    name = run.id
    found: dict[str, float] = {f"run[{name}].holds": run.holds}
    if stage is not None:
        found[f"{_of_stage(stage)}.observed"] = stage.observed.total_seconds()
    if watch is not None:
        found["watch.check"] = watch.check
    for test in status.tests:
        if test.counted_until is None or test.counted_until <= run.started_at:
            continue  # what a run before has left
        path = f"tests[{test.metric}]"
        found |= {
            f"{path}.countedUntil": test.counted_until.timestamp(),
            f"{path}.windows": test.windows,
            f"{path}.voided": test.voided,
            f"{path}.e": test.e,
        }
    return found


def _of_stage(stage: StageStatus) -> str:
    began = stage.started_at.isoformat() if stage.started_at else ""
    return f"stage[{stage.name} {began}]"
