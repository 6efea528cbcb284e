"""What to write: from the route as it is and an action to a patch, or to why there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.document import RouteKey, RouteObject
from sparkrelease.adapters.traffic.gateway_api.marks import annotations_of, epoch_of
from sparkrelease.adapters.traffic.gateway_api.mirrors import mirror_filter
from sparkrelease.adapters.traffic.gateway_api.owned import has_shape, is_ours, owned_labels, owned_manifest, owned_spec
from sparkrelease.adapters.traffic.gateway_api.patch import Op, Wanted, takeover_patch, unmark_patch, weight_patch
from sparkrelease.adapters.traffic.gateway_api.rules import (
    ManagedRule,
    Services,
    managed_rules,
    recorded,
    recorded_empty,
)
from sparkrelease.adapters.traffic.gateway_api.vocabulary import (
    FLUX_OFF,
    MARKS,
    TRACKING_ANNOTATIONS,
    TRACKING_LABELS,
)
from sparkrelease.adapters.traffic.gateway_api.weights import Pair, pair_of, percent_of, said_otherwise
from sparkrelease.api.gateway import OwnedRoute
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import Target


@dataclass(frozen=True, slots=True)
class Nothing:
    """All is so already."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A newer leader has stamped the route."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Patch:
    """Send these operations."""

    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True)
class Create:
    """Post this object."""

    manifest: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the route."""


Write = Nothing | Fence | Patch | Create | Remove | Problem


def key_of(target: Target) -> RouteKey:
    """The target's route."""
    return RouteKey(target.kind, target.namespace, target.route_name)


def services_of(target: Target) -> Services:
    """The target's two Services."""
    return Services(target.traffic.stable.service, target.traffic.canary.service)


def owned_of(target: Target) -> OwnedRoute | None:
    """The part of the spec that describes an owned route; None for a referenced one."""
    gateway = target.traffic.gateway_api
    return gateway.owned if gateway is not None and target.owned else None


def rules_of(target: Target, route: RouteObject) -> tuple[ManagedRule, ...] | Problem:
    """The rules of the live route that this target manages."""
    gateway = target.traffic.gateway_api
    named = gateway.route.rule if gateway is not None and gateway.route is not None and not target.owned else None
    return managed_rules(route, services_of(target), named)


def decide_write(route: RouteObject | None, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Write:
    """What to send so that the route is as the action wants it."""
    if route is None:
        return _without_route(target, action, epoch)
    if epoch_of(route) > epoch:
        return Fence(epoch_of(route))
    if isinstance(action, ReleaseRoute):
        return _release(route, target, action)
    marks = annotations_of(action.mark, target.release, epoch)
    owned = owned_of(target)
    if owned is None:
        return _set_weight(route, rules_of(target, route), _wanted(target, action), marks)
    return _set_owned(route, target, owned, _wanted(target, action), marks)


def _without_route(target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Write:
    if isinstance(action, ReleaseRoute):
        return Nothing()
    owned = owned_of(target)
    if owned is None:
        return Problem(Reason.ROUTE_NOT_FOUND, f"{key_of(target)} does not exist")
    spec = owned_spec(owned, target.traffic, pair_of(action.canary), action.mirror)
    marks = annotations_of(action.mark, target.release, epoch)
    return Create(owned_manifest(key_of(target), target.release, spec, marks))


def _release(route: RouteObject, target: Target, action: ReleaseRoute) -> Write:
    owned = owned_of(target)
    if owned is not None:
        if not is_ours(route, target.release):
            return Nothing()
        return Remove() if action.remove else _set_owned(route, target, owned, Wanted(pair_of(0)), {})
    rules = rules_of(target, route)
    if isinstance(rules, Problem):
        # The rules are no longer ours to manage: only what we left on the object is taken off.
        return _patch(unmark_patch(route))
    before = zip(recorded(action.original, rules), recorded_empty(action.original, rules), strict=True)
    return _patch(weight_patch(route, rules, [Wanted(pair, empty=empty) for pair, empty in before], {}))


def _wanted(target: Target, action: SetWeight) -> Wanted:
    mirror = mirror_filter(target.traffic.canary, action.mirror) if action.mirror else None
    pair = pair_of(action.canary)
    # A gateway asked again must see a change of the spec: Contour looks at no route whose generation is the same.
    return Wanted(said_otherwise(pair) if action.mark.asked % 2 else pair, mirror, action.mirror)


def _set_weight(
    route: RouteObject, rules: tuple[ManagedRule, ...] | Problem, wanted: Wanted, marks: Mapping[str, str]
) -> Write:
    if isinstance(rules, Problem):
        return rules
    crowded = next((rule for rule in rules if rule.others and _raises(rule, wanted.pair)), None)
    if crowded is not None:
        label = f"rule {crowded.name or crowded.index} of {route.key}"
        text = (
            f"{label} has further backends with weight {crowded.others}; set theirs to 0, or name only the two Services"
        )
        return Problem(Reason.ROUTE_INVALID, text)
    return _patch(weight_patch(route, rules, (wanted,) * len(rules), marks))


def _raises(rule: ManagedRule, pair: Pair) -> bool:
    """Whether the pair gives canary more than now; going down is never refused."""
    wanted = percent_of(pair.canary, pair.stable + pair.canary + rule.others) or 0.0
    return wanted > (rule.canary_percent or 0.0)


def _set_owned(
    route: RouteObject, target: Target, owned: OwnedRoute, wanted: Wanted, marks: Mapping[str, str]
) -> Write:
    spec = owned_spec(owned, target.traffic, wanted.pair)
    rules = rules_of(target, route)
    as_described = has_shape(route, spec, target.traffic.canary.service)
    if is_ours(route, target.release) and as_described and not isinstance(rules, Problem):
        return _set_weight(route, rules, wanted, marks)
    spec = owned_spec(owned, target.traffic, wanted.pair, wanted.percent)
    labels = owned_labels(target.release), TRACKING_LABELS
    annotations = {**FLUX_OFF, **marks}, (*TRACKING_ANNOTATIONS, *(name for name in MARKS if name not in marks))
    return Patch(takeover_patch(route, spec, labels, annotations))


def _patch(ops: tuple[Op, ...]) -> Write:
    return Patch(ops) if ops else Nothing()
