"""What legs are judged on: the facts of one round about the role on trial, each looked up once."""

from __future__ import annotations

from math import isfinite

from sparkrelease.decide.answers import asked_of, history_of, reading_of, reading_or_missing
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Ask, Missing, Reading, Role, Track, Value
from sparkrelease.decide.rules import sound


class Sight:
    """One role in one round. All legs of the round share it, so what one has looked at is at hand for the next."""

    __slots__ = ("_looked", "d", "role")

    def __init__(self, d: Draft, role: Role) -> None:
        self.d = d
        self.role = role
        self._looked = d.readings[role is Role.STABLE]

    @property
    def other(self) -> Role:
        """The role that is not on trial."""
        return Role.STABLE if self.role is Role.CANARY else Role.CANARY

    def reading(self, metric: str) -> Reading:
        """The metric over its own window, of the role on trial."""
        known = self._looked.get(metric)
        if known is None:
            known = self._looked[metric] = _look(self.d, metric, self.role)
        return known

    def reading_of_other(self, metric: str) -> Reading:
        """The metric over its own window, of the role that is not on trial."""
        looked = self.d.readings[self.role is not Role.STABLE]
        known = looked.get(metric)
        if known is None:
            known = looked[metric] = _look(self.d, metric, self.other)
        return known

    def asked(self, ask: Ask) -> Reading:
        """A metric over another window, or as it was; a past too short to answer is TooFewPoints."""
        d = self.d
        return sound(asked_of(d.spec, d.facts, ask, self.role, d.now))

    def history(self, metric: str) -> tuple[Track, ...] | Missing:
        """The series of a metric; a role without any yet has too few points."""
        return history_of(self.d.spec, self.d.facts, metric, self.role, self.d.now)

    def history_of_other(self, metric: str) -> tuple[Track, ...] | Missing:
        """The series of a metric, of the role that is not on trial."""
        return history_of(self.d.spec, self.d.facts, metric, self.other, self.d.now)

    def baseline(self, metric: str) -> float | None:
        """What stable was before the run, frozen; None when that is not known."""
        return next((b.value for b in self.d.status.baselines if b.metric == metric), None)


def _look(d: Draft, metric: str, role: Role) -> Reading:
    reading = reading_of(d.facts, metric, role, d.now)
    if isinstance(reading, Value) and isfinite(reading.value):
        return reading
    if reading is None or isinstance(reading, Missing):
        return reading_or_missing(d.facts, metric, role, d.canary_share, d.now)
    return sound(reading)
