"""What keeps a run from starting while none is under way: one question each, and the first cause wins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Run, Settled
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.asks import burn_windows
from sparkrelease.decide.draft import Draft, all_on_stable
from sparkrelease.decide.facts import Problem, RouteMark
from sparkrelease.decide.managed import is_managed, is_refused, nothing_differs, template_of, workload_obstacle
from sparkrelease.decide.plan import SetWeight
from sparkrelease.decide.regress import forgotten
from sparkrelease.decide.resolve import ResolvedSpec, digest
from sparkrelease.decide.runs import same_pods_as_ended_run, where_settled
from sparkrelease.decide.settle import left_behind, note_caught_up, old_version
from sparkrelease.decide.traffic import not_on_stable

LOOK_AGAIN = timedelta(seconds=30)
"""Pause before what failed is tried again by itself."""


def first_obstacle(d: Draft) -> Problem | None:
    """The first thing that keeps a run from starting; None when nothing but preflight may."""
    problems = (obstacle(d) for obstacle in _OBSTACLES)
    return next((problem for problem in problems if problem is not None), None)


def _settled(d: Draft) -> Problem | None:
    note_caught_up(d)
    settled = d.status.settled
    if settled is None or settled.observed or (is_managed(d) and settled.template != template_of(d)):
        return None
    if settled.version == d.facts.wanted_version:
        return Problem(Reason.SETTLED, f"{settled.version} {where_settled(d.status.run)}")
    return None


def _not_settled(d: Draft) -> Problem | None:
    """A version that was promoted and is not on stable: the next one would be judged against an old stable.

    Who puts the same on both sides, or the promoted pods back behind canary, has chosen another way.
    """
    run = left_behind(d)
    if run is None or nothing_differs(d) or d.facts.canary.fingerprint == run.canary_fingerprint:
        return None
    wanted = d.facts.wanted_version
    text = f"{old_version(d)} serves all requests again: {run.version} was promoted and is not on stable"
    text += f"; roll {run.version} out on stable, or settle by command to try {wanted} against the old version"
    return Problem(Reason.NOT_SETTLED, text)


def _refused(d: Draft) -> Problem | None:
    refused = next((one for one in d.status.refused if is_refused(d, one)), None)
    if refused is None:
        return None
    run, new = d.status.run, "pod template" if is_managed(d) else "version"
    kept = keep_owned_route(d) if run is not None else None
    if kept is not None:
        return kept
    if run is not None and run.id == refused.run and run.end is Outcome.BLOCKED:
        return Problem(Reason.NO_GO, _no_go(d, run))
    told = find(d.status.conditions, ConditionType.ROLLED_BACK)
    if told is not None and d.status.rollback is not None and d.status.rollback.run == refused.run:
        return Problem(Reason.ROLLED_BACK, f"{told.message}; give a new {new}, or retry by command")
    text = f"{refused.version} was rolled back in run {refused.run}; give a new {new} or retry by command"
    return Problem(Reason.VERSION_REFUSED, text)


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


def keep_owned_route(d: Draft) -> Problem | None:
    """An owned route is the front door: it is there, all traffic on stable, whenever no run has given canary any.

    Writes it where it is not so, and says that it is being written.
    """
    gateway = d.spec.traffic.gateway_api
    route = d.facts.route
    if gateway is None or gateway.owned is None or d.spec.dry_run:
        return None
    if route.exists and route.problem is None and all_on_stable(route):
        return None
    if route.problem is not None and route.exists:
        return None
    if route.write_problem is not None:
        d.wake_at = d.now + LOOK_AGAIN
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
    if not canary.rolled_out and not (is_managed(d) and nothing_differs(d)):
        return Problem(Reason.CANARY_NOT_READY, f"{canary.ready} ready and {canary.not_ready} unready canary endpoints")
    if nothing_differs(d) and not d.facts.one_workload:
        _note_baseline(d, stable.fingerprint or "")
        if (settled := _still_there(d)) is not None:
            text = f"stable and canary run the pods of {settled.version}; roll {d.facts.wanted_version} out on canary"
            return Problem(Reason.CANARY_NOT_READY, text)
        return Problem(Reason.NOTHING_TO_RELEASE, f"canary runs what stable runs ({stable.fingerprint})")
    return None


def _still_there(d: Draft) -> Settled | None:
    """The version both sides run, where a run brought it there and another one is wanted.

    What was found on both sides has the name it was found with, and another name for it releases nothing.
    """
    settled = d.status.settled
    if settled is None or settled.observed or is_managed(d) or settled.version == d.facts.wanted_version:
        return None
    return settled


def _note_baseline(d: Draft, fingerprint: str) -> None:
    """Both sides run the same: that is the version to go back to, though no run of ours brought it there."""
    known = d.status.settled
    version = d.facts.wanted_version
    if known is None or known.fingerprint != fingerprint:
        template = template_of(d)
        d.put(settled=Settled(version=version, fingerprint=fingerprint, template=template, at=d.now, observed=True))


def _old_pods(d: Draft) -> Problem | None:
    """Pods tie a version to what runs: those of a run that ended for another version are not the wanted one."""
    run = d.status.run
    if is_managed(d):
        return None  # the template says it
    if run is not None and same_pods_as_ended_run(d):
        text = f"canary still runs the pods of run {run.id}; roll {d.facts.wanted_version} out, or retry by command"
        return Problem(Reason.CANARY_NOT_READY, text)
    for refused in d.status.refused:
        if refused.fingerprint and refused.fingerprint == d.facts.canary.fingerprint:
            text = f"canary still runs the pods that run {refused.run} was rolled back with"
            return Problem(Reason.CANARY_NOT_READY, text)
    return None


def _echo(d: Draft) -> Problem | None:
    """What canary did in the run before must leave every window, or it is held against the next run.

    Other pods behind canary change nothing: the series of those before them are answered until the server has noticed
    that they are gone, and only it knows when.
    """
    run, ended = d.status.run, d.status.history[0] if d.status.history else None
    moved = d.status.weight.changed_at
    if run is None or run.dry or ended is None or moved is None or moved < run.started_at:
        return None  # it gave canary nothing
    over = ended.ended_at + _longest_memory(d.spec) + d.facts.tick
    if d.now >= over or d.now < ended.ended_at:
        return None
    d.wake_at = over
    text = f"requests of run {ended.run} are within the window of a metric until {over:%H:%M:%S} UTC"
    return Problem(Reason.EARLIER_REQUESTS, text)


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
    workload_obstacle,
    _services,
    keep_owned_route,
    _settled,
    _not_settled,
    _route,
    _pods,
    forgotten,
    _old_pods,
    _echo,
    _dry_run_done,
    _paused,
)
