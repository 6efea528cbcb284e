"""Bills of materials and attestations themselves: evidence has their digests alone, so an export has to find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.decide.evidence import Entry
from sparkrelease.documents.people import Checked, checks_of
from sparkrelease.documents.record import Chain, read_run

SBOM, PROVENANCE = "sbom", "provenance"
"""Kinds of files that an export has a record of."""


@dataclass(frozen=True, slots=True)
class Original:
    """What became of the file that a check looked at: its path in the export, or why it is not there."""

    path: str = ""
    missing: str = ""


Originals = Mapping[str, Original]
"""By the name of the check."""


def originals_wanted(entries: Sequence[Entry], chain: Chain) -> tuple[Checked, ...]:
    """The checks whose files belong beside the documents. Raises UnreadableRunError as `documents` does."""
    return tuple(one for one in checks_of(read_run(entries, chain)) if one.kind in {SBOM, PROVENANCE})
