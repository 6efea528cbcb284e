"""Whether a run's evidence bears its own decisions out: each is made again from its stored inputs and compared.

The chain says that entries are those that were written; this says that they are what these rules say of those facts,
that every verdict is, and that each decision was made from what the one before left. A chain must be verified first:
what is read here is taken for what was stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import ValidationError

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.checkpoints import told_later
from sparkrelease.decide.continuity import ABSENT, Stood, leap_of
from sparkrelease.decide.evidence import Entry, canonical_json
from sparkrelease.decide.inputs import KEY, Inputs, length_in, status_data, unpack, version_of
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.decide.resolve import ResolvedSpec, digest


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
    first = next((entry for entry in entries if entry.kind == Reason.RUN_STARTED.value), None)
    if first is None:
        number, kind = (entries[0].number, entries[0].kind) if entries else (1, ABSENT)
        return Replayed(0, 0, Difference(number, "kind", kind, Reason.RUN_STARTED.value))
    spec = _spec_of(first)
    done, place = 0, 0
    known: list[Stood] = []
    while place < len(entries):
        begun = _begun(entries[place:])
        spec = _spec_of(begun) if begun is not None and begun is not first else spec
        if isinstance(spec, Difference):
            return Replayed(done, place, spec)
        found = _decision(entries[place:], spec, known)
        if isinstance(found, Difference):
            return Replayed(done, place, found)
        done, place = done + 1, place + found
    return Replayed(done, place)


def _begun(entries: Sequence[Entry]) -> Entry | None:
    """The start that the first of these decisions tells of.

    There are two in a run where the spec was edited after the first was stored and before the status told of it.
    """
    own = entries[: length_in(entries[0].data) or 0]
    return next((entry for entry in own if entry.kind == Reason.RUN_STARTED.value), None)


def _spec_of(start: Entry) -> ResolvedSpec | Difference:
    """The spec the run follows, from the entry of its start."""
    try:
        spec = ResolvedSpec.model_validate(start.data.get("spec"))
    except ValidationError as problem:
        return Difference(start.number, "data.spec", start.data.get("spec", ABSENT), f"unreadable: {_line(problem)}")
    if digest(spec) != start.data.get("specDigest"):
        return Difference(start.number, "data.specDigest", start.data.get("specDigest", ABSENT), digest(spec))
    return spec


def _decision(entries: Sequence[Entry], spec: ResolvedSpec, known: list[Stood]) -> int | Difference:
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
    leap = leap_of(known, inputs.status, inputs.now, inputs.facts)
    if leap is not None:
        return Difference(first.number, f"data.{KEY}.status.{leap.field}", leap.stored, leap.expected, version_of(data))
    plan = decide(inputs.spec, inputs.status, inputs.facts, inputs.now)
    epoch, waits = inputs.facts.epoch, plan.raises(inputs.status)
    known += [Stood(inputs.status, inputs.now, epoch), Stood(plan.status, inputs.now, epoch, waits)]
    difference = _compare(first, entries[: inputs.entries], plan.entries, version_of(data))
    return difference or _compare_status(first.number, inputs, plan.status, version_of(data)) or inputs.entries


def _compare(first: Entry, stored: Sequence[Entry], drafts: Sequence[EntryDraft], version: str) -> Difference | None:
    for place, (entry, draft) in enumerate(zip_longest(stored, drafts)):
        number = first.number + place
        told = _told(entry.kind, entry.message, entry.data) if entry is not None else {"kind": ABSENT}
        untold = told_later(entry.kind, entry.data) - entry.data.keys() if entry is not None else frozenset[str]()
        again = _told(draft.kind.value, draft.message, draft.data, untold) if draft is not None else {"kind": ABSENT}
        for path, one, other in _differences("", told, json.loads(canonical_json(again))):
            return Difference(number, path, one, other, version)
        if entry is not None and place > 0 and KEY in entry.data:
            return Difference(number, f"data.{KEY}", "given", f"those of entry {first.number}", version)
    return None


def _compare_status(number: int, inputs: Inputs, status: SparkReleaseStatus, version: str) -> Difference | None:
    """Compares what the decision led to: every rule's verdict, the tests, the clocks."""
    if inputs.after is None:
        return None
    for path, one, other in _differences("", status_data(inputs.after), status_data(status)):
        return Difference(number, f"data.{KEY}.after.{path}", one, other, version)
    return None


def _told(
    kind: str, message: str, data: Mapping[str, object], untold: frozenset[str] = frozenset()
) -> dict[str, object]:
    """What an entry tells, without what it was made from, nor what an older program would not have told."""
    return {
        "kind": kind,
        "message": message,
        "data": {key: one for key, one in data.items() if key != KEY and key not in untold},
    }


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


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200]
