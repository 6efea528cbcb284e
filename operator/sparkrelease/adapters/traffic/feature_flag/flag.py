"""A ConfigMap with a flag as the API server or a watch sends it, and the facts a round decides on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sparkrelease.api.flags import LADDER, FeatureFlag, weight_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem, Route, Verification
from sparkrelease.ports.marks import FIELD_MANAGER, mark_of
from sparkrelease.ports.traffic import Target

Object = Mapping[str, object]
Place = tuple[str, str]
"""Namespace and name of a ConfigMap."""

KIND = "ConfigMap"
RUNGS = ", ".join(LADDER.values())
_NOTHING: Object = {}


@dataclass(frozen=True, slots=True)
class FlagObject:
    """A ConfigMap at one resourceVersion. `annotations` and `data` are None where it has no such map."""

    place: Place
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str] | None
    data: Mapping[str, str] | None
    immutable: bool
    fields: tuple[Object, ...]
    """Entries of managedFields."""

    @property
    def order(self) -> int:
        """The resourceVersion as a number to compare by; -1 where it is none."""
        return int(self.resource_version) if self.resource_version.isdecimal() else -1

    def value(self, key: str) -> str | None:
        """Value of a key, None where there is no such key."""
        return (self.data or {}).get(key)

    def manager(self, key: str) -> str:
        """Who owns the value of a key now; empty when it is this operator, or nobody is known to."""
        named = f"f:{key}"
        owners = [one for one in self.fields if named in _mapping(_mapping(one.get("fieldsV1")).get("f:data"))]
        if any(entry.get("manager") == FIELD_MANAGER for entry in owners):
            return ""
        newest = max(owners, key=lambda entry: str(entry.get("time") or ""), default=_NOTHING)
        return str(newest.get("manager") or "")


@dataclass(frozen=True, slots=True)
class WriteNote:
    """What this process remembers of its last write of a flag: the value it made and when, or why it failed."""

    uid: str = ""
    value: str = ""
    at: datetime | None = None
    problem: Problem | None = None


def read_flag(body: Object) -> FlagObject:
    """Takes from a body what this provider looks at; total, whatever the body holds."""
    metadata = _mapping(body.get("metadata"))
    annotations, data, fields = metadata.get("annotations"), body.get("data"), metadata.get("managedFields")
    return FlagObject(
        place=(str(metadata.get("namespace") or ""), str(metadata.get("name") or "")),
        uid=str(metadata.get("uid") or ""),
        resource_version=str(metadata.get("resourceVersion") or ""),
        labels=_texts(metadata.get("labels")),
        annotations=_texts(annotations) if isinstance(annotations, Mapping) else None,
        data=_texts(data) if isinstance(data, Mapping) else None,
        immutable=body.get("immutable") is True,
        fields=tuple(_mapping(item) for item in fields) if isinstance(fields, list) else (),
    )


def flag_of(target: Target) -> FeatureFlag:
    """The part of the spec that describes the flag.

    Raises:
        ValueError: the target is another provider's.
    """
    flag = target.traffic.feature_flag
    if flag is None:
        raise ValueError(f"{target.namespace}/{target.release} has no feature flag")
    return flag


def label_of(target: Target) -> str:
    """The flag as people are told of it."""
    return f"{KIND} {target.namespace}/{target.route_name}, key {flag_of(target).key}"


def value_problem(target: Target, seen: FlagObject | None) -> Problem | None:
    """Why the flag has no value that means anything."""
    if seen is None:
        return Problem(Reason.ROUTE_NOT_FOUND, f"{KIND} {target.namespace}/{target.route_name} does not exist")
    key = flag_of(target).key
    value = seen.value(key)
    if value is None:
        known = ", ".join(sorted(seen.data or {})[:10]) or "none"
        text = f"{label_of(target)} is not there (keys: {known}); add it with the value 0"
        return Problem(Reason.ROUTE_INVALID, text)
    if weight_of(value) is None:
        text = f"{label_of(target)} holds {value[:64]!r}, which is no share; set it to one of {RUNGS}"
        return Problem(Reason.ROUTE_INVALID, text)
    return None


def facts_of(target: Target, seen: FlagObject | None, note: WriteNote) -> Route:
    """What the cluster says of the flag. Whether it is in force only the application's own metric can tell."""
    problem, key = value_problem(target, seen), flag_of(target).key
    value = seen.value(key) if seen is not None else None
    if seen is None or value is None or problem is not None:
        mark = mark_of(seen.annotations, target.release) if seen is not None else None
        message = problem.message if problem is not None else ""
        return Route(exists=seen is not None, problem=problem, write_problem=note.problem, message=message, mark=mark)
    manager = seen.manager(key)
    ours = not manager and (note.uid, note.value) == (seen.uid, value)
    return Route(
        exists=True,
        canary_weight=weight_of(value),
        generation=max(seen.order, 0),
        verification=Verification.UNSUPPORTED,
        reason=Reason.FLAG_PENDING,
        message=f"no pod has been asked yet whether {value} is in force",
        manager=manager,
        mark=mark_of(seen.annotations, target.release),
        written_at=note.at if ours else None,
        write_problem=note.problem,
        original=value,
    )


def _mapping(value: object) -> Object:
    return value if isinstance(value, Mapping) else _NOTHING


def _texts(value: object) -> Mapping[str, str]:
    return {str(name): text for name, text in _mapping(value).items() if isinstance(text, str)}
