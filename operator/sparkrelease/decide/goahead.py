"""The go/no-go: a run that started, and is given its first weight only when everything is signed and checked again."""

from __future__ import annotations

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Next, Outcome, Phase, Run
from sparkrelease.decide.approvals import Ballot, Tally, wanted_before
from sparkrelease.decide.atrest import frozen, record_override, say_begun
from sparkrelease.decide.checks import checked, record_passed, subject_of
from sparkrelease.decide.draft import Draft, same_weight
from sparkrelease.decide.facts import Approval, Problem, Route
from sparkrelease.decide.managed import stable_runs
from sparkrelease.decide.obstacles import keep_owned_route
from sparkrelease.decide.runs import baseline_data, end_run, look_again, one_workload, refuse_version
from sparkrelease.decide.signing import approval_data, ballot, no_go_text, signature_data, wait_for_go
from sparkrelease.decide.stages import enter_stage
from sparkrelease.decide.traffic import not_on_stable


def mind_go(d: Draft) -> None:
    """One round of a run before its first weight.

    Hours may lie between the start and the last signature: pods, route and checks are looked at again, and what the run
    is compared with is taken anew.
    """
    run = d.run
    if run is None:
        return
    d.finalizer = False
    _see_weight(d)
    keep_owned_route(d)
    votes = ballot(d)
    if votes.no_go is not None:
        _end_blocked(d, votes, votes.no_go)
        return
    wanted = wanted_before(d.spec, 0)
    tally = votes.of(wanted)
    unreadable = d.facts.approvals_problem if wanted else None
    if unreadable is not None or not tally.complete:
        wait_for_go(d, tally, unreadable)
        return
    d.wake_at = tally.expires_at
    if stable_runs(d, run) and not one_workload(run):
        text = "stable runs what canary runs"
        end_run(d, Outcome.CANCELLED, Reason.CANCELLED, text)
        d.stand(Phase.PENDING, "False", Reason.CANCELLED, text, reconciling=True)
        d.wake_at = d.now
        return
    obstacle = _obstacle(d)
    if obstacle is not None:
        _say_signed(d, obstacle)
    elif _looked_again(d, run, tally):
        _go(d, tally)


def _see_weight(d: Draft) -> None:
    seen, weight = d.facts.route.canary_weight, d.status.weight
    if not same_weight(weight.observed, seen):
        d.put(weight=weight.model_copy(update={"observed": seen}))


def _obstacle(d: Draft) -> Problem | None:
    """What keeps a signed run from its first weight; the first cause wins."""
    facts = d.facts
    if d.run is not None and d.run.regressed:
        text = "the state came back older than what was known; resume or roll back by command"
        return Problem(Reason.STATE_REGRESSED, text)
    unreadable = facts.workload.problem if facts.workload is not None else None
    for problem in (facts.frozen_problem, facts.evidence_problem, unreadable):
        if problem is not None:
            return problem
    if d.paused:
        return Problem(Reason.PAUSED, "a paused release gives no weight")
    for side, unready in ((facts.stable, Reason.STABLE_NOT_READY), (facts.canary, Reason.CANARY_NOT_READY)):
        if side.problem is not None:
            return side.problem
        if not side.rolled_out:
            return Problem(unready, f"{side.ready} ready and {side.not_ready} unready endpoints")
    return _route_obstacle(facts.route)


def _route_obstacle(route: Route) -> Problem | None:
    if route.problem is not None:
        return route.problem
    if not route.exists:
        return Problem(Reason.ROUTE_NOT_FOUND, "the route does not exist")
    return not_on_stable(route)


def _say_signed(d: Draft, problem: Problem) -> None:
    """Everything is signed, and something else keeps traffic where it is."""
    text = f"signed; {problem.message}"
    d.put(next=Next(what="first weight"))
    d.condition(ConditionType.PROGRESSING, "False", problem.reason, text)
    d.stand(Phase.PENDING, "False", problem.reason, text, reconciling=True)


def _looked_again(d: Draft, run: Run, tally: Tally) -> bool:
    """Makes everything that was made before the start again: items, checks that are built in, and the error budget.

    False while something is under way, and when something keeps traffic where it is.
    """
    signed = [approval.name for approval in tally.counted]
    if not checked(d, subject_of(run.id, run.spec_digest, signed)):
        return False
    return not frozen(d, run.id)


def _go(d: Draft, tally: Tally) -> None:
    look_again(d)
    run = d.status.run
    text = f"GO by {', '.join(tally.signers)}: {tally.text} signed"
    again = {"baselines": baseline_data(d), "capacityFloor": run.capacity_floor if run is not None else 0}
    d.entry(Reason.APPROVED, text, {**signature_data(tally), **again})
    d.event(Reason.APPROVED, text)
    record_passed(d)
    record_override(d, run.id if run is not None else "")
    d.put(verdicts=())
    enter_stage(d, 0)
    say_begun(d)


def _end_blocked(d: Draft, votes: Ballot, refusal: Approval) -> None:
    """A NO-GO before any weight: the run is over, and its version is refused like one that was rolled back."""
    text = f"{no_go_text(refusal)}; nothing was shifted"
    signed = votes.of(wanted_before(d.spec, 0))
    refuse_version(d)
    data = {**signature_data(signed), "noGo": approval_data(refusal)}
    end_run(d, Outcome.BLOCKED, Reason.NO_GO, text, data)
    hint = f"{text}; give a new version, or retry by command"
    d.condition(ConditionType.PROGRESSING, "False", Reason.NO_GO, hint)
    d.stand(Phase.BLOCKED, "False", Reason.NO_GO, hint, stalled=True)
