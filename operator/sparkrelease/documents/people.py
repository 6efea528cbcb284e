"""What people did in a run, and what came with it from outside: commands, signatures, checks, bills of materials.

Signatures, declared checks, SBOM and provenance are part of a run only where entries of its evidence tell of them.
Where none does, a document says so in plain words; nothing is made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import Entry
from sparkrelease.documents.record import Run, text_of, time_of

NOT_PART = "not part of this run"
"""What every document says of something that the run's evidence does not have."""

_IN_A_REGISTRY = "oci://"
_COMMANDS = frozenset({Reason.COMMAND_TAKEN.value, Reason.INVALID_COMMAND.value})


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command a person gave."""

    at: datetime
    user: str
    verb: str
    reason: str
    taken: bool
    entry: int


@dataclass(frozen=True, slots=True)
class Signature:
    """A go or a no-go that counted, as its entry keeps it."""

    by: str
    decision: str
    at: str
    stage: str
    groups: str
    items: str
    comment: str
    entry: int
    digest: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Something that had to be signed, and who signed it.

    `roles` are groups that each had to be among the signers, with who stood for them; `missing` people had yet to sign.
    """

    name: str
    title: str
    required: int
    by: tuple[str, ...]
    roles: tuple[tuple[str, str], ...]
    missing: int
    entry: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A declared check before the first weight. `kind` is what its file is, where it looks at one.

    `reference` is the whole name of a file in a registry; empty for one in a ConfigMap.
    """

    name: str
    kind: str
    reference: str
    optional: bool
    verdict: str
    message: str
    details: tuple[tuple[str, str], ...]
    entry: int
    digest: str


def commands_of(run: Run) -> tuple[Spoken, ...]:
    """Every command of the run, refused ones included."""
    return tuple(
        Spoken(
            at=time_of(entry),
            user=text_of(entry.data, "user"),
            verb=text_of(entry.data, "verb"),
            reason=text_of(entry.data, "reason"),
            taken=entry.kind == Reason.COMMAND_TAKEN.value,
            entry=entry.number,
        )
        for entry in run.entries
        if entry.kind in _COMMANDS
    )


def signatures_of(run: Run) -> tuple[Signature, ...]:
    """Every signature that counted, once, in the order of the entries that tell of them."""
    found: dict[str, Signature] = {}
    for entry in run.entries:
        for data in (*_mappings(entry.data.get("approvals")), *_mappings([entry.data.get("noGo")])):
            signature = _signature(entry, data)
            found.setdefault(text_of(data, "name") or f"{signature.by} {signature.at}", signature)
    return tuple(found.values())


def signed_of(run: Run) -> tuple[Signed, ...]:
    """What had to be signed, as the last entry that tells of it has it."""
    found: dict[str, Signed] = {}
    for entry in run.entries:
        items = entry.data.get("items") if "approvals" in entry.data else None
        for name, data in items.items() if isinstance(items, Mapping) else ():
            if isinstance(data, Mapping):
                found[str(name)] = _signed(entry, str(name), data)
    return tuple(found.values())


def _signed(entry: Entry, name: str, data: Mapping[str, object]) -> Signed:
    required, missing, roles = data.get("required"), data.get("missing"), data.get("roles")
    number, by = required if isinstance(required, int) else 1, _texts(data.get("by"))
    return Signed(
        name=name,
        title=text_of(data, "title"),
        required=number,
        by=by,
        roles=tuple((str(group), str(who)) for group, who in roles.items()) if isinstance(roles, Mapping) else (),
        missing=missing if isinstance(missing, int) else max(number - len(by), 0),
        entry=entry.number,
    )


def checks_of(run: Run) -> tuple[Checked, ...]:
    """The checks the release declares, as the last entry before its first weight has them."""
    kinds, artifacts = _kinds(run), _declared(run, "artifact")
    for entry in reversed([*run.entries]):
        items = entry.data.get("items")
        if entry.kind == Reason.PREFLIGHT_PASSED.value and isinstance(items, list):
            return tuple(_checked(entry, data, kinds, artifacts) for data in _mappings(items))
    return ()


def _kinds(run: Run) -> Mapping[str, str]:
    """By item of spec.preflight, what kind of file it looks at."""
    return _declared(run, "kind")


def _declared(run: Run, field: str) -> Mapping[str, str]:
    """A field of every item of spec.preflight, by the item's name."""
    start = next(entry for entry in run.entries if entry.kind == Reason.RUN_STARTED.value)
    spec = start.data.get("spec")
    declared = spec.get("preflight") if isinstance(spec, Mapping) else None
    return {text_of(item, "name"): text_of(item, field) for item in _mappings(declared)}


def _checked(
    entry: Entry, data: Mapping[str, object], kinds: Mapping[str, str], artifacts: Mapping[str, str]
) -> Checked:
    details = data.get("details")
    told = tuple((str(key), str(one)) for key, one in details.items()) if isinstance(details, Mapping) else ()
    name = text_of(data, "name")
    artifact = artifacts.get(name, "")
    return Checked(
        name=name,
        kind=kinds.get(name, ""),
        reference=artifact if artifact.startswith(_IN_A_REGISTRY) else "",
        optional=data.get("optional") is True,
        verdict=text_of(data, "verdict"),
        message=text_of(data, "message"),
        details=told,
        entry=entry.number,
        digest=entry.digest,
    )


def _signature(entry: Entry, data: Mapping[str, object]) -> Signature:
    return Signature(
        by=text_of(data, "by"),
        decision=text_of(data, "decision"),
        at=text_of(data, "at"),
        stage=text_of(data, "stage"),
        groups=", ".join(_texts(data.get("groups"))),
        items=", ".join(_texts(data.get("items"))),
        comment=text_of(data, "comment"),
        entry=entry.number,
        digest=entry.digest,
    )


def _mappings(data: object) -> Iterator[Mapping[str, object]]:
    for one in data if isinstance(data, list) else ():
        if isinstance(one, Mapping):
            yield one


def _texts(data: object) -> tuple[str, ...]:
    return tuple(str(one) for one in data) if isinstance(data, list) else ()
