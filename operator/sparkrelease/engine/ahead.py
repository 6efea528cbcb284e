"""Stored evidence that the status does not know: what a crash left behind, or the future of a state that came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus
from sparkrelease.decide.evidence import Entry, parse_entry
from sparkrelease.decide.facts import Problem, Regression
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
