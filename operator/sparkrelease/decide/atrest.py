"""No run under way: the route at rest, and what keeps a run from starting. First cause wins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sparkrelease.api.conditions import ConditionType, find, is_true
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase, Run, Settled
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.approvals import Scope, overridden, wanted_before
from sparkrelease.decide.asks import burn_windows
from sparkrelease.decide.budget import budget_pause, spent_budget
from sparkrelease.decide.checks import BEFORE, ask, items_passed, say_blocked
from sparkrelease.decide.draft import Draft, all_on_stable
from sparkrelease.decide.facts import Approval, Finding, Problem, RouteMark
from sparkrelease.decide.mitigation import undo_mitigations
from sparkrelease.decide.plan import ReleaseRoute, SetWeight, Wants
from sparkrelease.decide.regress import forgotten
from sparkrelease.decide.resolve import ResolvedSpec, digest
from sparkrelease.decide.runs import next_run_id, same_pods_as_ended_run, start_run
from sparkrelease.decide.signing import approval_data, awaits_go, ballot, wait_for_go
from sparkrelease.decide.traffic import not_on_stable

PREFLIGHT_AGAIN = timedelta(seconds=30)
"""Pause before a failed preflight is tried again by itself."""


def rest(d: Draft) -> None:
    """One round of a release without a run."""
    _drop_stage(d)
    _note_open(d)
    if not route_at_rest(d):
        return
    d.finalizer = False
    if undo_mitigations(d):
        return
    for obstacle in _OBSTACLES:
        problem = obstacle(d)
        if problem is not None:
            _say_obstacle(d, problem)
            return
    _preflight_and_start(d)


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
    if not all_on_stable(route):
        d.aim(0, rollback=route.mark.rollback if route.mark else "")
        d.wake_at = d.now + d.facts.tick
        return False
    d.route = ReleaseRoute(original=d.status.original_route.state if d.status.original_route else None)
    d.urgent = True
    d.finalizer = False
    d.wake_at = d.now + d.facts.tick
    _say_after(d, d.status.run)
    return False


def _say_after(d: Draft, run: Run | None) -> None:
    if run is not None and run.end is Outcome.SETTLED:
        d.condition(ConditionType.SETTLED, "True", Reason.SETTLED, f"stable serves {run.version}")
        d.stand(Phase.SUCCEEDED, "True", Reason.SETTLED, f"{run.version} is on stable and serves all traffic")


# ---------------------------------------------------------------- obstacles, in order


def _settled(d: Draft) -> Problem | None:
    settled = d.status.settled
    if settled is not None and not settled.observed and settled.version == d.facts.wanted_version:
        return Problem(Reason.SETTLED, f"{settled.version} is on stable and serves all traffic")
    return None


def _refused(d: Draft) -> Problem | None:
    for refused in d.status.refused:
        if refused.version == d.facts.wanted_version:
            run = d.status.run
            if run is not None and run.id == refused.run and run.end is Outcome.BLOCKED:
                return Problem(Reason.NO_GO, _no_go(d, run))
            told = find(d.status.conditions, ConditionType.ROLLED_BACK)
            if told is not None and d.status.rollback is not None and d.status.rollback.run == refused.run:
                return Problem(Reason.ROLLED_BACK, f"{told.message}; give a new version, or retry by command")
            text = f"{refused.version} was rolled back in run {refused.run}; give a new version or retry by command"
            return Problem(Reason.VERSION_REFUSED, text)
    return None


def _no_go(d: Draft, run: Run) -> str:
    """What was said when the NO-GO ended the run, else that there was one."""
    told = find(d.status.conditions, ConditionType.READY)
    if told is not None and told.reason == Reason.NO_GO:
        return told.message
    return f"{run.version} got a NO-GO in run {run.id}; give a new version, or retry by command"


def _services(d: Draft) -> Problem | None:
    for side, ref in ((d.facts.stable, d.spec.traffic.stable), (d.facts.canary, d.spec.traffic.canary)):
        if side.problem is not None:
            return side.problem
        if not side.exists:
            return Problem(
                Reason.SERVICE_NOT_FOUND, f"Service {ref.service} does not exist in namespace {d.facts.namespace}"
            )
    return None


def _owned_route(d: Draft) -> Problem | None:
    """An owned route is the front door: it is there, all traffic on stable, before any run."""
    gateway = d.spec.traffic.gateway_api
    route = d.facts.route
    if gateway is None or gateway.owned is None or d.spec.dry_run:
        return None
    if route.exists and route.problem is None and all_on_stable(route):
        return None
    if route.problem is not None and route.exists:
        return None
    if route.write_problem is not None:
        d.wake_at = d.now + PREFLIGHT_AGAIN
    d.route = SetWeight(0, RouteMark(epoch=d.facts.epoch))
    d.urgent = True
    if route.write_problem is not None:
        return route.write_problem
    return Problem(Reason.ROUTE_PENDING, "the owned route is being written, all traffic on stable")


def _route(d: Draft) -> Problem | None:
    route = d.facts.route
    if route.problem is not None:
        return route.problem
    if not route.exists:
        return Problem(Reason.ROUTE_NOT_FOUND, "the route does not exist")
    return not_on_stable(route)


def _pods(d: Draft) -> Problem | None:
    stable, canary = d.facts.stable, d.facts.canary
    if not stable.rolled_out:
        return Problem(Reason.STABLE_NOT_READY, f"{stable.ready} ready and {stable.not_ready} unready stable endpoints")
    if not canary.rolled_out:
        return Problem(Reason.CANARY_NOT_READY, f"{canary.ready} ready and {canary.not_ready} unready canary endpoints")
    if canary.fingerprint == stable.fingerprint:
        _note_baseline(d, stable.fingerprint or "")
        return Problem(Reason.NOTHING_TO_RELEASE, f"canary runs what stable runs ({stable.fingerprint})")
    return None


def _note_baseline(d: Draft, fingerprint: str) -> None:
    """Both sides run the same: that is the version to go back to, though no run of ours brought it there."""
    known = d.status.settled
    version = d.facts.wanted_version
    if known is None or known.fingerprint != fingerprint:
        d.put(settled=Settled(version=version, fingerprint=fingerprint, at=d.now, observed=True))


def _old_pods(d: Draft) -> Problem | None:
    """Pods tie a version to what runs: those of a run that ended for another version are not the wanted one."""
    run = d.status.run
    if run is not None and same_pods_as_ended_run(d):
        text = f"canary still runs the pods of run {run.id}; roll {d.facts.wanted_version} out, or retry by command"
        return Problem(Reason.CANARY_NOT_READY, text)
    for refused in d.status.refused:
        if refused.fingerprint and refused.fingerprint == d.facts.canary.fingerprint:
            text = f"canary still runs the pods that run {refused.run} was rolled back with"
            return Problem(Reason.CANARY_NOT_READY, text)
    return None


def _echo(d: Draft) -> Problem | None:
    """What the same pods did in the run before must leave every window, or it is held against the next run."""
    run, ended = d.status.run, d.status.history[0] if d.status.history else None
    if run is None or run.dry or ended is None or run.canary_fingerprint != d.facts.canary.fingerprint:
        return None
    if run.end is Outcome.BLOCKED:
        return None
    over = ended.ended_at + _longest_memory(d.spec) + d.facts.tick
    if d.now >= over or d.now < ended.ended_at:
        return None
    d.wake_at = over
    return Problem(Reason.CANARY_NOT_READY, f"requests of run {ended.run} are still within the window of a metric")


def _longest_memory(spec: ResolvedSpec) -> timedelta:
    """The longest window in which requests of a run before would be held against the next one.

    Of a burn rate it is the short one: both must burn.
    """
    legs = [leg for trigger in spec.triggers for leg in trigger.all if leg.kind is LegKind.BURN_RATE]
    shorts = [pair.short for leg in legs for pair in burn_windows(leg)]
    return max([*(metric.window for metric in spec.metrics), *shorts], default=timedelta(0))


def _dry_run_done(d: Draft) -> Problem | None:
    run = d.status.run
    if run is None or not run.dry or run.end is None or not d.spec.dry_run:
        return None
    same = run.version == d.spec.version and run.canary_fingerprint == d.facts.canary.fingerprint
    if same and run.spec_digest == digest(d.spec):
        ended = d.status.history[0] if d.status.history else None
        return Problem(Reason.DRY_RUN, f"dry run {run.id} ended: {ended.outcome if ended else run.end}")
    return None


def _paused(d: Draft) -> Problem | None:
    return Problem(Reason.PAUSED, "a paused release starts no run") if d.paused else None


_OBSTACLES: tuple[Callable[[Draft], Problem | None], ...] = (
    _refused,
    _services,
    _owned_route,
    _settled,
    _route,
    _pods,
    forgotten,
    _old_pods,
    _echo,
    _dry_run_done,
    _paused,
)

_FINE = frozenset({Reason.SETTLED, Reason.NOTHING_TO_RELEASE, Reason.DRY_RUN})
_WAITING = frozenset({Reason.STABLE_NOT_READY, Reason.CANARY_NOT_READY, Reason.ROUTE_PENDING, Reason.PAUSED})


def _say_obstacle(d: Draft, problem: Problem) -> None:
    reason, text = problem.reason, problem.message
    d.condition(ConditionType.PROGRESSING, "False", reason, text)
    d.put(next=None)
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
    phase = Phase.BLOCKED if reason in {Reason.TRAFFIC_NOT_ON_STABLE, Reason.NO_GO} else Phase.PENDING
    d.stand(phase, "False", reason, text, reconciling=waiting, stalled=not waiting)


def _preflight_and_start(d: Draft) -> None:
    d.no_condition(ConditionType.PROMOTED, ConditionType.SETTLED, ConditionType.ROLLED_BACK)
    stable, canary = d.facts.stable.fingerprint, d.facts.canary.fingerprint
    if stable is None or canary is None or not _checked(d, next_run_id(d, canary)):
        return
    if d.entries:
        # What was decided just now belongs to the evidence of the run before: the next one begins with a decision of
        # its own, so that each chain bears out what is in it.
        d.wake_at = d.now
        return
    spent, override = spent_budget(d), None
    if spent is not None:
        override = _override(d, spent, next_run_id(d, canary))
        if override is None:
            _say_frozen(d, spent, next_run_id(d, canary))
            return
    start_run(d, stable, canary)
    if spent is not None and override is not None:
        text = f"{spent.message}; overridden by {override.by}"
        d.entry(Reason.BUDGET_OVERRIDDEN, text, {"approval": approval_data(override)})
        d.event(Reason.BUDGET_OVERRIDDEN, text, warning=True)
    if awaits_go(d):
        wait_for_go(d, ballot(d).of(wanted_before(d.spec, 0)), d.facts.approvals_problem)
    else:
        say_begun(d)


def _checked(d: Draft, run: str) -> bool:
    """Whether nothing that was looked at keeps the run from starting; else it asks, or says what does."""
    findings = d.facts.preflight
    if d.spec.preflight:
        if not items_passed(d, run):
            return False
    elif findings is None:
        ask(d, Wants(preflight=True), BEFORE)
        return False
    for finding in findings or ():
        if not finding.fatal:
            d.event(finding.problem.reason, f"{finding.check}: {finding.problem.message}", warning=True)
    fatal = [finding for finding in findings or () if finding.fatal]
    if fatal:
        say_preflight_failed(d, fatal)
    return not fatal


def say_begun(d: Draft) -> None:
    """Says that a run is on its way to its first weight."""
    where = f"{d.spec.version}: stage {d.spec.stages[0].name} (1/{len(d.spec.stages)})"
    d.finalizer = None if d.spec.dry_run else True
    d.active = True
    d.condition(ConditionType.PROGRESSING, "True", Reason.PROGRESSING, where)
    d.condition(ConditionType.TRAFFIC_CONTESTED, "False", Reason.NOT_CONTESTED)
    d.stand(Phase.PROGRESSING, "False", Reason.PROGRESSING, where, reconciling=True)


def say_preflight_failed(d: Draft, fatal: list[Finding]) -> None:
    """Says which checks keep traffic where it is; they are tried again by themselves."""
    say_blocked(d, fatal[0].problem.reason, "; ".join(f"{f.check}: {f.problem.message}" for f in fatal))
    d.wake_at = d.now + PREFLIGHT_AGAIN


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
