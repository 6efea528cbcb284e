"""Reads a route as the API server or a watch sends it: total, whatever the body holds."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.vocabulary import FIELD_MANAGER

Object = Mapping[str, object]
_NOTHING: Object = {}


def mapping(value: object) -> Object:
    """The value as a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else _NOTHING


def objects(value: object) -> tuple[Object, ...]:
    """The value as a list of JSON objects, one for one (an element that is none becomes an empty one)."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(mapping(item) for item in value)


def strings(value: object) -> tuple[str, ...]:
    """The strings of a list."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def text(value: object, default: str = "") -> str:
    """The value as a string, or the default for anything else (null and empty included)."""
    return value if isinstance(value, str) and value else default


def number(value: object, default: int = 0) -> int:
    """The value as an integer, or the default for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def string_map(value: object) -> Mapping[str, str] | None:
    """Labels or annotations; None where the object has no such map at all."""
    if not isinstance(value, Mapping):
        return None
    return {str(key): item for key, item in value.items() if isinstance(item, str)}


@dataclass(frozen=True, slots=True)
class RouteKey:
    """Which route."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class RouteObject:
    """A route at one resourceVersion. `labels` and `annotations` are None when the object has no such map."""

    key: RouteKey
    uid: str
    resource_version: str
    generation: int
    created: str
    labels: Mapping[str, str] | None
    annotations: Mapping[str, str] | None
    owners: tuple[str, ...]
    spec: Object
    parents: tuple[Object, ...]
    """Entries of status.parents."""
    manager: str
    """Who owns the rules now; empty when it is this operator."""
    managers: frozenset[str]
    """Every field manager of the object."""

    @property
    def rules(self) -> tuple[Object, ...]:
        """The rules of the route, in order."""
        return objects(self.spec.get("rules"))

    @property
    def order(self) -> int:
        """The resourceVersion as a number to compare by; -1 where it is none."""
        return int(self.resource_version) if self.resource_version.isdecimal() else -1

    def annotation(self, name: str) -> str | None:
        """Value of an annotation, None when it is not there."""
        return (self.annotations or {}).get(name)

    def label(self, name: str) -> str | None:
        """Value of a label, None when it is not there."""
        return (self.labels or {}).get(name)


def read_route(kind: str, body: Object) -> RouteObject:
    """Takes from a body what this provider looks at."""
    metadata = mapping(body.get("metadata"))
    fields = objects(metadata.get("managedFields"))
    return RouteObject(
        key=RouteKey(kind, text(metadata.get("namespace")), text(metadata.get("name"))),
        uid=text(metadata.get("uid")),
        resource_version=text(metadata.get("resourceVersion")),
        generation=number(metadata.get("generation")),
        created=text(metadata.get("creationTimestamp")),
        labels=string_map(metadata.get("labels")),
        annotations=string_map(metadata.get("annotations")),
        owners=tuple(f"{text(o.get('kind'))}/{text(o.get('name'))}" for o in objects(metadata.get("ownerReferences"))),
        spec=mapping(_kept(body.get("spec"))),
        parents=objects(_kept(mapping(body.get("status")).get("parents"))),
        manager=rules_manager(fields),
        managers=frozenset(text(entry.get("manager")) for entry in fields),
    )


def _kept(value: object) -> object:
    """The value with every text in it kept once in the process.

    Routes are kept whole and say much the same, but each came in an answer of its own, with texts of its own.
    """
    if isinstance(value, dict):
        return {sys.intern(name): _kept(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_kept(item) for item in value]
    return sys.intern(value) if isinstance(value, str) else value


def ports_of(service: Object) -> tuple[int, ...]:
    """Port numbers of a Service."""
    return tuple(number(port.get("port")) for port in objects(mapping(service.get("spec")).get("ports")))


def features_of(gateway_class: Object) -> frozenset[str]:
    """Names of the features a GatewayClass says it supports (objects with a name; before v1.3 plain names)."""
    said = mapping(gateway_class.get("status")).get("supportedFeatures")
    return frozenset((*strings(said), *(text(one.get("name")) for one in objects(said)))) - {""}


def rules_manager(fields: Sequence[Object]) -> str:
    """Field manager that wrote the present rules, empty when this operator did.

    `rules` is one atomic field: a write that changes it takes it from everybody else, so co-owners agree on its value.
    """
    main = [entry for entry in fields if not text(entry.get("subresource"))]
    owners = [entry for entry in main if "f:rules" in mapping(mapping(entry.get("fieldsV1")).get("f:spec"))]
    if not owners:
        owners = [entry for entry in main if "f:spec" in mapping(entry.get("fieldsV1"))]
    if not owners or any(entry.get("manager") == FIELD_MANAGER for entry in owners):
        return ""
    return text(max(owners, key=lambda entry: text(entry.get("time"))).get("manager"), "unknown")
