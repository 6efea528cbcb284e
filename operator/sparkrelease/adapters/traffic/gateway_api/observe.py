"""From a route as it is to the facts a round decides on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject
from sparkrelease.adapters.traffic.gateway_api.marks import mark_of
from sparkrelease.adapters.traffic.gateway_api.owned import has_shape, is_ours, owned_spec
from sparkrelease.adapters.traffic.gateway_api.rules import canary_percent, mirrored_percent, record
from sparkrelease.adapters.traffic.gateway_api.status import ControllerOf, acceptance
from sparkrelease.adapters.traffic.gateway_api.weights import pair_of
from sparkrelease.adapters.traffic.gateway_api.writes import key_of, owned_of, rules_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem, Route
from sparkrelease.ports.traffic import Target


@dataclass(frozen=True, slots=True)
class WriteNote:
    """What this process remembers of its last write of a route: which version it made and when, or why it failed."""

    uid: str = ""
    generation: int = 0
    at: datetime | None = None
    problem: Problem | None = None


def facts_of(target: Target, route: RouteObject | None, controller_of: ControllerOf, note: WriteNote) -> Route:
    """What the cluster says about the target's route.

    An owned route that is not (or no longer) what its release describes has no canary weight: it is to be written anew.
    """
    if route is None:
        missing = None if target.owned else Problem(Reason.ROUTE_NOT_FOUND, f"{key_of(target)} does not exist")
        return Route(problem=missing, write_problem=note.problem, message=f"{key_of(target)} does not exist")
    answer = acceptance(route, controller_of)
    rules = rules_of(target, route)
    invalid = isinstance(rules, Problem)
    ours = not target.owned or _as_described(target, route)
    return Route(
        exists=True,
        canary_weight=None if isinstance(rules, Problem) or not ours else canary_percent(rules),
        generation=route.generation,
        verification=answer.verification,
        reason=answer.reason,
        message=answer.message,
        manager=route.manager,
        mark=mark_of(route, target.release),
        problem=rules if isinstance(rules, Problem) and not target.owned else None,
        written_at=note.at if (note.uid, note.generation) == (route.uid, route.generation) else None,
        write_problem=note.problem,
        original=None if invalid or target.owned or isinstance(rules, Problem) else record(rules),
        mirror=0.0 if isinstance(rules, Problem) or not ours else mirrored_percent(rules),
    )


def _as_described(target: Target, route: RouteObject) -> bool:
    owned = owned_of(target)
    if owned is None or not is_ours(route, target.release):
        return False
    return has_shape(route, owned_spec(owned, target.traffic, pair_of(0)), target.traffic.canary.service)
