"""The route an owned release keeps: its manifest, whole, and whether a live one has that shape."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.adapters.traffic.gateway_api.document import Object, RouteKey, RouteObject, objects
from sparkrelease.adapters.traffic.gateway_api.mirrors import mirror_filter, without_mirror
from sparkrelease.adapters.traffic.gateway_api.vocabulary import (
    FIELD_MANAGER,
    FLUX_OFF,
    GROUP,
    MANAGED_BY,
    RELEASE,
    VERSION,
    label_value,
)
from sparkrelease.adapters.traffic.gateway_api.weights import Pair
from sparkrelease.api.gateway import OwnedRoute, OwnedRule, ParentRef, RouteMatch
from sparkrelease.api.spec import ServiceRef, Traffic

_PARENT = ("group", "kind", "namespace", "name", "sectionName", "port")
_RULE = ("name", "filters", "timeouts", "retry", "sessionPersistence")
_MATCH = ("path", "headers", "queryParams", "method")
_BACKEND = ("group", "kind", "namespace", "name", "port", "filters")


def owned_spec(owned: OwnedRoute, traffic: Traffic, pair: Pair, mirror: float = 0.0) -> dict[str, object]:
    """The spec with every default written out: the API server adds nothing, and a comparison finds no difference."""
    spec: dict[str, object] = {"parentRefs": [_parent(ref) for ref in owned.parent_refs]}
    if owned.hostnames:
        spec["hostnames"] = list(owned.hostnames)
    backends = [_backend(traffic.stable, pair.stable), _backend(traffic.canary, pair.canary)]
    filters = [mirror_filter(traffic.canary, mirror)] if mirror else []
    spec["rules"] = [_rule(owned.kind, rule, backends, filters) for rule in owned.rules]
    return spec


def owned_labels(release: str) -> dict[str, str]:
    """Labels of an owned route; by the first it is known as ours."""
    return {RELEASE: label_value(release), MANAGED_BY: FIELD_MANAGER}


def owned_manifest(key: RouteKey, release: str, spec: Object, marks: Mapping[str, str]) -> dict[str, object]:
    """The whole object to create. No ownerReference: a pruned release must not take the front door with it."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": owned_labels(release),
            "annotations": {**FLUX_OFF, **marks},
        },
        "spec": dict(spec),
    }


def is_ours(route: RouteObject, release: str) -> bool:
    """Whether the route carries the label of this release."""
    return route.label(RELEASE) == label_value(release)


def has_shape(route: RouteObject, spec: Object, canary: str) -> bool:
    """Whether the route says what the spec says, weights and copies for canary (the name of its Service) aside.

    Fields a newer API adds by default do not count.
    """
    plain = {**route.spec, "rules": [without_mirror(route.key.namespace, rule, canary) for rule in route.rules]}
    return shape(plain) == shape(spec)


def shape(spec: Object) -> object:
    """All that a route's spec says but its weights."""
    return {
        "parentRefs": [_pick(ref, _PARENT) for ref in objects(spec.get("parentRefs"))],
        "hostnames": list(_list(spec.get("hostnames"))),
        "rules": [
            {
                **_pick(rule, _RULE),
                "matches": [_pick(match, _MATCH) for match in objects(rule.get("matches"))],
                "backendRefs": [_pick(ref, _BACKEND) for ref in objects(rule.get("backendRefs"))],
            }
            for rule in objects(spec.get("rules"))
        ],
    }


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _pick(item: Object, keys: tuple[str, ...]) -> dict[str, object]:
    """The given keys of an object; an empty list or object is the same as none."""
    picked = {key: item[key] for key in keys if item.get(key) not in (None, [], {}, ())}
    return {**picked, "group": item["group"]} if "group" in keys and "group" in item else picked


def _parent(ref: ParentRef) -> dict[str, object]:
    parent: dict[str, object] = {"group": ref.group, "kind": ref.kind}
    if ref.namespace is not None:
        parent["namespace"] = ref.namespace
    parent["name"] = ref.name
    if ref.section_name is not None:
        parent["sectionName"] = ref.section_name
    if ref.port is not None:
        parent["port"] = ref.port
    return parent


def _backend(ref: ServiceRef, weight: int) -> dict[str, object]:
    return {"group": "", "kind": "Service", "name": ref.service, "port": ref.port, "weight": weight}


def _rule(
    kind: str, rule: OwnedRule, backends: list[dict[str, object]], filters: list[dict[str, object]]
) -> dict[str, object]:
    made: dict[str, object] = {"name": rule.name} if rule.name is not None else {}
    if kind == "HTTPRoute":
        made["matches"] = [_http_match(match) for match in rule.matches or (RouteMatch(),)]
    elif rule.matches:
        made["matches"] = [_grpc_match(match) for match in rule.matches]
    if filters:
        made["filters"] = filters
    made["backendRefs"] = [dict(backend) for backend in backends]
    return made


def _http_match(match: RouteMatch) -> dict[str, object]:
    path = match.path.model_dump() if match.path is not None else {"type": "PathPrefix", "value": "/"}
    return {"path": path, **_headers(match)}


def _grpc_match(match: RouteMatch) -> dict[str, object]:
    method = match.method.model_dump(exclude_none=True) if match.method is not None else {}
    return {**({"method": {"type": "Exact", **method}} if method else {}), **_headers(match)}


def _headers(match: RouteMatch) -> dict[str, object]:
    return {"headers": [header.model_dump() for header in match.headers]} if match.headers else {}
