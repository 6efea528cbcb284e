"""What a backtest found: when rules were true, what releases one after the other would have come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.api.status import Verdict

MOST_STRETCHES = 2000
"""Times in which a rule was true that are kept of each rule: a rule that flaps is true as often as it is looked at."""

MOST_TRIALS = 5000
"""Releases that are kept: each that is rolled back at once is followed by the next."""


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
    """The first MOST_STRETCHES times in which it was true."""
    more: int = 0
    """Times in which it was true that are counted and not kept."""
    last: Stretch | None = None
    true_for: timedelta = timedelta(0)
    """How long it was true in all."""
    acted: int = 0
    """How often it was true for long enough."""
    rollbacks: int = 0

    def begin(self, at: datetime, sentence: str) -> Stretch:
        """It is true from then on."""
        self.last = Stretch(at, at, sentence)
        if len(self.stretches) < MOST_STRETCHES:
            self.stretches.append(self.last)
        else:
            self.more += 1
        return self.last

    def stay(self, last: Stretch, until: datetime) -> None:
        """It is still true."""
        self.true_for += until - last.end
        last.end = until

    def act(self, last: Stretch, at: datetime, sentence: str) -> None:
        """It has been true for long enough."""
        last.acted_at, last.sentence = at, sentence
        self.acted += 1


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


@dataclass(slots=True)
class Trials:
    """Releases one after the other: the first MOST_TRIALS as they were, of all of them what they amount to.

    `step` is how much later than an incident's end a look may see it.
    """

    step: timedelta
    incidents: Sequence[Incident] = ()
    kept: list[Trial] = field(default_factory=list)
    endings: Counter[Ending] = field(default_factory=Counter)
    false_rollbacks: int = 0
    """Rollbacks outside the incidents."""
    caught: dict[Incident, Trial] = field(default_factory=dict)
    """The first rollback in each incident that had one."""

    def note(self, trial: Trial) -> None:
        """One more release has ended."""
        self.endings[trial.ending] += 1
        if len(self.kept) < MOST_TRIALS:
            self.kept.append(trial)
        if trial.ending is not Ending.ROLLED_BACK:
            return
        within = [one for one in self.incidents if one.begin <= trial.end <= one.end + self.step]
        self.false_rollbacks += not within
        for incident in within:
            self.caught.setdefault(incident, trial)

    @property
    def more(self) -> int:
        """Releases that are counted and not kept."""
        return self.endings.total() - len(self.kept)


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
    trials: Trials
    told: Sequence[Told]
    untold: int
    """Decisions that are counted and not kept."""
    lines: Sequence[Line]
    left_out: Mapping[str, str]
    queries: int

    @property
    def disappoints(self) -> bool:
        """Whether a healthy time would have seen a rollback, or an incident none."""
        return self.trials.false_rollbacks > 0 or any(one not in self.trials.caught for one in self.trials.incidents)

    def stretches(self) -> Iterator[tuple[Trial, ...]]:
        """Rollbacks that follow each other without a release between them that did better, of the releases kept."""
        run: list[Trial] = []
        for one in self.trials.kept:
            if one.ending is Ending.ROLLED_BACK:
                run.append(one)
            elif run:
                yield tuple(run)
                run = []
        if run:
            yield tuple(run)
