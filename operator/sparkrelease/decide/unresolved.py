"""An object whose spec cannot be resolved, and no run under way: nothing moves, and the status says what to mend."""

from __future__ import annotations

from datetime import datetime

from sparkrelease.api.conditions import ConditionType, set_condition
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, SparkReleaseStatus
from sparkrelease.decide.draft import all_on_stable
from sparkrelease.decide.facts import Facts, Problem, RouteMark
from sparkrelease.decide.plan import EventDraft, Plan, ReleaseRoute, RouteAction, SetWeight, Severity
from sparkrelease.decide.runs import state_at_rest, stays_on


def decide_unresolved(status: SparkReleaseStatus, facts: Facts, now: datetime) -> Plan:
    """Brings the route of a run that ended to rest, then says Stalled with the reason, or lets go what goes away."""
    homeward = _bring_home(status, facts, now)
    if homeward is not None:
        return homeward
    if facts.has_finalizer and not facts.route.exists and not facts.route.gone:
        return Plan(status=status, wake_at=now + facts.tick)  # nobody could read yet where its traffic is
    if facts.deleting:
        return Plan(status=status, finalizer=False)
    problem = facts.spec_problem or Problem(Reason.INVALID_SPEC, "the spec cannot be read")
    conditions = status.conditions
    for kind, value in (
        (ConditionType.READY, "False"),
        (ConditionType.RECONCILING, "False"),
        (ConditionType.STALLED, "True"),
        (ConditionType.PROGRESSING, "False"),
    ):
        conditions = set_condition(
            conditions,
            kind,
            "True" if value == "True" else "False",
            problem.reason,
            problem.message,
            generation=facts.generation,
            now=now,
        )
    said = status.model_copy(
        update={
            "phase": Phase.PENDING,
            "conditions": conditions,
            "observed_generation": max(status.observed_generation, facts.generation),
            "epoch": max(status.epoch, facts.epoch),
            "next": None,
        }
    )
    return Plan(status=said, finalizer=False, events=(EventDraft(problem.reason, problem.message, Severity.WARNING),))


def _bring_home(status: SparkReleaseStatus, facts: Facts, now: datetime) -> Plan | None:
    """Weight 0, then what the route said before, as for a release whose spec can be read; None when it is at rest."""
    run, mark = status.run, facts.route.mark
    if run is None or run.dry or facts.route.problem is not None or mark is None or mark.run != run.id:
        return None
    action: RouteAction
    if all_on_stable(facts.route) or stays_on(run):
        action = ReleaseRoute(original=state_at_rest(status))
    else:
        action = SetWeight(0, RouteMark(run=run.id, epoch=facts.epoch, rollback=mark.rollback))
    return Plan(status=status, urgent=True, route=action, wake_at=now + facts.tick)
