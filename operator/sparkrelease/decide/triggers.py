"""Rules that act at once: legs AND-ed on one role, true without a break for their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict, Verdict
from sparkrelease.api.triggers import Leg, LegKind, Trigger, TriggerAction
from sparkrelease.decide.comparison import first_windows
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Role
from sparkrelease.decide.legs.judge import judges_of
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.resolve import ResolvedSpec, per_spec
from sparkrelease.decide.rules import Judgement
from sparkrelease.decide.schedule import active
from sparkrelease.decide.verdicts import remember, said

_SPEAKS_FIRST = {
    verdict: place
    for place, verdict in enumerate((Verdict.ERROR, Verdict.NO_DATA, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL))
}
"""Which leg speaks for the trigger: it fails only when every leg fails, and one that surely passes settles it."""

_ENDS_A_BREACH = frozenset({Verdict.PASS, Verdict.INCONCLUSIVE})
"""The data was there and shows no breach."""

_UNJUDGED = frozenset({Verdict.NO_DATA, Verdict.ERROR})

_COMPARES = frozenset({LegKind.THRESHOLD, LegKind.VS_STABLE, LegKind.VS_BASELINE})


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger that has been true for its time, with its verdict."""

    trigger: Trigger
    verdict: RuleVerdict

    @property
    def acted(self) -> bool:
        """Whether it has acted in this breach already."""
        at, since = self.verdict.acted_at, self.verdict.since
        return at is not None and since is not None and at >= since

    def cools_down(self, now: datetime, pause: timedelta) -> bool:
        """Whether it acted less than `pause` ago, in this breach or one before."""
        at = self.verdict.acted_at
        # A stored time in the future means that the wall clock went back.
        return at is not None and timedelta(0) <= now - at < pause


def judge_legs(trigger: Trigger, sight: Sight) -> tuple[Judgement, ...]:
    """What each leg says of the role by itself."""
    return tuple([judge(lens, sight) for judge, lens in judges_of(sight.d.spec)[trigger.name]])


def together(judgements: Sequence[Judgement]) -> Judgement:
    """The leg that speaks for all of them; when all fail, their sentences stand together."""
    if len(judgements) == 1:
        return judgements[0]
    first = min(judgements, key=lambda j: _SPEAKS_FIRST[j.verdict])
    if first.verdict is not Verdict.FAIL:
        return first
    return first._replace(message=" and ".join(dict.fromkeys(j.message for j in judgements)))


def _not_looked_at(trigger: Trigger) -> Judgement:
    """What a trigger says outside its hours."""
    return Judgement(Verdict.PASS, Reason.NOT_ACTIVE, "", f"{trigger.name}: not looked at now")


def _since(
    before: RuleVerdict | None, judgement: Judgement, legs: Sequence[Judgement], now: datetime
) -> datetime | None:
    """Since when the trigger is true. A blind gap does not end a breach: what is unknown is not good."""
    if judgement.verdict in _ENDS_A_BREACH:
        return None
    # A stored time in the future means that the wall clock went back; counting begins anew instead of waiting for it.
    was = min(before.since, now) if before and before.since else None
    if judgement.verdict is Verdict.FAIL:
        return was or now
    return was if all(leg.verdict is not Verdict.PASS for leg in legs) else None


def told_triggers(d: Draft) -> dict[str, object]:
    """By name of each trigger that is true now, what it compares and for how long it has been true, for evidence."""
    since = {v.rule: v.since for v in d.status.verdicts if v.kind == "trigger" and v.since is not None}
    return {
        trigger.name: {
            "action": trigger.action.value,
            "forSeconds": trigger.for_.total_seconds(),
            "heldForSeconds": (d.now - since[trigger.name]).total_seconds(),
            "all": [_told_leg(leg) for leg in trigger.all],
        }
        for trigger in d.spec.triggers
        if trigger.name in since
    }


def _told_leg(leg: Leg) -> dict[str, object]:
    """A leg as it is declared, its comparison spelt out where it has one."""
    declared = leg.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    op = {"op": leg.comparator} if leg.kind in _COMPARES else {}
    return {"metric": leg.metric, "kind": leg.kind.value, **op, **declared}


def hold_unjudged(d: Draft) -> None:
    """Holds where a rule that would act cannot be judged for want of data: what is unknown is not good."""
    telling = _telling(d.spec)
    for verdict in d.status.verdicts:
        acts = verdict.kind == "comparison" or (verdict.kind == "trigger" and verdict.rule in telling)
        if acts and verdict.verdict in _UNJUDGED and not first_windows(d, verdict.rule):
            d.hold(Reason.named(verdict.reason), verdict.message)


@per_spec
def _telling(spec: ResolvedSpec) -> frozenset[str]:
    """Names of the triggers that do more than tell people."""
    return frozenset(t.name for t in spec.triggers if t.action is not TriggerAction.NOTIFY)


def run_triggers(d: Draft, role: Role) -> tuple[Fired, ...]:
    """Judges every trigger and answers those that have been true for their time; holds for those on their way there."""
    before = {v.rule: v for v in d.status.verdicts if v.kind == "trigger"}
    sight, judges = Sight(d, role), judges_of(d.spec)
    news: list[RuleVerdict] = []
    fired: list[Fired] = []
    for trigger in d.spec.triggers:
        name = trigger.name
        old = before.get(name)
        if trigger.active_when is None or active(trigger.active_when, d.now):
            legs = d.legs[name] = tuple([judge(lens, sight) for judge, lens in judges[name]])
            judgement = legs[0] if len(legs) == 1 else together(legs)
        else:
            legs, judgement = (), _not_looked_at(trigger)
        since = _since(old, judgement, legs, d.now)
        acted = old.acted_at if old is not None else None
        shared = old.shared_since if old is not None and since is not None else None
        verdict = said(name, "trigger", judgement, since, old, acted_at=acted, shared_since=shared)
        if verdict is not old:
            news.append(verdict)
        if judgement.verdict is not Verdict.FAIL or since is None:
            continue
        if d.now - since >= trigger.for_:
            fired.append(Fired(trigger, verdict))
        elif trigger.action is not TriggerAction.NOTIFY:
            d.hold(Reason.TRIGGER_HOLDS, f"{judgement.message} (acts after {trigger.for_.total_seconds():g} s)")
    remember(d, news)
    return tuple(fired)
