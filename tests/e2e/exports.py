"""What a run's export tells, beside what was really written."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sparkrelease.decide.evidence import parse_entry
from sparkrelease.documents.record import Chain, Run, read_run

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster
    from testbed.shop import Shop


VALIDATION = 15 * 60
"""Seconds from the moment a release is applied to the end of its validation (row A15)."""


def exported(cluster: Cluster, shop: Shop, folder: Path) -> dict[str, Any]:
    """Exports the present run; the chain of the export verifies by itself."""
    done = cluster.kubectl("sparkrelease", "evidence", "export", shop.name, str(folder), "-n", shop.namespace)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = ("--from-dir", str(folder), "-n", shop.namespace)
    checked = cluster.kubectl("sparkrelease", "evidence", "verify", shop.name, *kept)
    assert (checked.returncode, "every link holds" in checked.stdout) == (0, True), checked.stdout + checked.stderr
    assert (folder / "report.html").stat().st_size < 150_000
    body: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return body


def decided(folder: Path) -> Run:
    """Every decision of an export, with what it was made from."""
    found = map(parse_entry, (folder / "evidence.jsonl").read_text().splitlines())
    entries = [entry for entry in found if entry is not None]
    return read_run(entries, Chain(head="", entries=len(entries)))


def left_by_triggers(run: Run) -> list[tuple[str, str]]:
    """Kind and rule of each entry that a rule left by acting: rollback, step back, message, settings, incident."""
    return [(entry.kind, str(entry.data["trigger"])) for entry in run.entries if "trigger" in entry.data]


def at(text: str) -> float:
    """An instant, as Unix time."""
    return datetime.fromisoformat(text).timestamp()


def written(shop: Shop, since: int) -> list[tuple[float, float]]:
    """Canary's weights as they were written, each with the instant the API server had answered; repeats left out."""
    found: list[tuple[float, float]] = []
    for event, weight in shop.weights_written(since):
        if not found or found[-1][1] != weight:
            found.append((event.completed.timestamp(), weight))
    return found
