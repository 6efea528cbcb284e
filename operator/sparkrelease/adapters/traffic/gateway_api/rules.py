"""Which rules of a route are managed, and what their weights are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.document import Object, RouteObject, mapping, number, objects, text
from sparkrelease.adapters.traffic.gateway_api.weights import Pair, pair_of, percent_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem

_DEFAULT_WEIGHT = 1
"""What the API server fills in for a weight that is not given."""
_SHORT_NAME = 40


@dataclass(frozen=True, slots=True)
class Services:
    """Names of the two Services."""

    stable: str
    canary: str


@dataclass(frozen=True, slots=True)
class ManagedRule:
    """A rule that splits between the two Services: where its two weights are and what they say.

    `others` is the sum of the weights of further backends, which are never touched.
    """

    index: int
    name: str
    stable_at: int
    canary_at: int
    now: Pair
    others: int

    @property
    def canary_percent(self) -> float | None:
        """Share of canary in this rule, None where all weights are 0."""
        return percent_of(self.now.canary, self.now.stable + self.now.canary + self.others)


def managed_rules(route: RouteObject, services: Services, rule_name: str | None) -> tuple[ManagedRule, ...] | Problem:
    """The rules whose weights are ours: the named one, else every one that names both Services.

    Answers a RouteInvalid that says what is there instead, when there is none or one cannot be managed.
    """
    rules = route.rules
    if rule_name is not None:
        at = [i for i, rule in enumerate(rules) if rule.get("name") == rule_name]
        if not at:
            names = ", ".join(text(rule.get("name"), "(unnamed)") for rule in rules) or "none"
            return _invalid(f"{route.key} has no rule named {rule_name}; its rules: {names}")
    else:
        at = [i for i, rule in enumerate(rules) if _names_both(route, rule, services)]
        if not at:
            wanted = f"both Services {services.stable} and {services.canary}"
            return _invalid(f"no rule of {route.key} has {wanted} as backends; found {_describe(rules)}")
    found = [_managed(route, i, rules[i], services) for i in at]
    problem = next((item for item in found if isinstance(item, Problem)), None)
    return problem or tuple(item for item in found if isinstance(item, ManagedRule))


def canary_percent(rules: Sequence[ManagedRule]) -> float | None:
    """Share of canary over all managed rules; None where they disagree or a share is not defined."""
    shares = {rule.canary_percent for rule in rules}
    return shares.pop() if len(shares) == 1 else None


def record(rules: Sequence[ManagedRule]) -> str:
    """The present weights as JSON, to be restored later: bounded in size, readable by `recorded`."""
    entries = [{"i": rule.index, "n": _short(rule.name), "s": rule.now.stable, "c": rule.now.canary} for rule in rules]
    return json.dumps(entries, separators=(",", ":"))


def recorded(state: str | None, rules: Sequence[ManagedRule]) -> tuple[Pair, ...]:
    """The recorded weights for each rule: by name, for unnamed rules by place.

    A rule the record does not know (added since) gets what all recorded rules had, or all to stable.
    """
    entries = _entries(state)
    pairs = set(entries.values())
    fallback = pairs.pop() if len(pairs) == 1 else pair_of(0)
    return tuple(entries.get(_short(rule.name) or rule.index, fallback) for rule in rules)


def _entries(state: str | None) -> dict[str | int, Pair]:
    try:
        raw = json.loads(state or "[]")
    except ValueError:
        raw = []
    entries: dict[str | int, Pair] = {}
    for item in objects(raw):
        stable, canary = number(item.get("s"), -1), number(item.get("c"), -1)
        if min(stable, canary) >= 0:
            entries[text(item.get("n")) or number(item.get("i"))] = Pair(stable, canary)
    return entries


def _short(name: str) -> str:
    return name if len(name) <= _SHORT_NAME else "sha256:" + hashlib.sha256(name.encode()).hexdigest()[:24]


def _is_service(route: RouteObject, backend: Object, service: str) -> bool:
    local = text(backend.get("namespace"), route.key.namespace) == route.key.namespace
    core = not text(backend.get("group")) and text(backend.get("kind"), "Service") == "Service"
    return local and core and backend.get("name") == service


def _places(route: RouteObject, rule: Object, service: str) -> list[int]:
    return [i for i, ref in enumerate(objects(rule.get("backendRefs"))) if _is_service(route, ref, service)]


def _names_both(route: RouteObject, rule: Object, services: Services) -> bool:
    return bool(_places(route, rule, services.stable)) and bool(_places(route, rule, services.canary))


def _managed(route: RouteObject, index: int, rule: Object, services: Services) -> ManagedRule | Problem:
    backends = objects(rule.get("backendRefs"))
    name = text(rule.get("name"))
    label = f"rule {name or index} of {route.key}"
    stable, canary = _places(route, rule, services.stable), _places(route, rule, services.canary)
    for service, places in ((services.stable, stable), (services.canary, canary)):
        if not places:
            return _invalid(f"{label} does not have Service {service} as a backend; found {_describe([rule])}")
        if len(places) > 1:
            return _invalid(f"{label} names Service {service} {len(places)} times; name it once")
    weights = [number(ref.get("weight"), _DEFAULT_WEIGHT) for ref in backends]
    ours = {stable[0], canary[0]}
    others = sum(weight for i, weight in enumerate(weights) if i not in ours)
    return ManagedRule(index, name, stable[0], canary[0], Pair(weights[stable[0]], weights[canary[0]]), others)


def _describe(rules: Sequence[Object]) -> str:
    parts = []
    for i, rule in enumerate(rules):
        names = ", ".join(text(mapping(ref).get("name"), "?") for ref in objects(rule.get("backendRefs"))) or "nothing"
        parts.append(f"{text(rule.get('name')) or f'rule {i}'}: {names}")
    return "; ".join(parts) or "no rules"


def _invalid(message: str) -> Problem:
    return Problem(Reason.ROUTE_INVALID, message)
