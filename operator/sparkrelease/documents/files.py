"""All documents of a run, by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sparkrelease.decide.evidence import Entry
from sparkrelease.documents.machine import run_json
from sparkrelease.documents.observations import comma_separated, json_lines, observations_of
from sparkrelease.documents.originals import Originals
from sparkrelease.documents.record import Chain, read_run
from sparkrelease.documents.report import report_html
from sparkrelease.documents.texts import of_rollback, release_notes, ritual
from sparkrelease.documents.view import View, view_of

CHAIN_FILE = "evidence.jsonl"
REPORT_FILE = "report.html"


def documents(
    lines: Sequence[str], entries: Sequence[Entry], chain: Chain, originals: Originals = MappingProxyType({})
) -> Mapping[str, str]:
    """Path (with `/`) and text of every file, in the order people look for them.

    `lines` is the chain as it was read; `entries` those of its lines that are entries; `originals` says
    what became of the files that evidence has digests of. Raises UnreadableRunError when
    they do not tell of a run's start.
    """
    view = view_of(read_run(entries, chain))
    rows = observations_of(view.run)
    return {
        REPORT_FILE: report_html(view),
        "release-notes.md": release_notes(view),
        **dict(ritual(view, originals)),
        **dict(of_rollback(view)),
        "run.json": run_json(view),
        "data/observations.jsonl": json_lines(rows),
        "data/observations.csv": comma_separated(rows),
        CHAIN_FILE: "".join(f"{line}\n" for line in lines),
    }


def report(entries: Sequence[Entry], chain: Chain) -> tuple[str, View]:
    """The page alone, and what it tells."""
    view = view_of(read_run(entries, chain))
    return report_html(view), view
