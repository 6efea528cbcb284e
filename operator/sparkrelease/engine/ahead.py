"""Stored evidence that the status does not know: what a crash left behind, or the future of a state that came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus
from sparkrelease.decide.evidence import Entry, canonical_json, parse_entry
from sparkrelease.decide.facts import Problem, Regression
from sparkrelease.decide.inputs import KEY, length_in
from sparkrelease.decide.regress import regression_of
from sparkrelease.engine.release import Chain, Release
from sparkrelease.ports.cluster import EvidenceStore

NAMED = 200
"""ConfigMaps the status names: the first, which holds the spec, and the last ones; a run may have more."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """One ConfigMap behind the known end of a chain."""

    name: str
    lines: Sequence[str]

    @property
    def entries(self) -> list[Entry]:
        """What it holds."""
        return entries_of(self.lines)


async def read_ahead(store: EvidenceStore, release: Release) -> tuple[Ahead, ...] | Problem:
    """What is stored of the run behind what the status knows, as far as it follows the chain."""
    chain = release.chain
    head, index = chain.stored.head, next_index(chain.stored)
    found: list[Ahead] = []
    while True:
        name = store.name(release.key, chain.run, index + len(found))
        lines = await store.load(release.key.namespace, (name,))
        if isinstance(lines, Problem):
            return tuple(found) if lines.reason is Reason.EVIDENCE_MISSING else lines
        one = Ahead(name, lines)
        entries = one.entries
        if not entries or len(entries) != len(lines) or entries[0].previous != head:
            return tuple(found)
        head = entries[-1].digest
        found.append(one)


def what_it_shows(chain: Chain, ahead: Sequence[Ahead]) -> Regression | None:
    """Whether that is more than a crash leaves behind."""
    return regression_of(chain.run, [one.entries for one in ahead])


def unknown_to(lines: Sequence[str], ahead: Sequence[Ahead]) -> tuple[Ahead, ...]:
    """What is ahead without what holds nothing but these lines, which are stored already and nobody heard."""
    known = {_content(entry) for entry in entries_of(lines)}
    return tuple(one for one in ahead if not known.issuperset(map(_content, one.entries)))


def not_in(ahead: Sequence[Ahead], lines: Sequence[str]) -> tuple[str, ...]:
    """The lines that tell of what is not ahead: whatever they are linked to, an entry is what it was made from."""
    there = {_content(entry) for one in ahead for entry in one.entries}
    return tuple(line for line in lines if (entry := parse_entry(line)) is None or _content(entry) not in there)


def _content(entry: Entry) -> tuple[str, str, str, str]:
    return entry.at, entry.kind, entry.message, canonical_json(entry.data)


def without_repetitions(ahead: Sequence[Ahead], pending: Sequence[str]) -> tuple[tuple[Ahead, ...], int]:
    """What is ahead without the decisions that pending lines tell of, made at another time; how many lines those are.

    A process that dies behind its evidence is followed by one that decides the same from the same status. What that one
    cannot store stays in the status, decision by decision as there is one a ConfigMap; the first that differs ends it.
    """
    told = 0
    for place, one in enumerate(ahead):
        size = len(one.lines)
        if not begin_alike(one.entries, entries_of(pending[told:])):
            return (*ahead[place:],), told
        told += size
    return (), told


def begin_alike(theirs: Sequence[Entry], mine: Sequence[Entry]) -> bool:
    """Whether mine begin with a decision made again that is stored: kind by kind, a start in all it is recorded for.

    Decisions of different length are different ones; of a long one the last part may not have been stored.
    """
    again = mine[: len(theirs)]
    return len(again) == len(theirs) and all(map(_alike, theirs, again))


def _alike(one: Entry, other: Entry) -> bool:
    if one.kind != other.kind or length_in(one.data) != length_in(other.data):
        return False
    return one.kind != Reason.RUN_STARTED.value or _told(one) == _told(other)


def _told(start: Entry) -> Mapping[str, object]:
    return {key: value for key, value in start.data.items() if key != KEY}


def take_in(chain: Chain, lines: Sequence[str], names: tuple[str, ...]) -> None:
    """Makes stored lines the end of the chain."""
    known = (*chain.stored.config_maps, *names)
    chain.stored = EvidenceStatus(
        head=digest_of(lines[-1]),
        entries=chain.stored.entries + len(lines),
        config_maps=known if len(known) <= NAMED else (known[0], *known[1 - NAMED :]),
    )


def next_index(stored: EvidenceStatus) -> int:
    """Number of the run's next ConfigMap: one more than the last one's, which its name ends with."""
    last = stored.config_maps[-1].rpartition("-")[2] if stored.config_maps else ""
    return int(last) + 1 if last.isdecimal() else len(stored.config_maps)


def entries_of(lines: Sequence[str]) -> list[Entry]:
    """The lines that are entries."""
    return [entry for entry in map(parse_entry, lines) if entry is not None]


def digest_of(line: str) -> str:
    """Digest of an entry's line; empty for a line that is none."""
    entry = parse_entry(line)
    return entry.digest if entry is not None else ""
