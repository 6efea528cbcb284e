"""What preflight says of stages that mirror requests: whether gateway and API can do it, and what they keep of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject, objects, read_route, text
from sparkrelease.adapters.traffic.gateway_api.rules import mirrored_percent
from sparkrelease.adapters.traffic.gateway_api.status import ParentKey, parent_key
from sparkrelease.adapters.traffic.gateway_api.writes import key_of, owned_of, rules_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Problem
from sparkrelease.ports.api_server import Reply
from sparkrelease.ports.traffic import Target

_MIRROR = "RequestMirror"
_ALL = 100.0

FeaturesOf = Callable[[ParentKey], frozenset[str] | None]
"""Features a parent's class says it supports; None where it says nothing."""


def mirror_findings(
    target: Target, route: RouteObject | None, mirrors: Sequence[float], features_of: FeaturesOf
) -> list[Finding]:
    """What is against mirroring so many percent: by the features of each parent's class, as far as it names any.

    Which features a class supports is said by its controller; one that says nothing may be able or not, so it is
    warned of. Those of GRPCRoute have no name in the Gateway API.
    """
    if not mirrors:
        return []
    owned = owned_of(target)
    if owned is not None:
        refs = [ref.model_dump(by_alias=True, exclude_none=True) for ref in owned.parent_refs]
    else:
        refs = [dict(ref) for ref in objects(route.spec.get("parentRefs"))] if route is not None else []
    found = []
    for parent in dict.fromkeys(parent_key(ref, target.namespace) for ref in refs):
        finding = _finding(target, route, parent, features_of(parent), mirrors)
        found += [finding] if finding is not None else []
    return found


def _finding(
    target: Target,
    route: RouteObject | None,
    parent: ParentKey,
    features: Collection[str] | None,
    mirrors: Sequence[float],
) -> Finding | None:
    parts = min(mirrors) < _ALL
    if features is None or target.kind != "HTTPRoute":
        what = "mirrors requests, or a part of them" if parts else "mirrors requests"
        hint = "measured requests will tell" if parts else "a canary without requests will tell"
        return _of(target, parent, f"does not say whether it {what}; {hint}", fatal=False)
    if "HTTPRouteRequestMirror" not in features:
        return _of(target, parent, "does not mirror requests; remove the stages that mirror", fatal=True)
    if parts and "HTTPRouteRequestPercentageMirror" not in features:
        return _of(target, parent, "mirrors all requests or none; set mirror to 100", fatal=True)
    several = route is not None and _others_mirror(target, route)
    if several and "HTTPRouteRequestMultipleMirrors" not in features:
        text = "mirrors to one Service only, and the route mirrors to another one; remove that filter"
        return _of(target, parent, text, fatal=True)
    return None


def _others_mirror(target: Target, route: RouteObject) -> bool:
    """Whether a managed rule has a mirror of somebody else's."""
    rules = rules_of(target, route)
    if isinstance(rules, Problem):
        return False
    filters = [(rule, objects(route.rules[rule.index].get("filters"))) for rule in rules]
    return any(
        text(one.get("type")) == _MIRROR and place not in rule.mirrors
        for rule, found in filters
        for place, one in enumerate(found)
    )


def _of(target: Target, parent: ParentKey, said: str, *, fatal: bool) -> Finding:
    return Finding("mirror", fatal, Problem(Reason.MIRROR_UNSUPPORTED, f"{key_of(target)}: {parent} {said}"))


def not_kept(target: Target, reply: Reply, mirror: float) -> list[Finding]:
    """Whether the API server dropped a part of the mirror: an older definition of routes knows no percentage."""
    if not mirror:
        return []
    rules = rules_of(target, read_route(target.kind, reply.body or {}))
    if isinstance(rules, Problem) or mirrored_percent(rules) == mirror:
        return []
    text = f"the API server keeps no mirror of {mirror:g} % on {key_of(target)}; set mirror to 100, or install a newer"
    return [Finding("mirror", True, Problem(Reason.MIRROR_UNSUPPORTED, f"{text} Gateway API"))]
