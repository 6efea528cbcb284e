"""The stages of a run as they came: when the weight was asked for and in force, what was observed, how it was left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.evidence import Entry
from sparkrelease.documents.burns import Burn, burns_of
from sparkrelease.documents.record import Decision, Run, number_in, text_of, time_of
from sparkrelease.documents.results import Over, Result, results_of


class Left(StrEnum):
    """How a stage was left."""

    PASSED = "Passed"
    PROCEEDED = "Proceeded"
    """Its gate stayed inconclusive, and the stage says to go on."""
    SKIPPED = "Skipped"
    """A person skipped its gate."""
    STEPPED_BACK = "SteppedBack"
    RESTED = "Rested"
    """Stepped back to no weight at all, waited in quiet, and began again."""
    ROLLED_BACK = "RolledBack"
    SETTLED = "Settled"
    """A step of the way back to stable, at its end."""
    ENDED = "Ended"
    """The run ended for another reason than a rollback."""
    UNDER_WAY = "UnderWay"


GATES = {
    Reason.GATE_PASSED.value: Left.PASSED,
    Reason.GATE_PROCEEDED.value: Left.PROCEEDED,
    Reason.GATE_SKIPPED.value: Left.SKIPPED,
}
_WATCH = "WatchStarted"
"""Kind of the entry that begins the watch at the last weight."""

_ENDS = frozenset({Reason.PROMOTED.value, Reason.SETTLE_BREACHED.value})
_STEPS_BACK = frozenset({Reason.STEPPED_BACK.value, Reason.SHARED_INCIDENT.value})


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay at a stage. A run that stepped back comes to a stage a second time, which is another visit.

    `verified_at` is when its weight was first in force; `observed` the time that counts (None where nothing says).
    """

    name: str
    weight: float
    settling: bool
    entered_at: datetime
    left_at: datetime | None
    left: Left
    verified_at: datetime | None
    observed: timedelta | None
    results: tuple[Result, ...]
    burns: tuple[Burn, ...]
    """Burn rates by the last check; none but in the watch."""
    entry: int
    """Number of the entry that began it."""
    last_entry: int
    """Number of the entry that says how it was left."""
    mirror: float = 0.0
    """Share of requests mirrored to canary, in percent; users got stable's answers."""

    @property
    def passing(self) -> int:
        """Objectives that pass."""
        return sum(one.verdict is Verdict.PASS for one in self.results)

    @property
    def judged(self) -> bool:
        """Whether all of it was judged, by its gate or as the watch."""
        return bool(self.results) and all(one.whole_stage for one in self.results)

    @property
    def sight(self) -> str:
        """What its objectives were judged by where it is not all of the stage: `last check` of the watch, or a look."""
        if not self.results or self.judged:
            return ""
        return "last look" if any(one.over is Over.LOOK for one in self.results) else "last check"


def is_rollback(entry: Entry) -> bool:
    """Whether the entry decides that traffic goes back to stable, and the run ends."""
    if "fromStage" in entry.data:
        return False  # a step back
    return entry.kind == Reason.ROLLING_BACK.value or {"trigger", "fromWeight"} <= entry.data.keys()


def visits_of(run: Run) -> tuple[Visit, ...]:
    """All visits, in order."""
    found: list[Visit] = []
    here: _Here | None = None
    for decision in run.decisions:
        if here is not None:
            here.look(run, decision)
        for entry in decision.entries:
            began = _begins(entry)
            if here is not None and (began is not None or here.hear(entry)):
                found.append(here.leave(entry))
                here = None
            if began is not None:
                here = began
    return (*found, here.stay()) if here is not None else tuple(found)


def weights_of(run: Run) -> tuple[tuple[datetime, float], ...]:
    """What canary was to have, in percent, from each instant on."""
    found: list[tuple[datetime, float]] = []
    for at, weight in _weights(run):
        if not found or found[-1][1] != weight:
            found.append((at, weight))
    return tuple(found)


def _weights(run: Run) -> Iterator[tuple[datetime, float]]:
    for entry in run.entries:
        weight = number_in(entry.data, "weight")
        moves = _begins(entry) is not None or entry.kind in {Reason.PROMOTED.value, Reason.SETTLE_BREACHED.value}
        if moves and weight is not None:
            yield time_of(entry), weight
        elif is_rollback(entry) or "outcome" in entry.data:
            yield time_of(entry), 0.0


def _begins(entry: Entry) -> _Here | None:
    """The visit that begins with the entry, if one does."""
    weight = number_in(entry.data, "weight")
    if weight is None:
        return None
    stage = text_of(entry.data, "stage")
    if entry.kind == _WATCH:
        return _Here("watch", weight, entry, settling=False)
    if entry.kind == Reason.SETTLING.value:
        return _Here(f"settle-{weight:g}", weight, entry, settling=True)
    if stage and (
        entry.kind == Reason.STAGE_ENTERED.value or (entry.kind in _STEPS_BACK and "fromStage" in entry.data)
    ):
        return _Here(stage, weight, entry, settling=False, mirror=number_in(entry.data, "mirror") or 0.0)
    return None


class _Here:
    """A visit while it lasts."""

    def __init__(self, name: str, weight: float, entry: Entry, *, settling: bool, mirror: float = 0.0) -> None:
        self._mirror = mirror
        self._name, self._weight, self._entry, self._settling = name, weight, entry, settling
        self._verified: datetime | None = None
        self._observed: timedelta | None = None
        self._results: tuple[Result, ...] = ()
        self._burns: tuple[Burn, ...] = ()
        self._left = Left.UNDER_WAY
        self._last = entry.number

    @property
    def _idle(self) -> bool:
        """Whether canary gets nothing."""
        return self._weight == 0 and not self._mirror

    def look(self, run: Run, decision: Decision) -> None:
        """Takes what a later decision saw of this stage."""
        stage = decision.inputs.status.stage if decision.inputs is not None else None
        if stage is not None and stage.name == self._name:
            self._verified, self._observed = stage.started_at or self._verified, stage.observed
        about = any(entry.kind in GATES or is_rollback(entry) for entry in decision.entries)
        seen, burns = results_of(run, decision), burns_of(run, decision)
        if (seen or burns) and (about or self._left is Left.UNDER_WAY):
            self._results, self._burns = seen, burns

    def hear(self, entry: Entry) -> bool:
        """Takes what an entry says of this stage; True when the visit ends with it."""
        observed = number_in(entry.data, "observed")
        if observed is not None:
            self._observed = timedelta(seconds=observed)
        if entry.kind in GATES and not self._settling:
            self._left, self._last = GATES[entry.kind], entry.number
        elif is_rollback(entry):
            self._left, self._last = Left.ROLLED_BACK, entry.number
        return entry.kind in _ENDS or "outcome" in entry.data

    def leave(self, entry: Entry) -> Visit:
        """The visit, left with this entry."""
        if self._left is Left.UNDER_WAY:
            self._last = entry.number
            self._left = self._way_out(entry)
        return self._visit(time_of(entry))

    def _way_out(self, entry: Entry) -> Left:
        if entry.kind in _STEPS_BACK:
            return Left.STEPPED_BACK
        if self._settling and entry.kind in {Reason.SETTLING.value, Reason.SETTLED.value}:
            return Left.SETTLED
        if self._entry.kind == _WATCH and entry.kind == Reason.PROMOTED.value:
            return Left.PASSED
        again = entry.kind == Reason.STAGE_ENTERED.value and self._idle
        return Left.RESTED if again else Left.ENDED

    def stay(self) -> Visit:
        """The visit, as far as it is known."""
        return self._visit(None)

    def _visit(self, left_at: datetime | None) -> Visit:
        return Visit(
            name=self._name,
            weight=self._weight,
            settling=self._settling,
            entered_at=time_of(self._entry),
            left_at=left_at,
            left=self._left,
            verified_at=self._verified,
            observed=self._observed,
            results=() if self._settling or self._idle else self._results,
            burns=() if self._settling or self._idle else self._burns,
            entry=self._entry.number,
            last_entry=self._last,
            mirror=self._mirror,
        )
