"""The one softening: what stable suffers too, on counts of its own, is an incident and not (yet) the canary's fault.

Traffic steps back and the release is held; gates have a softening of their own, see `sharedgate`. When the breach
lasts as long as `sharedRollbackAfter`, the run is rolled back all the same: a canary that exhausts something both roles
use makes stable fail as well.
"""

from __future__ import annotations

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Attribution
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import IncidentStatus, RuleVerdict, Verdict
from sparkrelease.api.triggers import Leg, LegKind, Trigger, TriggerAction, TriggerScope
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Role
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rollback import roll_back
from sparkrelease.decide.stepback import may_step_back, resting, step_back
from sparkrelease.decide.triggers import Fired, judge_legs, together
from sparkrelease.decide.verdicts import remember

_ABSOLUTE = frozenset({LegKind.THRESHOLD, LegKind.BURN_RATE, LegKind.GROWTH, LegKind.VS_BASELINE})
"""Kinds that stable can breach by itself. The others say already that canary is worse than stable, or read gauges."""


def can_be_shared(d: Draft, trigger: Trigger) -> bool:
    """Whether a breach may be softened at all: never of scope shared, gauges, or rules that act on any one event."""
    return trigger.scope is TriggerScope.CANARY and all(_counts_both(d, leg) for leg in trigger.all)


def _counts_both(d: Draft, leg: Leg) -> bool:
    metric = d.spec.metric(leg.metric)
    any_event = leg.kind is LegKind.THRESHOLD and leg.comparator == ">" and not leg.value
    own = metric.counted and metric.attribution is not Attribution.SHARED
    return own and leg.kind in _ABSOLUTE and not any_event


def is_shared(d: Draft, trigger: Trigger) -> bool:
    """Whether stable breaches every leg too, on enough events.

    At any look since the trigger became true, that is, or a moment ago in the incident under way.
    A control group of one percent has few events, so in one incident it is above a limit at some looks and below it at
    others. Windows still hold requests of the incident for a while after it ended, and after a step back canary's hold
    little else; without traffic it cannot be judged at all.
    """
    if not can_be_shared(d, trigger):
        return False
    incident = d.status.incident
    if incident is None or incident.trigger != trigger.name:
        said = _said_of(d, trigger)
        return said is not None and said.shared_since is not None
    if resting(d) or incident.recovered_at is None:
        return True
    windows = [d.spec.metric(leg.metric).window for leg in trigger.all]
    return d.now - min(incident.recovered_at, d.now) < max(windows) + d.facts.tick


def _said_of(d: Draft, trigger: Trigger) -> RuleVerdict | None:
    return next((v for v in d.status.verdicts if v.kind == "trigger" and v.rule == trigger.name), None)


def note_stable(d: Draft) -> None:
    """Remembers since when stable breaches a true trigger too, and since when the incident's one no more."""
    _note_suffering(d)
    incident = d.status.incident
    trigger = _trigger_of(d, incident) if incident is not None else None
    if incident is None or trigger is None:
        return
    breaches = _of_stable(d, trigger) is Verdict.FAIL
    if breaches != (incident.recovered_at is None):
        d.put(incident=incident.model_copy(update={"recovered_at": None if breaches else d.now}))


def _note_suffering(d: Draft) -> None:
    """A trigger that is true, though not yet for its time, is already looked at for stable."""
    true = {v.rule: v for v in d.status.verdicts if v.kind == "trigger" and v.since and v.shared_since is None}
    for trigger in d.spec.triggers if true else ():
        said = true.get(trigger.name)
        rolls = said is not None and trigger.action is TriggerAction.ROLLBACK
        if said is not None and rolls and can_be_shared(d, trigger) and _of_stable(d, trigger) is Verdict.FAIL:
            remember(d, [said.model_copy(update={"shared_since": d.now})])


def _trigger_of(d: Draft, incident: IncidentStatus) -> Trigger | None:
    return next((t for t in d.spec.triggers if t.name == incident.trigger), None)


def _of_stable(d: Draft, trigger: Trigger) -> Verdict:
    return together(judge_legs(trigger, Sight(d, Role.STABLE))).verdict


def mind_incident(d: Draft, suffering: tuple[Fired, ...]) -> bool:
    """Opens, holds or closes the incident; True when traffic goes back.

    `suffering` are the triggers that fired and that stable breaches too. An incident ends when stable surely breaches
    no more and canary does not either; whatever is not known keeps it open.
    """
    incident = d.status.incident
    if incident is None:
        return bool(suffering) and _open(d, suffering[0])
    if _is_over(d, incident):
        text = f"{incident.trigger}: stable is well again"
        d.put(incident=None)
        d.entry(Reason.SHARED_INCIDENT, f"the incident is over: {text}", basis(d))
        d.event(Reason.SHARED_INCIDENT, f"the incident is over: {text}")
        return False
    return _bear(d, incident)


def _open(d: Draft, fired: Fired) -> bool:
    stage = d.status.stage
    where = stage.name if stage is not None else ""
    d.put(incident=IncidentStatus(trigger=fired.trigger.name, since=d.now, from_stage=where))
    text = f"{fired.verdict.message}; stable breaches it too"
    if may_step_back(d):
        step_back(d, fired.trigger.name, Reason.SHARED_INCIDENT, text)
        return True
    d.entry(Reason.SHARED_INCIDENT, text, {"trigger": fired.trigger.name, **basis(d)})
    d.event(Reason.SHARED_INCIDENT, text, warning=True)
    d.hold(Reason.SHARED_INCIDENT, text)
    return False


def _is_over(d: Draft, incident: IncidentStatus) -> bool:
    trigger = _trigger_of(d, incident)
    if trigger is None:
        return True
    mine = _said_of(d, trigger)
    return (mine is None or mine.verdict is not Verdict.FAIL) and _of_stable(d, trigger) is Verdict.PASS


def _bear(d: Draft, incident: IncidentStatus) -> bool:
    """Holds while the incident lasts, and rolls back when it lasts too long."""
    # A stored time in the future means that the wall clock went back.
    since = min(incident.since, d.now)
    if since != incident.since:
        d.put(incident=incident.model_copy(update={"since": since}))
    limit = d.spec.shared_rollback_after
    text = f"{incident.trigger}: stable breaches it too"
    if d.now - since >= limit:
        lasted = f"{text}, and has for {format_duration(limit)}"
        roll_back(d, incident.trigger, Reason.SHARED_INCIDENT, lasted)
        return True
    d.hold(Reason.SHARED_INCIDENT, f"{text}; rolls back at {since + limit:%H:%M:%S} UTC unless it ends")
    return False
