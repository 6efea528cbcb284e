"""`evidence replay`: the chain is checked first, then every decision of the run is made again from what is stored."""

from __future__ import annotations

from pathlib import Path

from sparkrelease import __version__
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.evidence import Checked
from sparkrelease.cli.exits import ExitCode
from sparkrelease.cli.kept import checked_files
from sparkrelease.cli.options import Format
from sparkrelease.cli.render.evidence import render_checked
from sparkrelease.cli.render.replay import render_replayed
from sparkrelease.cli.screen import print_data, print_text
from sparkrelease.cli.show import checked_evidence
from sparkrelease.decide.replay import Replayed, replay


def replay_evidence(cluster: ClusterDoor, name: str, run: str | None, form: Format) -> ExitCode:
    """Replays a run's evidence from the cluster."""
    return _answer(checked_evidence(cluster, name, run), f"{cluster.namespace}/{name}", form)


def replay_files(folder: Path, name: str, namespace: str | None, run: str | None, form: Format) -> ExitCode:
    """Replays evidence kept in files; there is no status to tell the head of its chain."""
    checked = checked_files(folder, name, namespace, run)
    return _answer(checked, checked.release, form)


def _answer(checked: Checked, release: str, form: Format) -> ExitCode:
    found = replay(checked.stored.entries) if checked.intact else None
    code = ExitCode.BAD if found is None else ExitCode.DIFFERS if found.difference else ExitCode.FINE
    if form is not Format.TEXT:
        print_data(_describe(checked, release, found), form)
        return code
    print_text(render_checked(checked, release) if found is None else render_replayed(found, checked, release))
    return code


def _describe(checked: Checked, release: str, found: Replayed | None) -> dict[str, object]:
    difference = found.difference if found is not None else None
    return {
        "release": release,
        "run": checked.stored.run,
        "intact": checked.intact,
        "broken": checked.broken.message if checked.broken is not None else None,
        "missing": list(checked.missing),
        "replayedBy": __version__,
        "decisions": found.decisions if found is not None else 0,
        "entries": found.entries if found is not None else 0,
        "of": len(checked.stored.lines),
        "difference": {
            "entry": difference.entry,
            "field": difference.field,
            "stored": difference.stored,
            "recomputed": difference.recomputed,
            "recordedBy": difference.recorded_by,
        }
        if difference is not None
        else None,
    }
