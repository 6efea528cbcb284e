"""No run under way: the route at rest, and a run started when nothing keeps it from starting."""

from __future__ import annotations

from sparkrelease.api.conditions import ConditionType, is_true
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase, Run
from sparkrelease.decide.aftermath import mind_aftermath
from sparkrelease.decide.approvals import Scope, overridden, wanted_before
from sparkrelease.decide.budget import budget_pause, spent_budget
from sparkrelease.decide.checks import checked, subject_of
from sparkrelease.decide.draft import Draft, all_on_stable
from sparkrelease.decide.facts import Approval, Problem
from sparkrelease.decide.managed import is_managed, is_refused, park_candidate, template_of
from sparkrelease.decide.mitigation import undo_mitigations
from sparkrelease.decide.obstacles import first_obstacle
from sparkrelease.decide.plan import ReleaseRoute
from sparkrelease.decide.runs import next_run_id, start_run, state_at_rest, stays_on, where_settled
from sparkrelease.decide.signing import approval_data, awaits_go, ballot, wait_for_go


def rest(d: Draft) -> None:
    """One round of a release without a run."""
    _drop_stage(d)
    _note_open(d)
    if not route_at_rest(d):
        return
    _let_go(d)
    if undo_mitigations(d):
        return
    park_candidate(d)
    tidying, d.wake_at = d.wake_at, None
    if mind_aftermath(d):
        return
    looking, d.wake_at = d.wake_at, None
    problem = first_obstacle(d)
    if problem is not None:
        _say_obstacle(d, problem)
    else:
        _preflight_and_start(d)
    d.wake_at = min((at for at in (tidying, looking, d.wake_at) if at is not None), default=None)


def _drop_stage(d: Draft) -> None:
    if d.status.stage is not None:
        d.put(stage=None)
    d.no_condition(ConditionType.METRICS_AVAILABLE, ConditionType.TRAFFIC_CONTESTED)
    seen = d.facts.route.canary_weight
    weight = d.status.weight
    if (weight.observed, weight.verified, weight.measured_share) != (seen, False, None):
        d.put(
            weight=weight.model_copy(
                update={"observed": seen, "verified": False, "measured_share": None, "measured_at": None, "reason": ""}
            )
        )


def _note_open(d: Draft) -> None:
    """Weights do not move open streams: says how many a canary that was rolled back still holds."""
    run, record, seen = d.status.run, d.status.rollback, d.facts.connections
    if seen is None or run is None or record is None or record.run != run.id or run.end is not Outcome.ROLLED_BACK:
        return
    if record.connections != seen:
        d.put(rollback=record.model_copy(update={"connections": seen, "connections_at": d.now}))


def route_at_rest(d: Draft) -> bool:
    """Brings the route to rest after a run: weight 0 first, then what it said before, without our marks."""
    route, run = d.facts.route, d.status.run
    if run is None or run.dry or not route.exists or route.problem is not None:
        return True
    marked = route.mark is not None and route.mark.run == run.id
    if not marked:
        return True
    if not stays_on(run) and not all_on_stable(route):
        d.aim(0, rollback=route.mark.rollback if route.mark else "")
        d.wake_at = d.now + d.facts.tick
        return False
    d.route = ReleaseRoute(original=state_at_rest(d.status))
    d.urgent = True
    d.finalizer = False
    d.wake_at = d.now + d.facts.tick
    _say_after(d, d.status.run)
    return False


def _let_go(d: Draft) -> None:
    """Takes the finalizer off, unless a run that may have moved traffic has left a route that nobody could read yet."""
    route, run = d.facts.route, d.status.run
    unread = not route.exists and not route.gone
    if unread and d.facts.has_finalizer and run is not None and not run.dry:
        d.wake_at = d.now + d.facts.tick
    else:
        d.finalizer = False


def _say_after(d: Draft, run: Run | None) -> None:
    if run is not None and run.end is Outcome.SETTLED:
        where = where_settled(run)
        d.condition(ConditionType.SETTLED, "True", Reason.SETTLED, f"{run.version} {where}")
        d.stand(Phase.SUCCEEDED, "True", Reason.SETTLED, f"{run.version} {where}")


# ---------------------------------------------------------------- what is said

_FINE = frozenset({Reason.SETTLED, Reason.NOTHING_TO_RELEASE, Reason.DRY_RUN})
_WAITING = frozenset(
    {
        Reason.STABLE_NOT_READY,
        Reason.CANARY_NOT_READY,
        Reason.ROUTE_PENDING,
        Reason.PAUSED,
        Reason.WORKLOAD_UNKNOWN,
        Reason.PODS_UNKNOWN,
        Reason.EARLIER_REQUESTS,
    }
)
"""What the operator waits out: it goes on by itself as soon as that is over."""

_BLOCKED = frozenset({Reason.TRAFFIC_NOT_ON_STABLE, Reason.NO_GO, Reason.NOT_SETTLED})


def _say_obstacle(d: Draft, problem: Problem) -> None:
    reason, text = problem.reason, problem.message
    d.condition(ConditionType.PROGRESSING, "False", reason, text)
    d.put(next=None)
    _renew(d)
    if reason in {Reason.VERSION_REFUSED, Reason.ROLLED_BACK}:
        d.stand(Phase.ROLLED_BACK, "False", reason, text, stalled=True)
        return
    if reason in _FINE:
        d.condition(ConditionType.TRAFFIC_IN_SYNC, "True", Reason.TRAFFIC_IN_SYNC, "")
        if reason is Reason.SETTLED:
            d.condition(ConditionType.SETTLED, "True", Reason.SETTLED, text)
            if not is_true(d.status.conditions, ConditionType.PROMOTED) and d.status.settled:
                d.condition(
                    ConditionType.PROMOTED, "True", Reason.PROMOTED, f"{d.status.settled.version} passed every stage"
                )
            d.no_condition(ConditionType.ROLLED_BACK)
        d.stand(Phase.SUCCEEDED, "True", reason, text)
        return
    waiting = reason in _WAITING
    phase = Phase.BLOCKED if reason in _BLOCKED else Phase.PENDING
    d.stand(phase, "False", reason, text, reconciling=waiting, stalled=not waiting)


def _renew(d: Draft) -> None:
    """What a run came to is said under the present generation too, while its version is the one that is wanted.

    `kubectl wait` does not take what was said of a generation before.
    """
    run, settled = d.status.run, d.status.settled
    if run is None:
        return
    kept = settled is not None and (settled.version, settled.template) == (run.version, run.template)
    same = template_of(d) == run.template if is_managed(d) else d.facts.wanted_version == run.version
    if run.end is Outcome.SETTLED and kept and same:
        d.renew(ConditionType.PROMOTED, ConditionType.SETTLED, ConditionType.TRAFFIC_IN_SYNC)
    elif run.end is Outcome.ROLLED_BACK and any(r.run == run.id and is_refused(d, r) for r in d.status.refused):
        d.renew(ConditionType.ROLLED_BACK, ConditionType.PROMOTED)
        if all_on_stable(d.facts.route):
            d.condition(ConditionType.TRAFFIC_IN_SYNC, "True", Reason.TRAFFIC_IN_SYNC, "")
        else:
            d.renew(ConditionType.TRAFFIC_IN_SYNC)


def _preflight_and_start(d: Draft) -> None:
    d.no_condition(ConditionType.PROMOTED, ConditionType.SETTLED, ConditionType.ROLLED_BACK)
    if mind_aftermath(d, next_run=True):
        return
    stable, canary = d.facts.stable.fingerprint, d.facts.canary.fingerprint
    if stable is None or canary is None:
        return
    run = next_run_id(d, canary)
    if not checked(d, subject_of(run, d.facts.resolved_digest)):
        return
    if d.entries:
        # What was decided just now belongs to the evidence of the run before: the next one begins with a decision of
        # its own, so that each chain bears out what is in it.
        d.wake_at = d.now
        return
    if frozen(d, run):
        return
    start_run(d, stable, canary)
    record_override(d, run)
    if awaits_go(d):
        wait_for_go(d, ballot(d).of(wanted_before(d.spec, 0)), d.facts.approvals_problem)
    else:
        say_begun(d)


def say_begun(d: Draft) -> None:
    """Says that a run is on its way to its first weight."""
    where = f"{d.spec.version}: stage {d.spec.stages[0].name} (1/{len(d.spec.stages)})"
    d.finalizer = None if d.spec.dry_run else True
    d.active = True
    d.condition(ConditionType.PROGRESSING, "True", Reason.PROGRESSING, where)
    d.condition(ConditionType.TRAFFIC_CONTESTED, "False", Reason.NOT_CONTESTED)
    d.stand(Phase.PROGRESSING, "False", Reason.PROGRESSING, where, reconciling=True)


def frozen(d: Draft, run: str) -> bool:
    """Whether a spent error budget keeps the run from its first weight, which is said; nobody has overridden that."""
    spent = spent_budget(d)
    if spent is None or _override(d, spent, run) is not None:
        return False
    _say_frozen(d, spent, run)
    return True


def record_override(d: Draft, run: str) -> None:
    """Adds the entry that says who lets the run go on although the budget is spent; nothing where it is not."""
    spent = spent_budget(d)
    override = _override(d, spent, run) if spent is not None else None
    if spent is not None and override is not None:
        text = f"{spent.message}; overridden by {override.by}"
        d.entry(Reason.BUDGET_OVERRIDDEN, text, {"approval": approval_data(override)})
        d.event(Reason.BUDGET_OVERRIDDEN, text, warning=True)


def _override(d: Draft, spent: Problem, run: str) -> Approval | None:
    """Who lets the run begin although the budget is spent; a budget that cannot be read is nobody's to override."""
    if spent.reason is not Reason.BUDGET_EXHAUSTED:
        return None
    return overridden(d.facts.approvals, "freeze", Scope(d.facts.uid, run, d.now, d.spec.approval_expires))


def _say_frozen(d: Draft, spent: Problem, run: str) -> None:
    """The run waits; the budget is looked at again meanwhile."""
    text = spent.message
    if spent.reason is Reason.BUDGET_EXHAUSTED:
        text += f"; an approval of run {run} that overrides the freeze lets it begin"
    if d.before.phase is not Phase.BLOCKED:
        d.event(spent.reason, text, warning=True)
    d.condition(ConditionType.PROGRESSING, "False", spent.reason, text)
    d.stand(Phase.BLOCKED, "False", spent.reason, text, stalled=True)
    d.wake_at = d.now + budget_pause(d)
