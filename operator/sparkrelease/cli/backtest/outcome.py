"""What a backtest found: when rules were true, what releases one after the other would have come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.api.status import Verdict


class Ending(StrEnum):
    """How a tried release ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    HELD = "held"
    """Neither, in three times the time of its stages."""
    CUT_OFF = "cut off"
    """The history ended first."""


@dataclass(slots=True)
class Stretch:
    """A time in which a rule was true without a break; `acted_at` is when it had been so for long enough."""

    begin: datetime
    end: datetime
    sentence: str
    acted_at: datetime | None = None


@dataclass(slots=True)
class RuleSeen:
    """One rule over the whole history."""

    name: str
    kind: str
    action: str
    looks: Counter[Verdict] = field(default_factory=Counter)
    stretches: list[Stretch] = field(default_factory=list)
    rollbacks: int = 0

    @property
    def true_for(self) -> timedelta:
        """How long it was true in all."""
        return sum((one.end - one.begin for one in self.stretches), timedelta(0))

    @property
    def acted(self) -> int:
        """How often it was true for long enough."""
        return sum(one.acted_at is not None for one in self.stretches)


@dataclass(frozen=True, slots=True)
class Trial:
    """One release that might have begun then."""

    begin: datetime
    end: datetime
    ending: Ending
    rule: str = ""
    stage: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which something is known to have been wrong."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """Something a release would have been told between its beginning and its end: a hold, a step back, a notice."""

    at: datetime
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    """A metric's value over time as a person compares it with a limit: a share of bad or slow events, or the value."""

    metric: str
    unit: str
    points: Sequence[tuple[float, float]]
    """Seconds of Unix time and the highest value of that part of the history."""
    limits: Sequence[float] = ()
    """What rules allow, in the same unit."""
    what: str = ""
    """Which events are counted, where that is not plain: `slower than 0.2s`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was found between `begin` and `end`."""

    release: str
    begin: datetime
    end: datetime
    step: timedelta
    stages: timedelta
    rules: Sequence[RuleSeen]
    trials: Sequence[Trial]
    told: Sequence[Told]
    untold: int
    """Decisions that are counted and not kept."""
    lines: Sequence[Line]
    left_out: Mapping[str, str]
    incidents: Sequence[Incident]
    queries: int

    @property
    def rollbacks(self) -> tuple[Trial, ...]:
        """Releases that would have been rolled back."""
        return tuple(one for one in self.trials if one.ending is Ending.ROLLED_BACK)

    def caught(self, incident: Incident) -> Trial | None:
        """The first rollback in an incident."""
        return next((one for one in self.rollbacks if incident.begin <= one.end <= incident.end + self.step), None)

    @property
    def false_rollbacks(self) -> tuple[Trial, ...]:
        """Rollbacks outside the incidents."""
        within = {id(one) for incident in self.incidents for one in self.rollbacks if _in(one, incident, self.step)}
        return tuple(one for one in self.rollbacks if id(one) not in within)

    @property
    def disappoints(self) -> bool:
        """Whether a healthy time would have seen a rollback, or an incident none."""
        return bool(self.false_rollbacks) or any(self.caught(one) is None for one in self.incidents)

    def stretches(self) -> Iterator[tuple[Trial, ...]]:
        """Rollbacks that follow each other without a release between them that did better."""
        run: list[Trial] = []
        for one in self.trials:
            if one.ending is Ending.ROLLED_BACK:
                run.append(one)
            elif run:
                yield tuple(run)
                run = []
        if run:
            yield tuple(run)


def _in(trial: Trial, incident: Incident, step: timedelta) -> bool:
    return incident.begin <= trial.end <= incident.end + step
