"""What the route shows against what is wanted: verification, measured share, foreign writes."""

from __future__ import annotations

import math
from datetime import timedelta

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import ContestedStatus
from sparkrelease.decide.draft import Draft, same_weight
from sparkrelease.decide.facts import Problem, Share, Verification

REVERTS_WINDOW = timedelta(minutes=10)
REVERTS_LIMIT = 3
SIGMAS = 5.0
"""A share this many standard deviations off is no chance: less than one false alarm in a million scrapes."""
MISMATCHES = 2
_LEAST_REQUESTS = 20
_NEVER_CONTESTED = ContestedStatus()


def share_contradicts(weight: float, share: Share) -> bool:
    """Whether counted requests contradict a canary weight (percent): outside its 5-sigma binomial band.

    One request of slack keeps weights 0 and 100 from failing on a request that was under way at the change.
    """
    total = share.stable + share.canary
    if not share.judged or total < _LEAST_REQUESTS:
        return False
    p = weight / 100
    band = SIGMAS * math.sqrt(total * p * (1 - p)) + 1
    return abs(share.canary - total * p) > band


def measure_share(d: Draft) -> None:
    """Takes the measured share into the status; counts contradictions once the window is all after the change."""
    share, weight = d.facts.share, d.status.weight
    if share is None or (weight.measured_at is not None and share.at <= weight.measured_at):
        return
    total = share.stable + share.canary
    measured = round(100 * share.canary / total, 3) if total > 0 else None
    settled_in = weight.changed_at is None or share.at - weight.changed_at >= share.window + 2 * d.facts.tick
    in_force = same_weight(d.facts.route.canary_weight, weight.desired)
    mismatches = 0
    by_route = d.spec.traffic.feature_flag is None  # a gateway does not see what an application splits
    if by_route and settled_in and in_force and share_contradicts(weight.desired, share):
        mismatches = min(weight.mismatches + 1, 1000)
    seen = {"measured_share": measured, "measured_at": share.at, "mismatches": mismatches}
    d.put(weight=weight.model_copy(update=seen))


def observe_weight(d: Draft) -> bool:
    """Takes the route's weight into the status and says whether the wanted weight is verified."""
    measure_share(d)
    route, weight = d.facts.route, d.status.weight
    problem: Problem | None = None
    if d.status.run is not None and d.status.run.dry:
        d.condition(ConditionType.TRAFFIC_IN_SYNC, "True", Reason.DRY_RUN, "dry run: no traffic is moved")
        return True
    if route.problem is not None:
        problem = route.problem
    elif route.write_problem is not None and not same_weight(route.canary_weight, weight.desired):
        problem = route.write_problem
    elif not same_weight(route.canary_weight, weight.desired):
        problem = Problem(
            Reason.ROUTE_PENDING, f"the route says {show(route.canary_weight)}, not yet {weight.desired:g}"
        )
    elif route.verification is not Verification.VERIFIED:
        problem = Problem(route.reason, route.message)
    elif weight.mismatches >= MISMATCHES:
        problem = Problem(
            Reason.SHARE_MISMATCH,
            f"canary gets {weight.measured_share:g} % of the requests, the route says {weight.desired:g} %",
        )
    verified = problem is None
    reason = problem.message[:256] if problem else ""
    if (route.canary_weight, verified, reason) != (weight.observed, weight.verified, weight.reason):
        d.put(
            weight=weight.model_copy(update={"observed": route.canary_weight, "verified": verified, "reason": reason})
        )
    if problem is None:
        d.condition(ConditionType.TRAFFIC_IN_SYNC, "True", Reason.TRAFFIC_IN_SYNC, "")
    else:
        d.condition(ConditionType.TRAFFIC_IN_SYNC, "False", problem.reason, problem.message)
        d.hold(problem.reason, problem.message)
    return verified


def show(weight: float | None) -> str:
    """A weight as people read it."""
    return "nothing" if weight is None else f"{weight:g} %"


def reverted(d: Draft) -> bool:
    """Whether somebody else changed the weights since this operator wrote them for this run."""
    run, route = d.run, d.facts.route
    if run is None or run.dry or route.canary_weight is None:
        return False
    if route.mark is None or route.mark.run != run.id:
        wrote_before = d.status.weight.observed is not None and d.status.weight.observed > 0
        return wrote_before and not same_weight(route.canary_weight, d.status.weight.observed)
    return not same_weight(route.canary_weight, route.mark.weight)


def guard_weights(d: Draft) -> Problem | None:
    """Re-asserts reverted weights, counts reverts, holds at the lower weight once contested.

    Answers the problem when the route stayed contested too long. Writes the target through `d.aim`.
    """
    known = d.status.contested
    contested = known or _NEVER_CONTESTED
    recent = tuple(min(t, d.now) for t in contested.reverts if d.now - t < REVERTS_WINDOW)
    route = d.facts.route
    if reverted(d) and route.generation != contested.handled_generation:
        recent = (*recent, d.now)[-20:]
        text = (
            f"{route.manager or 'somebody'} changed the canary weight to {show(route.canary_weight)}; "
            f"{show(d.status.weight.desired)} is wanted"
        )
        contested = contested.model_copy(
            update={
                "manager": route.manager[:128],
                "total": contested.total + 1,
                "handled_generation": route.generation,
            }
        )
        d.event(Reason.TRAFFIC_REVERTED, text, warning=True)
        d.entry(Reason.TRAFFIC_REVERTED, text, {"generation": route.generation, "weight": route.canary_weight})
    since = min(contested.since, d.now) if contested.since is not None else None
    if since is None and len(recent) >= REVERTS_LIMIT:
        since = d.now
        d.event(Reason.TRAFFIC_CONTESTED, f"{contested.manager or 'somebody'} keeps changing the weights", warning=True)
    elif since is not None and not recent:
        since = None
    if (contested.reverts, contested.since) != (recent, since):
        contested = contested.model_copy(update={"reverts": recent, "since": since})
    if contested is not (known or _NEVER_CONTESTED):
        d.put(contested=contested)
    return _hold_contested(d, contested)


def _hold_contested(d: Draft, contested: ContestedStatus) -> Problem | None:
    live = d.facts.route.canary_weight
    if contested.since is None:
        d.condition(ConditionType.TRAFFIC_CONTESTED, "False", Reason.NOT_CONTESTED)
        higher = (live or 0.0) >= d.status.weight.desired
        if reverted(d) and (higher or d.facts.frozen_problem is None):
            d.aim(d.status.weight.desired, reassert=True)
        return None
    text = f"{contested.manager or 'somebody'} changed the weights {contested.total} times"
    d.condition(ConditionType.TRAFFIC_CONTESTED, "True", Reason.TRAFFIC_CONTESTED, text)
    d.hold(Reason.TRAFFIC_CONTESTED, text)
    if live is not None and live > d.status.weight.desired and not same_weight(live, d.status.weight.desired):
        d.aim(d.status.weight.desired, reassert=True)
    limit = d.spec.traffic.contested.rollback_after
    if d.now - contested.since >= limit:
        return Problem(Reason.ROUTE_CONTESTED, f"{text}; contested for {limit.total_seconds():g} s")
    return None
