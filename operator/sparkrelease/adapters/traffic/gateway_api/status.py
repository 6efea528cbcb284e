"""Whether the gateway took a route: Verified only where status.parents says so for this generation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.document import Object, RouteObject, mapping, number, objects, text
from sparkrelease.adapters.traffic.gateway_api.vocabulary import GROUP
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Verification


@dataclass(frozen=True, slots=True)
class ParentKey:
    """A parent with every default filled in, so that two ways to write one are equal."""

    group: str
    kind: str
    namespace: str
    name: str
    section: str
    port: int

    def __str__(self) -> str:
        section = f" listener {self.section}" if self.section else ""
        return f"{self.kind} {self.namespace}/{self.name}{section}"


ControllerOf = Callable[[ParentKey], str | None]
"""Name of the controller of a parent; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateways say about a route's present generation."""

    verification: Verification
    reason: Reason
    message: str = ""


def parent_key(ref: Object, namespace: str) -> ParentKey:
    """A parentRef of a route in this namespace, defaults filled in."""
    group = ref.get("group")
    return ParentKey(
        group=group if isinstance(group, str) else GROUP,
        kind=text(ref.get("kind"), "Gateway"),
        namespace=text(ref.get("namespace"), namespace),
        name=text(ref.get("name")),
        section=text(ref.get("sectionName")),
        port=number(ref.get("port")),
    )


def parents_of(route: RouteObject) -> tuple[ParentKey, ...]:
    """The parents the route's spec names."""
    return tuple(parent_key(ref, route.key.namespace) for ref in objects(route.spec.get("parentRefs")))


def acceptance(route: RouteObject, controller_of: ControllerOf) -> Answer:
    """Verified when every parent accepts this generation; else what the first one that does not has to say."""
    parents = parents_of(route)
    if not parents:
        return _pending(f"{route.key} names no parent, so no gateway serves it")
    for parent in parents:
        answer = _accepted_by(route, parent, controller_of(parent))
        if answer.verification is not Verification.VERIFIED:
            return answer
    return Answer(Verification.VERIFIED, Reason.TRAFFIC_IN_SYNC)


def _accepted_by(route: RouteObject, parent: ParentKey, controller: str | None) -> Answer:
    entries = [entry for entry in route.parents if _is_from(entry, route, parent, controller)]
    if not entries:
        return _pending(f"{parent} has not answered for {route.key} yet")
    # Entries that never saw this generation may be left from a former controller: one that did must be there.
    current = [entry for entry in entries if _seen(entry) >= route.generation]
    if not current:
        seen = max(_seen(entry) for entry in entries)
        return _pending(f"{parent} has seen generation {seen} of {route.key}, not yet {route.generation}")
    answers = [_judge(entry, route, parent) for entry in current]
    refused = next((answer for answer in answers if answer.verification is not Verification.VERIFIED), None)
    return refused or answers[0]


def _is_from(entry: Object, route: RouteObject, parent: ParentKey, controller: str | None) -> bool:
    if parent_key(mapping(entry.get("parentRef")), route.key.namespace) != parent:
        return False
    return controller is None or entry.get("controllerName") == controller


def _seen(entry: Object) -> int:
    """Newest generation any condition of the entry speaks of."""
    return max((number(c.get("observedGeneration")) for c in objects(entry.get("conditions"))), default=0)


def _judge(entry: Object, route: RouteObject, parent: ParentKey) -> Answer:
    conditions = {text(c.get("type")): c for c in objects(entry.get("conditions"))}
    for kind in ("Accepted", "ResolvedRefs"):
        condition = conditions.get(kind)
        if condition is None or number(condition.get("observedGeneration")) < route.generation:
            return _pending(f"{parent} does not say {kind} for generation {route.generation} yet")
        if condition.get("status") == "False":
            return _refused(parent, condition)
        if condition.get("status") != "True":
            return _pending(f"{parent} says {kind}={condition.get('status')} for generation {route.generation}")
    partial = conditions.get("PartiallyInvalid")
    if partial is not None and partial.get("status") == "True":
        return _refused(parent, partial)
    return Answer(Verification.VERIFIED, Reason.TRAFFIC_IN_SYNC)


def _refused(parent: ParentKey, condition: Object) -> Answer:
    words = f"{text(condition.get('reason'))}: {text(condition.get('message'))}"
    says = f"{text(condition.get('type'))}={text(condition.get('status'))}"
    return Answer(Verification.PENDING, Reason.ROUTE_NOT_ACCEPTED, f"{parent} says {says}, {words}")


def _pending(message: str) -> Answer:
    return Answer(Verification.PENDING, Reason.ROUTE_PENDING, message)
