"""Whether a run's evidence bears its own decisions out: each is made again from its stored inputs and compared.

The chain says that entries are those that were written; this says that they are what these rules say of those facts. A
chain must be verified first: what is read here is taken for what was stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import ValidationError

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.evidence import Entry, canonical_json
from sparkrelease.decide.inputs import KEY, unpack, version_of
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.decide.resolve import ResolvedSpec, digest

ABSENT = "absent"
"""Stands for a value that is on one side only."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not as it was recorded: at which entry, in which field."""

    entry: int
    field: str
    stored: object
    recomputed: object
    recorded_by: str = ""
    """Version of the program that decided; empty when the entry does not say."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many decisions (each with its entries) came out as recorded, and the first that did not."""

    decisions: int
    entries: int
    difference: Difference | None = None


def replay(entries: Sequence[Entry]) -> Replayed:
    """Makes every decision of a run again, in order, up to the first difference."""
    spec = _spec(entries)
    if isinstance(spec, Difference):
        return Replayed(0, 0, spec)
    done, place = 0, 0
    known: list[dict[str, object]] = []
    while place < len(entries):
        found = _decision(entries[place:], spec, known)
        if isinstance(found, Difference):
            return Replayed(done, place, found)
        done, place = done + 1, place + found
    return Replayed(done, place)


def _spec(entries: Sequence[Entry]) -> ResolvedSpec | Difference:
    """The spec the run follows, from the entry of its start."""
    first = entries[0] if entries else None
    start = next((entry for entry in entries if entry.kind == Reason.RUN_STARTED.value), None)
    if start is None:
        number, kind = (first.number, first.kind) if first else (1, ABSENT)
        return Difference(number, "kind", kind, Reason.RUN_STARTED.value)
    try:
        spec = ResolvedSpec.model_validate(start.data.get("spec"))
    except ValidationError as problem:
        return Difference(start.number, "data.spec", start.data.get("spec", ABSENT), f"unreadable: {_line(problem)}")
    if digest(spec) != start.data.get("specDigest"):
        return Difference(start.number, "data.specDigest", start.data.get("specDigest", ABSENT), digest(spec))
    return spec


def _decision(entries: Sequence[Entry], spec: ResolvedSpec, known: list[dict[str, object]]) -> int | Difference:
    """Makes the decision of the first of these entries again; how many of them are its own.

    `known` is what stood before and after the decisions so far, the last one at the end; it grows.
    """
    first = entries[0]
    data = first.data.get(KEY)
    if data is None:
        return Difference(first.number, f"data.{KEY}", ABSENT, "what the decision was made from")
    try:
        inputs = unpack(data, spec)
    except ValueError as problem:
        unreadable, wanted = f"unreadable: {_line(problem)}", "what can be decided on"
        return Difference(first.number, f"data.{KEY}", unreadable, wanted, version_of(data))
    leap = _leap(first.number, known, inputs.status)
    if leap is not None:
        return leap
    plan = decide(inputs.spec, inputs.status, inputs.facts, inputs.now)
    known += [_standing(inputs.status), _standing(plan.status)]
    return _compare(first, entries[: inputs.entries], plan.entries, version_of(data)) or inputs.entries


def _compare(first: Entry, stored: Sequence[Entry], drafts: Sequence[EntryDraft], version: str) -> Difference | None:
    for place, (entry, draft) in enumerate(zip_longest(stored, drafts)):
        number = first.number + place
        told = _told(entry.kind, entry.message, entry.data) if entry is not None else {"kind": ABSENT}
        again = _told(draft.kind.value, draft.message, draft.data) if draft is not None else {"kind": ABSENT}
        for path, one, other in _differences("", told, json.loads(canonical_json(again))):
            return Difference(number, path, one, other, version)
        if entry is not None and place > 0 and KEY in entry.data:
            return Difference(number, f"data.{KEY}", "given", f"those of entry {first.number}", version)
    return None


def _told(kind: str, message: str, data: Mapping[str, object]) -> dict[str, object]:
    """What an entry tells, without what it was made from."""
    return {"kind": kind, "message": message, "data": {key: one for key, one in data.items() if key != KEY}}


def _differences(path: str, one: object, other: object) -> Iterator[tuple[str, object, object]]:
    """Where two JSON values differ: path, value here, value there."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            yield from _differences(f"{path}.{key}" if path else str(key), one.get(key, ABSENT), other.get(key, ABSENT))
    elif isinstance(one, list) and isinstance(other, list):
        for place, (here, there) in enumerate(zip_longest(one, other, fillvalue=ABSENT)):
            yield from _differences(f"{path}[{place}]", here, there)
    elif one != other or isinstance(one, bool) is not isinstance(other, bool):
        yield path, one, other


# ---------------------------------------------------------------- from one decision to the next


def _leap(number: int, known: Sequence[dict[str, object]], status: SparkReleaseStatus) -> Difference | None:
    """What only a recorded decision may change, and changed between two of them.

    An operator that died between evidence and status decided from an older status again: one that stood before.
    """
    standing = _standing(status)
    if not known or standing in known:
        return None
    for field, one, other in _differences("", standing, known[-1]):
        return Difference(number, f"data.{KEY}.status.{field}", one, other)
    return None


def _standing(status: SparkReleaseStatus) -> dict[str, object]:
    """The part of a status that stays as it is until an entry tells of a change."""
    run, stage, rollback = status.run, status.stage, status.rollback
    return {
        "run": run.id if run else None,
        "specDigest": run.spec_digest if run else None,
        "end": run.end.value if run and run.end else None,
        "gatesPassed": run.gates_passed if run else None,
        "promoted": run is not None and run.promoted_at is not None,
        "stage": stage.name if stage else None,
        "weight": status.weight.desired,
        "rollback": rollback.trigger if rollback else None,
    }


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200]
