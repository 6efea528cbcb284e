"""The one place where evidence is hashed: entries become lines of a chain, and a chain is checked.

Every line is one JSON object in one canonical form. Its digest covers the digest before it and everything else in it,
so that no entry can be changed, dropped, swapped, repeated or added without the chain, or the head kept in the status,
saying so. `docs/evidence.md` describes the form for people who check it with their own tools.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sparkrelease.api.base import format_duration, format_time
from sparkrelease.decide.inputs import KEY, pack
from sparkrelease.decide.plan import EntryDraft

# ---------------------------------------------------------------- canonical form


def canonical_json(value: object) -> str:
    """The one text of a value: sorted keys, no spaces, UTF-8 unescaped, floats by repr.

    JSON has no NaN and no infinity: they become the strings `NaN`, `+Inf`, `-Inf`, as Prometheus writes them. A value
    that is not JSON becomes its text, because evidence that fails to be written helps nobody.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    """The value in JSON's own types."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return _encodable(str(value))
        case float():
            return finite(value)
        case datetime():
            return format_time(value)
        case timedelta():
            return format_duration(value)
        case Mapping():
            return {_encodable(str(key)): _plain(item) for key, item in value.items()}
        case Iterable():
            return [_plain(item) for item in value]
        case _:
            return _encodable(str(value))


def _encodable(text: str) -> str:
    """The text without halves of surrogate pairs, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def finite(number: float) -> float | str:
    """The number, or the word for one that JSON lacks."""
    if math.isfinite(number):
        return float(number)
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def _digest(previous: str, body: Mapping[str, object]) -> str:
    """Digest of an entry: over the digest before it and the canonical form of everything but its own digest."""
    return "sha256:" + hashlib.sha256((previous + canonical_json(body)).encode()).hexdigest()


# ---------------------------------------------------------------- linking


@dataclass(frozen=True, slots=True)
class Link:
    """An entry ready to be stored: its line, and its digest, which is the new head."""

    line: str
    digest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that was read back. `previous` is the digest it says it follows; the first entry follows an empty one."""

    number: int
    at: str
    release: str
    run: str
    kind: str
    message: str
    data: Mapping[str, object]
    previous: str
    digest: str


def link(head: str, number: int, *, at: datetime, release: str, run: str, draft: EntryDraft) -> Link:
    """Makes the draft entry `number` (from 1) of the chain that ends at `head` (empty for the first).

    `release` is `namespace/name`.
    """
    body: dict[str, object] = {
        "n": number,
        "at": at,
        "release": release,
        "run": run,
        "kind": draft.kind.value,
        "message": draft.message,
        "data": draft.data if draft.inputs is None else {**draft.data, KEY: pack(draft.inputs)},
        "prev": head,
    }
    return _sealed(head, body)


def relink(lines: Sequence[str], *, head: str, number: int) -> tuple[Link, ...]:
    """Chains lines that are not stored yet again, behind entry `number` with the digest `head`.

    Raises ValueError for a line that is no entry.
    """
    links: list[Link] = []
    for place, line in enumerate(lines, start=number + 1):
        body = _read(line)
        if body is None:
            raise ValueError(f"not an evidence entry: {line[:80]!r}")
        del body["digest"]
        links.append(_sealed(head, {**body, "n": place, "prev": head}))
        head = links[-1].digest
    return tuple(links)


def _sealed(head: str, body: Mapping[str, object]) -> Link:
    digest = _digest(head, body)
    return Link(canonical_json({**body, "digest": digest}), digest)


# ---------------------------------------------------------------- reading back


def parse_entry(line: str) -> Entry | None:
    """Reads a line; None when it is not an entry. Says nothing of whether its digest is right: `verify` does."""
    body = _read(line)
    if body is None:
        return None
    number, data = body["n"], body["data"]
    texts = {key: value for key, value in body.items() if isinstance(value, str)}
    if not isinstance(number, int) or not isinstance(data, dict) or len(texts) != len(_FIELDS) - 2:
        return None
    return Entry(
        number=number,
        at=texts["at"],
        release=texts["release"],
        run=texts["run"],
        kind=texts["kind"],
        message=texts["message"],
        data=data,
        previous=texts["prev"],
        digest=texts["digest"],
    )


_FIELDS = frozenset({"n", "at", "release", "run", "kind", "message", "data", "prev", "digest"})


def _read(line: str) -> dict[str, object] | None:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and body.keys() == _FIELDS else None


def _is_intact(line: str, entry: Entry) -> bool:
    """Whether the line is the canonical form of an entry that has the digest it says."""
    body: dict[str, object] = json.loads(line)
    del body["digest"]
    return _sealed(entry.previous, body) == Link(line, entry.digest)


# ---------------------------------------------------------------- checking


class BreakKind(StrEnum):
    """What is wrong with a chain."""

    CHANGED = "Changed"
    """The entry is not what its own digest says."""
    DROPPED = "Dropped"
    SWAPPED = "Swapped"
    """The entry stands at another's place."""
    REPEATED = "Repeated"
    """The number comes a second time."""
    REHASHED = "Rehashed"
    """The entry agrees with itself, and not with the entry after it or with the head kept elsewhere."""
    NOT_JSON = "NotJson"
    """The line is no entry at all."""
    HEAD_MISMATCH = "HeadMismatch"
    """The chain goes on after the head, or ends in another one and nobody knows how many entries there should be."""


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry that is wrong: its number, what is wrong, and the sentence for a person."""

    number: int
    kind: BreakKind
    message: str


def verify(lines: Sequence[str], *, head: str | None, entries: int | None) -> Break | None:
    """Checks a whole chain; None when nothing is wrong.

    `head` and `entries` are what the status says of it; None when the status does not know (an old run), and then an
    end that is missing, or a chain hashed again as a whole, cannot be seen.
    """
    parsed = [parse_entry(line) for line in lines]
    for place, (line, entry) in enumerate(zip(lines, parsed, strict=True), start=1):
        if entry is None:
            return Break(place, BreakKind.NOT_JSON, f"entry {place} is not a JSON object with the fields of an entry")
        if not _is_intact(line, entry):
            return Break(place, BreakKind.CHANGED, f"entry {place} was changed: its digest is of another text")
        if entry.number != place:
            return _misplaced(place, entry, parsed)
        before = parsed[place - 2] if place > 1 else None
        if entry.previous != (before.digest if before else ""):
            return _unlinked(place, entry, parsed, head)
    return _wrong_end([entry.digest for entry in parsed if entry], head, entries)


def _misplaced(place: int, entry: Entry, parsed: Sequence[Entry | None]) -> Break:
    """Says why another number than the expected one stands at a place; all entries before it are in order."""
    times = Counter(other.number for other in parsed if other is not None)
    number = entry.number
    if times[number] > 1:
        return Break(number, BreakKind.REPEATED, f"entry {number} comes {times[number]} times, again at place {place}")
    if times[place]:
        return Break(place, BreakKind.SWAPPED, f"entry {place} is not at its place: entry {number} stands there")
    if number > place:
        return Break(place, BreakKind.DROPPED, f"entry {place} is missing: entry {number} comes next")
    return Break(place, BreakKind.REHASHED, f"entry {place} calls itself entry {number}, under a digest made for that")


def _unlinked(place: int, entry: Entry, parsed: Sequence[Entry | None], head: str | None) -> Break:
    """Tells which of two neighbours was rewritten: the one whose other neighbour, or the head, does not know it."""
    after = parsed[place] if place < len(parsed) else None
    known = after.previous == entry.digest if after else head in (None, entry.digest)
    if known and place > 1:
        text = f"entry {place - 1} was rewritten and hashed again: entry {place} follows another digest"
        return Break(place - 1, BreakKind.REHASHED, text)
    text = f"entry {place} was rewritten and hashed again: it follows a digest that is not the one before it"
    return Break(place, BreakKind.REHASHED, text)


def _wrong_end(digests: Sequence[str], head: str | None, entries: int | None) -> Break | None:
    """Compares a chain that is consistent in itself with what the status says of its end."""
    count = len(digests)
    if entries is not None and count < entries:
        text = f"entry {count + 1} is missing: the status knows {entries} entries, {count} are stored"
        return Break(count + 1, BreakKind.DROPPED, text)
    if head is None:
        return None if entries in (None, count) else _beyond(entries, count)
    if head == (digests[-1] if digests else ""):
        return None if entries in (None, count) else _beyond(entries, count)
    if entries == count:
        text = f"entry {count} is not the head the status knows: entries were rewritten and hashed again"
        return Break(count, BreakKind.REHASHED, text)
    if head in digests or (not head and entries == 0):
        return _beyond(digests.index(head) + 1 if head else 0, count)
    if not digests:
        return Break(1, BreakKind.DROPPED, "entry 1 is missing: the status knows a head, nothing is stored")
    return Break(count, BreakKind.HEAD_MISMATCH, f"entry {count} is the last one, and not the head the status knows")


def _beyond(known: int | None, count: int) -> Break:
    number = (known or 0) + 1
    return Break(number, BreakKind.HEAD_MISMATCH, f"entry {number} (of {count}) is not known to the status")
