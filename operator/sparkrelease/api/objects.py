"""Reading objects as the API server sends them. Nothing raises: what cannot be read is a Problem naming the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from sparkrelease.api.approval import ReleaseApprovalSpec
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.rules import RuleError
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.api.status import SparkReleaseStatus

GROUP = "sparkrelease.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
RELEASE_KIND = "SparkRelease"
RELEASES = "sparkreleases"
POLICY_KIND = "ReleasePolicy"
POLICIES = "releasepolicies"
APPROVAL_KIND = "ReleaseApproval"
APPROVALS = "releaseapprovals"

_MOST_FAULTS = 5
_LONGEST_VALUE = 80
_TIME = TypeAdapter(datetime)
_Place = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class ParsedRelease:
    """A SparkRelease, read. `spec` is a Problem when it cannot be read; `status` then still is what was stored."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime | None
    deleting_since: datetime | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: SparkReleaseSpec | Problem
    status: SparkReleaseStatus
    status_problem: Problem | None
    """What of the stored status could not be read, and is missing from `status`."""


def parse_release(body: Mapping[str, object]) -> SparkReleaseSpec | Problem:
    """The spec of a SparkRelease; InvalidSpec names every field that cannot be read (objects stored before a rule)."""
    try:
        return SparkReleaseSpec.model_validate(body.get("spec"))
    except ValidationError as fault:
        return Problem(Reason.INVALID_SPEC, describe_faults(fault, "spec"))


def parse_policy(body: Mapping[str, object]) -> ReleasePolicySpec | Problem:
    """The spec of a ReleasePolicy; InvalidSpec names the policy and every field that cannot be read."""
    try:
        return ReleasePolicySpec.model_validate(body.get("spec"))
    except ValidationError as fault:
        name = _text(_part(body, "metadata"), "name")
        return Problem(Reason.INVALID_SPEC, f"ReleasePolicy {name}: {describe_faults(fault, 'spec')}")


@dataclass(frozen=True, slots=True)
class ParsedApproval:
    """A ReleaseApproval, read. `created_at` is when the API server stored it."""

    name: str
    created_at: datetime
    spec: ReleaseApprovalSpec


def read_approval(body: Mapping[str, object]) -> ParsedApproval | Problem:
    """A ReleaseApproval; InvalidSpec names it and every field that cannot be read."""
    meta = _part(body, "metadata")
    name = _text(meta, "name")
    try:
        spec = ReleaseApprovalSpec.model_validate(body.get("spec"))
    except ValidationError as fault:
        return Problem(Reason.INVALID_SPEC, f"ReleaseApproval {name}: {describe_faults(fault, 'spec')}")
    try:
        created_at = _time(meta, "creationTimestamp")
    except ValidationError:
        created_at = None
    if created_at is None:
        return Problem(Reason.INVALID_SPEC, f"ReleaseApproval {name}: it does not say when it was created")
    return ParsedApproval(name, created_at, spec)


def parse_status(body: Mapping[str, object]) -> tuple[SparkReleaseStatus, Problem | None]:
    """The stored status. Fields that cannot be read are left empty, and the Problem names them.

    The rest is kept: a version that was refused stays refused, whatever else became unreadable.
    """
    stored = body.get("status")
    if not isinstance(stored, Mapping):
        return SparkReleaseStatus(), None
    try:
        return SparkReleaseStatus.model_validate(stored), None
    except ValidationError as fault:
        unreadable = {place[0] for place in (error["loc"] for error in fault.errors()) if place}
        readable = {key: value for key, value in stored.items() if key not in unreadable}
        problem = Problem(Reason.STATUS_UNREADABLE, describe_faults(fault, "status"))
        return SparkReleaseStatus.model_validate(readable), problem


def read_release(body: Mapping[str, object]) -> ParsedRelease:
    """Everything of a SparkRelease at once. Costs about as much as its JSON; keep the answer by resourceVersion."""
    meta = _part(body, "metadata")
    generation = meta.get("generation")
    finalizers = meta.get("finalizers")
    status, status_problem = parse_status(body)
    return ParsedRelease(
        namespace=_text(meta, "namespace"),
        name=_text(meta, "name"),
        uid=_text(meta, "uid"),
        generation=generation if isinstance(generation, int) else 0,
        resource_version=_text(meta, "resourceVersion"),
        created_at=_time(meta, "creationTimestamp"),
        deleting_since=_time(meta, "deletionTimestamp"),
        finalizers=tuple(str(f) for f in finalizers) if isinstance(finalizers, list) else (),
        annotations={str(k): str(v) for k, v in _part(meta, "annotations").items()},
        spec=parse_release(body),
        status=status,
        status_problem=status_problem,
    )


def describe_faults(fault: ValidationError, root: str) -> str:
    """The faults in one line, each with the path of its field as kubectl writes it and the value found there."""
    errors = fault.errors(include_url=False)
    told = [_describe(root, e["loc"], e["msg"], e["input"], e.get("ctx", {})) for e in errors[:_MOST_FAULTS]]
    if len(errors) > _MOST_FAULTS:
        told.append(f"and {len(errors) - _MOST_FAULTS} more")
    return "; ".join(told)


def _describe(root: str, place: _Place, message: str, found: object, context: Mapping[str, object]) -> str:
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    broken = context.get("error")
    if isinstance(broken, RuleError):
        path += broken.field
    sentence = message.removeprefix("Value error, ")
    if isinstance(found, str | int | float | None):
        return f"{path}: {sentence} (found {repr(found)[:_LONGEST_VALUE]})"
    return f"{path}: {sentence}"


def _part(body: Mapping[str, object], field: str) -> Mapping[str, object]:
    part = body.get(field)
    return part if isinstance(part, Mapping) else {}


def _text(part: Mapping[str, object], field: str) -> str:
    value = part.get(field)
    return value if isinstance(value, str) else ""


def _time(part: Mapping[str, object], field: str) -> datetime | None:
    value = part.get(field)
    return _TIME.validate_python(value) if isinstance(value, str) else None
