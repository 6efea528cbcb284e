"""Which rules of a route are managed, and what their weights are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.document import Object, RouteObject, mapping, number, objects, text
from sparkrelease.adapters.traffic.gateway_api.mirrors import mirrors_to, percent_mirrored
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
    mirrors: tuple[int, ...] = ()
    """Places of the filters that copy requests to canary."""
    mirrored: float | None = 0.0
    """Percent of the rule's requests that they copy; None where it cannot be said."""
    empty: bool = False
    """Whether its list of filters is there, with nothing in it."""

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


def mirrored_percent(rules: Sequence[ManagedRule]) -> float | None:
    """Share of requests copied to canary over all managed rules; None where they disagree or it cannot be said."""
    shares = {rule.mirrored for rule in rules}
    return shares.pop() if len(shares) == 1 else None


def record(rules: Sequence[ManagedRule]) -> str:
    """The present weights as JSON, to be restored later: bounded in size, readable by `recorded`.

    A rule with a list of filters that is empty is told from one without any.
    """
    entries = [
        {"i": rule.index, "n": _short(rule.name), "s": rule.now.stable, "c": rule.now.canary}
        | ({"f": 0} if rule.empty else {})
        for rule in rules
    ]
    return json.dumps(entries, separators=(",", ":"))


def recorded_empty(state: str | None, rules: Sequence[ManagedRule]) -> tuple[bool, ...]:
    """For each rule, whether its list of filters was there and empty."""
    known = {text(item.get("n")) or number(item.get("i")) for item in objects(_parsed(state)) if "f" in item}
    return tuple((_short(rule.name) or rule.index) in known for rule in rules)


def recorded(state: str | None, rules: Sequence[ManagedRule]) -> tuple[Pair, ...]:
    """The recorded weights for each rule: by name, for unnamed rules by place.

    A rule the record does not know (added since) gets what all recorded rules had, or all to stable.
    """
    entries = _entries(state)
    pairs = set(entries.values())
    fallback = pairs.pop() if len(pairs) == 1 else pair_of(0)
    return tuple(entries.get(_short(rule.name) or rule.index, fallback) for rule in rules)


def _entries(state: str | None) -> dict[str | int, Pair]:
    entries: dict[str | int, Pair] = {}
    for item in objects(_parsed(state)):
        stable, canary = number(item.get("s"), -1), number(item.get("c"), -1)
        if min(stable, canary) >= 0:
            entries[text(item.get("n")) or number(item.get("i"))] = Pair(stable, canary)
    return entries


def _parsed(state: str | None) -> object:
    try:
        return json.loads(state or "[]")
    except ValueError:
        return []


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
    mirrors = mirrors_to(route.key.namespace, rule, services.canary)
    return ManagedRule(
        index=index,
        name=name,
        stable_at=stable[0],
        canary_at=canary[0],
        now=Pair(weights[stable[0]], weights[canary[0]]),
        others=others,
        mirrors=mirrors,
        mirrored=percent_mirrored(rule, mirrors),
        empty=rule.get("filters") == [],
    )


def _describe(rules: Sequence[Object]) -> str:
    parts = []
    for i, rule in enumerate(rules):
        names = ", ".join(text(mapping(ref).get("name"), "?") for ref in objects(rule.get("backendRefs"))) or "nothing"
        parts.append(f"{text(rule.get('name')) or f'rule {i}'}: {names}")
    return "; ".join(parts) or "no rules"


def _invalid(message: str) -> Problem:
    return Problem(Reason.ROUTE_INVALID, message)
