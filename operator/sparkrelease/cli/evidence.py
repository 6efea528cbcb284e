"""Evidence as ConfigMaps hold it, put together by run, and checked against what the status says of it."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sparkrelease.adapters.kubernetes.evidence import DATA_KEY, RUN_LABEL
from sparkrelease.api.objects import ParsedRelease
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.api.status import EvidenceStatus, SparkReleaseStatus
from sparkrelease.decide.evidence import Break, BreakKind, Entry, parse_entry, verify

_NUMBER = re.compile(r"-evidence-(\d+)$")


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """The evidence of one run. `places` has the name of the ConfigMap each line begins in."""

    run: str
    lines: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    config_maps: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The lines that can be read."""
        return tuple(entry for entry in map(parse_entry, self.lines) if entry is not None)


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking a run's evidence. `known` is what the status says of it; None when it says nothing."""

    stored: StoredEvidence
    known: EvidenceStatus | None
    broken: Break | None
    missing: tuple[str, ...] = ()
    """ConfigMaps the status names and nobody has."""
    release: str = ""
    """Release it was checked for, `namespace/name`."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.broken is None and not self.missing

    @property
    def place(self) -> str:
        """ConfigMap with the first broken entry; empty when there is none."""
        if self.broken is None or not 1 <= self.broken.number <= len(self.stored.places):
            return ""
        return self.stored.places[self.broken.number - 1]


def runs_with_evidence(config_maps: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """The runs these ConfigMaps belong to, in the order of their names."""
    return tuple(sorted({_annotation(one, RUN_LABEL) for one in config_maps} - {""}))


def evidence_of_run(config_maps: Sequence[Mapping[str, object]], run: str) -> StoredEvidence:
    """Puts the ConfigMaps of a run together. A line may go on in the next ConfigMap."""
    pieces = sorted((_number(one), _name(one), _text(one)) for one in config_maps if _annotation(one, RUN_LABEL) == run)
    ends = list(accumulate(len(piece) for _, _, piece in pieces))
    names = tuple(name for _, name, _ in pieces)
    # Not splitlines(): JSON may hold the other characters Unicode counts as line ends.
    lines = "".join(piece for _, _, piece in pieces).split("\n")
    starts = accumulate((len(line) + 1 for line in lines[:-1]), initial=0)
    if not lines[-1]:
        lines.pop()
    places = tuple(names[bisect_right(ends, start)] for _, start in zip(lines, starts, strict=False))
    return StoredEvidence(run, tuple(lines), places, names)


def known_of_run(status: SparkReleaseStatus, run: str) -> EvidenceStatus | None:
    """What the status says of a run's evidence; None when it does not remember the run."""
    if status.run is not None and status.run.id == run:
        return status.evidence
    return next((past.evidence for past in status.history if past.run == run), None)


def pruned(release: ParsedRelease, run: str) -> str:
    """Why nothing need be stored of a run any more; empty for one whose evidence has to be there.

    Runs are pruned when one ends: of those that have ended, as many are kept as the release asks for.
    """
    ended = [past.run for past in release.status.history]
    if not isinstance(release.spec, SparkReleaseSpec) or run not in ended:
        return ""
    keep, known = release.spec.evidence.retain_runs, known_of_run(release.status, run)
    if known is None or not known.entries or ended.index(run) < keep:
        return ""
    return f"spec.evidence.retainRuns keeps the last {keep} runs; it had {known.entries} entries, head {known.head}"


def check(stored: StoredEvidence, known: EvidenceStatus | None, release: str) -> Checked:
    """Checks a run's evidence; `release` is `namespace/name`. Without `known`, a missing end cannot be seen."""
    broken = verify(
        stored.lines, head=known.head if known else None, entries=known.entries if known else None
    ) or _of_another_run(stored, release)
    missing = tuple(name for name in (known.config_maps if known else ()) if name not in stored.config_maps)
    return Checked(stored, known, broken, missing, release)


def _of_another_run(stored: StoredEvidence, release: str) -> Break | None:
    """A whole chain put in the place of this one says itself whose it is."""
    for entry in stored.entries:
        if (entry.release, entry.run) != (release, stored.run):
            text = f"entry {entry.number} is of another chain: run {entry.run} of {entry.release}"
            return Break(entry.number, BreakKind.SWAPPED, text)
    return None


def _meta(config_map: Mapping[str, object]) -> Mapping[str, object]:
    meta = config_map.get("metadata")
    return meta if isinstance(meta, Mapping) else {}


def _name(config_map: Mapping[str, object]) -> str:
    return str(_meta(config_map).get("name", ""))


def _number(config_map: Mapping[str, object]) -> int:
    """The ConfigMap's place in its run, which its name ends with; one of another name comes last."""
    found = _NUMBER.search(_name(config_map))
    return int(found[1]) if found else sys.maxsize


def _annotation(config_map: Mapping[str, object], key: str) -> str:
    notes = _meta(config_map).get("annotations")
    return str(notes.get(key, "")) if isinstance(notes, Mapping) else ""


def _text(config_map: Mapping[str, object]) -> str:
    data = config_map.get("data")
    text = data.get(DATA_KEY) if isinstance(data, Mapping) else None
    return text if isinstance(text, str) else ""
