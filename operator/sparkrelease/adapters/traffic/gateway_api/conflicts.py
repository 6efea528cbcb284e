"""Whether another route takes the same requests first, so that a weight on ours would split nothing. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.document import Object, RouteKey, RouteObject, mapping, objects, strings
from sparkrelease.adapters.traffic.gateway_api.status import ParentKey, parent_key

_ANYTHING: Object = {}
_ROOT = {"type": "PathPrefix", "value": "/"}


@dataclass(frozen=True, slots=True)
class Claim:
    """The requests a route takes: on which parents, for which hosts, by which matches."""

    key: RouteKey
    created: str
    """creationTimestamp; empty for a route that is yet to be made, which is younger than any other."""
    parents: frozenset[ParentKey]
    hostnames: frozenset[str]
    matches: frozenset[str]

    @property
    def age(self) -> tuple[bool, str, str, str]:
        """Orders claims as gateways do: the older route wins, then the name."""
        return (not self.created, self.created, self.key.namespace, self.key.name)


def claim_of(key: RouteKey, created: str, spec: Object, rules: Sequence[Object]) -> Claim:
    """What a route with this spec claims by these of its rules."""
    return Claim(
        key=key,
        created=created,
        parents=frozenset(parent_key(ref, key.namespace) for ref in objects(spec.get("parentRefs"))),
        hostnames=frozenset(strings(spec.get("hostnames"))),
        matches=frozenset(match for rule in rules for match in _matches(key.kind, rule)),
    )


def older_rival(ours: Claim, routes: Iterable[RouteObject]) -> RouteKey | None:
    """A route that takes one of our matches on one of our parents and hosts, and is older; the oldest of them."""
    claims = (
        claim_of(route.key, route.created, route.spec, route.rules)
        for route in routes
        # Hosts are compared first: what else a route claims costs ten times as much, for every route of a cluster.
        if route.key != ours.key and _same_host(strings(route.spec.get("hostnames")), ours.hostnames)
    )
    rivals = sorted((claim for claim in claims if _takes_from(claim, ours)), key=lambda claim: claim.age)
    return rivals[0].key if rivals else None


def _takes_from(other: Claim, ours: Claim) -> bool:
    if other.age > ours.age or not other.matches & ours.matches:
        return False
    return any(_meet(one, two) for one in other.parents for two in ours.parents)


def _same_host(theirs: Sequence[str], ours: frozenset[str]) -> bool:
    """Whether both name one host, or neither names any."""
    return not ours.isdisjoint(theirs) if theirs and ours else not (theirs or ours)


def _meet(one: ParentKey, two: ParentKey) -> bool:
    """Whether two routes attach to one listener: a parent without section or port stands for all of them."""
    same = (one.group, one.kind, one.namespace, one.name) == (two.group, two.kind, two.namespace, two.name)
    section = not one.section or not two.section or one.section == two.section
    port = not one.port or not two.port or one.port == two.port
    return same and section and port


def _matches(kind: str, rule: Object) -> Iterable[str]:
    for match in objects(rule.get("matches")) or (_ANYTHING,):
        whole = dict(match)
        if kind == "HTTPRoute":
            whole["path"] = {**_ROOT, **mapping(match.get("path"))}
        yield json.dumps(whole, sort_keys=True, default=str)
