"""What evidence tells between the decisions that move weight: holds that begin, and a look every ten minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Reason.STABLE_CHANGED,
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


def basis(d: Draft) -> dict[str, object]:
    """What this round was decided on, as evidence keeps it: readings, each leg's word, tests, triggers now true."""
    return {
        "readings": {name: reading_data(facts) for name, facts in d.facts.metrics.items()},
        "weight": d.on_route,
        **({"mirror": d.mirrored} if d.mirrored else {}),
        "measuredShare": d.status.weight.measured_share,
        "legs": {},  # told also where no leg was looked at, as it always was
        **told_rules(d),
    }


def told_rules(d: Draft) -> dict[str, object]:
    """What every trigger and test said this round, true or not; a part with nothing to tell is left out."""
    legs = {name: [_word(leg) for leg in legs] for name, legs in d.legs.items()}
    parts: dict[str, object] = {"legs": legs, "tests": told_tests(d), "triggers": told_triggers(d)}
    return {name: told for name, told in parts.items() if told}


def told_thresholds(part: str, said: Mapping[str, Judgement]) -> dict[str, object]:
    """What each threshold said, by its name, as that part of an entry's data; nothing where there is none."""
    return {part: {name: _word(one) for name, one in said.items()}} if said else {}


def _word(one: Judgement) -> dict[str, str]:
    """What one rule said by itself."""
    return {"verdict": one.verdict.value, "reason": one.reason.value, "value": one.value, "message": one.message}


_LATER = frozenset({"tests", "triggers", "thresholds", "wholeWatch", FAILED})
"""Parts of entries of any kind that came after the first programs."""

_WENT_ON = frozenset({Reason.GATE_PASSED.value, Reason.GATE_PROCEEDED.value, Reason.WATCH_CHECKED.value})
"""What lets a run go on; it told no legs at first."""


def told_later(kind: str, data: Mapping[str, object]) -> frozenset[str]:
    """Parts that older programs did not tell in such an entry, so that one without them is as good as it was."""
    anew = kind == Reason.SHARED_INCIDENT.value and "verdicts" in data and "trigger" not in data
    return _LATER | {"legs"} if kind in _WENT_ON or anew else _LATER


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
    if first.reason is Reason.STABLE_CHANGED:  # whoever rolled stable out need not be who looks at the release
        d.event(first.reason, first.message, warning=True)


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
