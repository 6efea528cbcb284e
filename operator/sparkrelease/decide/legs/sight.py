"""What a leg is judged on: its trigger, its metric, the role on trial, and the facts of the round."""

from __future__ import annotations

from dataclasses import dataclass

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import Trigger
from sparkrelease.decide.answers import asked_of, history_of, reading_or_missing
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Ask, Missing, Reading, Role, Track
from sparkrelease.decide.legs.lens import Lens
from sparkrelease.decide.rules import Judgement, events, nothing, outside, show, sound


@dataclass(slots=True)
class Sight:
    """One leg (`place` in its trigger, from 0) on one role. Made for every leg of every round, so it is not frozen."""

    d: Draft
    lens: Lens
    role: Role

    @classmethod
    def of(cls, d: Draft, trigger: Trigger, place: int, role: Role) -> Sight:
        """The sight of a leg by its place."""
        return cls(d, d.lenses[trigger.name][place], role)

    @property
    def other(self) -> Role:
        """The role that is not on trial."""
        return Role.STABLE if self.role is Role.CANARY else Role.CANARY

    def reading(self, role: Role | None = None) -> Reading:
        """The metric over its own window."""
        d, name, role = self.d, self.lens.metric.name, role or self.role
        looked = d.readings[role is Role.STABLE]
        known = looked.get(name)
        if known is None:
            known = looked[name] = sound(reading_or_missing(d.facts, name, role, d.canary_share, d.now))
        return known

    def asked(self, ask: Ask) -> Reading:
        """The metric over another window, or as it was; a past too short to answer is TooFewPoints."""
        return sound(asked_of(self.d.spec, self.d.facts, ask, self.role, self.d.now))

    def history(self, role: Role | None = None) -> tuple[Track, ...] | Missing:
        """The metric's series; a role without any yet has too few points."""
        return history_of(self.d.spec, self.d.facts, self.lens.metric.name, role or self.role, self.d.now)

    @property
    def baseline(self) -> float | None:
        """What stable was before the run, frozen; None when that is not known."""
        return next((b.value for b in self.d.status.baselines if b.metric == self.lens.metric.name), None)

    # ------------------------------------------------------------ saying

    def say(self, verdict: Verdict, reason: Reason, value: str, text: str) -> Judgement:
        """A judgement of the leg, in the words of its trigger."""
        return Judgement(verdict, reason, value, f"{self.lens.begin}{text}")

    def nothing(self, reading: Missing) -> Judgement:
        """There is nothing to judge."""
        return nothing(self.lens.trigger.name, self.lens.metric, reading)

    def unsure(self, reason: Reason, value: str, text: str) -> Judgement:
        """Too little is known to say either."""
        return self.say(Verdict.INCONCLUSIVE, reason, value, text)

    def too_few(self, reading: Reading) -> Judgement | None:
        """Inconclusive when fewer events than the leg asks for were counted."""
        seen, least = events(reading), self.lens.leg.min_events
        if seen is None or seen >= least:
            return None
        value = show(self.lens.metric, reading, self.lens.leg.value)
        return self.unsure(Reason.INSUFFICIENT_TRAFFIC, value, f"{value}: fewer than {least} events")

    def against(self, number: float, limit: float, value: str, words: str) -> Judgement:
        """Compares a number with a limit that another number set; values up to the leg's floor are no breach."""
        floor = self.lens.leg.floor
        text = f"{value} {words}"
        if outside(self.lens.op, number, limit) and (floor is None or number > floor):
            return self.say(Verdict.FAIL, Reason.OVER_LIMIT, value, text)
        return self.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{text}, within its limit")
