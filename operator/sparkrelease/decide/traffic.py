"""What the route shows against what is wanted: verification, measured share, foreign writes."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import ContestedStatus
from sparkrelease.decide.draft import WEIGHT_STEP, Draft, all_on_stable, same_weight, told
from sparkrelease.decide.facts import Problem, Route, Share, Verification
from sparkrelease.decide.plan import SetWeight

REVERTS_WINDOW = timedelta(minutes=10)
REVERTS_LIMIT = 3
SIGMAS = 5.0
"""A share this many standard deviations off is no chance: less than one false alarm in a million scrapes."""
MISMATCHES = 2
ASKED_AFTER = timedelta(seconds=30)
"""How long a gateway may take to answer for a route before it is asked again; much longer than any takes."""
_LEAST_REQUESTS = 20
_NEVER_CONTESTED = ContestedStatus()


def not_on_stable(route: Route) -> Problem | None:
    """Why no run starts on this route: canary gets something already."""
    if all_on_stable(route):
        return None
    if same_weight(route.canary_weight, 0):
        text = "the route mirrors requests to canary; remove the RequestMirror filter so that canary gets nothing"
    else:
        text = f"the route gives canary {route.canary_weight:g} %; set it to 0 so that all traffic is on stable"
    return Problem(Reason.TRAFFIC_NOT_ON_STABLE, text)


def share_contradicts(weight: float, share: Share) -> bool:
    """Whether counted requests contradict canary's part of them (percent): outside its 5-sigma binomial band.

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
    users = share.stable if d.mirror else total
    measured = round(min(100 * share.canary / users, 100.0), 3) if users > 0 else None
    settled_in = weight.changed_at is None or share.at - weight.changed_at >= share.window + 2 * d.facts.tick
    mismatches = 0
    by_route = d.spec.traffic.feature_flag is None  # a gateway does not see what an application splits
    if by_route and settled_in and d.in_force and share_contradicts(d.canary_share, share):
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
    elif route.write_problem is not None and not d.in_force:
        problem = route.write_problem
    elif not d.in_force:
        problem = Problem(Reason.ROUTE_PENDING, _not_yet(d))
    elif route.verification is not Verification.VERIFIED:
        problem = Problem(route.reason, route.message)
        _ask_again(d)
    elif weight.mismatches >= MISMATCHES:
        says = f"is to mirror {d.mirror:g} %" if d.mirror else f"says {weight.desired:g} %"
        text = f"canary gets {weight.measured_share or 0:g} % of the requests, the route {says}"
        problem = Problem(Reason.SHARE_MISMATCH, text)
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


def _ask_again(d: Draft) -> None:
    """Writes the same share anew where the gateway has not answered for it: after 30 s, one minute, two, four...

    A gateway's controller may lose what it wanted to say, and says it when it sees the route again. Contour 1.33 writes
    a status once: when the API server is away at that moment, nothing but a change of some spec makes it try again.
    """
    route, said = d.facts.route, find(d.status.conditions, ConditionType.TRAFFIC_IN_SYNC)
    if route.reason is not Reason.ROUTE_PENDING or route.mark is None or said is None or said.status != "False":
        return
    if d.facts.evidence_problem is not None:
        return  # like a raise it would be kept back, and everything else that was decided with it
    times = ((d.now - said.last_transition_time) // ASKED_AFTER).bit_length()
    if times > route.mark.asked:
        d.route = SetWeight(d.status.weight.desired, replace(route.mark, epoch=d.facts.epoch, asked=times), d.mirror)


def show(weight: float | None, mirror: float | None = 0.0) -> str:
    """What a route gives canary, as people read it."""
    return "nothing" if weight is None else told(weight, mirror or 0.0)


def _not_yet(d: Draft) -> str:
    route = d.facts.route
    wanted = f"a mirror of {d.mirror:g} %" if d.mirror else f"{d.status.weight.desired:g}"
    return f"the route says {show(route.canary_weight, route.mirror)}, not yet {wanted}"


def reverted(d: Draft) -> bool:
    """Whether somebody else changed the weights since this operator wrote them for this run.

    Rules that disagree are changed, too. A route whose rules are not ours to write is told of, and left.
    """
    run, route = d.run, d.facts.route
    if run is None or run.dry or not route.exists or route.problem is not None:
        return False
    if route.mark is None or route.mark.run != run.id:
        weight = d.status.weight
        wrote_before = weight.observed is not None and weight.observed > 0
        mirrored_before = weight.verified and d.mirror > 0 and not same_weight(route.mirror, d.mirror)
        return mirrored_before or (wrote_before and not same_weight(route.canary_weight, weight.observed))
    return not (same_weight(route.canary_weight, route.mark.weight) and same_weight(route.mirror, route.mark.mirror))


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
        seen = show(route.canary_weight, route.mirror) if route.canary_weight is not None else "no one weight"
        text = (
            f"{route.manager or 'somebody'} changed the canary weight to {seen}; "
            f"{show(d.status.weight.desired, d.mirror)} is wanted"
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
        higher = live is None or (live >= d.status.weight.desired and d.mirrored >= d.mirror)
        if reverted(d) and (higher or d.facts.frozen_problem is None):
            d.aim(d.status.weight.desired, mirror=d.mirror, reassert=True)
        return None
    text = f"{contested.manager or 'somebody'} changed the weights {contested.total} times"
    d.condition(ConditionType.TRAFFIC_CONTESTED, "True", Reason.TRAFFIC_CONTESTED, text)
    d.hold(Reason.TRAFFIC_CONTESTED, text)
    weight_above = live is not None and live >= d.status.weight.desired + WEIGHT_STEP
    mirror_above = live is not None and d.mirrored >= d.mirror + WEIGHT_STEP
    if weight_above or mirror_above or (live is None and reverted(d)):
        d.aim(d.status.weight.desired, mirror=d.mirror, reassert=True)
    limit = d.spec.traffic.contested.rollback_after
    if d.now - contested.since >= limit:
        return Problem(Reason.ROUTE_CONTESTED, f"{text}; contested for {limit.total_seconds():g} s")
    return None
