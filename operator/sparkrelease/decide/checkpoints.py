"""What evidence tells between the decisions that move weight: holds that begin, and a look every ten minutes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.basis import reading_data
from sparkrelease.decide.comparison import told_tests
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.rules import Judgement
from sparkrelease.decide.triggers import told_triggers

EVERY = timedelta(minutes=10)
"""Pause between two checkpoints of a stage."""

EVERY_IN_WATCH = timedelta(hours=1)
"""The same while the last weight is watched; a check is one, too."""

MOST_HOLDS = 20
"""Holds told in the evidence of one run; a release that flaps must not use up the run's budget of ConfigMaps."""

STUCK = (
    Reason.STATE_REGRESSED,
    Reason.EVIDENCE_MISSING,
    Reason.EVIDENCE_DIFFERS,
    Reason.PROGRESS_DEADLINE_EXCEEDED,
    Reason.ROUTE_NOT_FOUND,
    Reason.ROUTE_INVALID,
    Reason.WATCH_INCONCLUSIVE,
)
"""Holds that somebody has to end, the one told first before the others."""

_PASSING = frozenset({Reason.ROUTE_PENDING, Reason.PAUSED, Reason.INSUFFICIENT_TRAFFIC, Reason.EVIDENCE_NOT_STORED})
"""Holds that are no decision about the release: a write on its way, a wish told by its own entry, a missing store."""


FAILED = "failed"
"""Where the entry of a rollback by the watch names the rules that failed: value, limit and sentence of each."""

LATER = frozenset({"tests", "triggers", FAILED})
"""Parts of an entry that are left out where there is nothing to tell, and that older programs did not tell."""


def basis(d: Draft) -> dict[str, object]:
    """What this round was decided on, as evidence keeps it: readings, each leg's word, tests, triggers now true."""
    later = {"tests": told_tests(d), "triggers": told_triggers(d)}
    return {
        "readings": {name: reading_data(facts) for name, facts in d.facts.metrics.items()},
        "weight": d.on_route,
        **({"mirror": d.mirrored} if d.mirrored else {}),
        "measuredShare": d.status.weight.measured_share,
        "legs": {name: [_word(leg) for leg in legs] for name, legs in d.legs.items()},
        **{name: told for name, told in later.items() if told},
    }


def _word(leg: Judgement) -> dict[str, str]:
    """What one leg said by itself."""
    return {"verdict": leg.verdict.value, "reason": leg.reason.value, "value": leg.value, "message": leg.message}


def leading_hold(holds: Sequence[Problem]) -> Problem:
    """The hold people are told of: the first one, unless one says that nothing will move by itself."""
    stuck = {hold.reason: hold for hold in reversed(holds)}
    return next((stuck[reason] for reason in STUCK if reason in stuck), holds[0])


def record_hold(d: Draft) -> None:
    """Adds an entry when a hold begins or its reason changes."""
    run = d.run
    if run is None or not d.holds or run.holds >= MOST_HOLDS:
        return
    first = leading_hold(d.holds)
    said = find(d.before.conditions, ConditionType.PROGRESSING)
    known = said is not None and (said.status, said.reason) == ("False", first.reason.value)
    known = known or any(entry.kind is first.reason for entry in d.entries)
    waiting = first.reason is Reason.NO_DATA and not d.facts.metrics
    if known or waiting or first.reason in _PASSING:
        return
    d.put_run(holds=run.holds + 1)
    d.entry(first.reason, f"holding: {first.message}", basis(d))


def record_checkpoint(d: Draft) -> None:
    """Adds an entry with the readings when the last one of this stage, or its start, is ten minutes ago."""
    stage = d.status.stage
    if d.run is None or stage is None or stage.started_at is None or d.entries:
        return
    pause = EVERY if d.status.watch is None else EVERY_IN_WATCH
    if d.now - (stage.checkpoint_at or stage.started_at) < pause:
        return
    d.put(stage=stage.model_copy(update={"checkpoint_at": d.now}))
    seconds = stage.observed / timedelta(seconds=1)
    data = {**basis(d), "stage": stage.name, "observed": seconds}
    d.entry(Reason.CHECKPOINT, f"stage {stage.name}: {seconds:.0f} s observed", data)
