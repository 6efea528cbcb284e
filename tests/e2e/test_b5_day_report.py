"""Row B5: eight boxes are ticked after the day, or it is no success."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from e2e.exports import exported
from e2e.trials import Case, Desk, Trials, on_trial
from e2e.trials import written as policy_written

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

FLAG = "spark-feature-flag"
WELL, SILENT = Case("well", policy=FLAG, rps=90), Case("silent", policy=FLAG, rps=90)
DAY: dict[str, Any] = {
    "stages": [{"name": "preview", "weight": 100, "duration": "26s"}],
    "watch": {"duration": "24s", "every": "6s"},
}
"""A stage of two windows of the slowest metric: in its first one a canary without a score is no balanced one.

It has the name of the one that the triage steps back to."""


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    yield from on_trial(cluster, operators, [WELL, SILENT], DAY, past=10, factors={FLAG: 300.0})


BOXES = [threshold["name"] for threshold in policy_written(FLAG)["thresholds"]]


def note_of(folder: Path) -> str:
    return (folder / "release-notes.md").read_text()


@pytest.fixture(scope="module")
def silent(trials: Trials) -> Desk:
    """The desk whose stream fell silent in the watch, once it went back."""
    desk = trials.desks[SILENT.name]
    desk.until_phase("Watching", timeout=60)
    desk.break_canary("stream-silent")
    desk.until_phase("RolledBack", timeout=60)
    return desk


def test_a_box_that_is_not_ticked_takes_the_success_away(silent: Desk) -> None:
    status = silent.status
    assert status["rollback"]["reason"] in {"WatchFailed", "CriteriaNotMet"}
    assert "stream-staleness" in status["rollback"]["message"]
    assert status["rollback"]["stage"] == "watch"
    assert silent.condition("Promoted").get("status") != "True"


def test_eight_boxes_are_ticked_at_the_end_of_the_day(trials: Trials, cluster: Cluster, tmp_path: Path) -> None:
    desk = trials.desks[WELL.name]
    desk.until("all eight", lambda s: s.get("phase") == "Watching" and s.get("gateText") == "8/8", timeout=60)
    desk.until_condition("Promoted", timeout=60)
    desk.until("stored", lambda s: not s.get("pendingEvidence"))
    body = exported(cluster, desk, tmp_path)
    watch = next(one for one in body["stages"] if one["name"] == "watch")
    assert (watch["status"], watch["judgedOverStage"]) == ("Passed", True)
    assert {one["objective"]: one["verdict"] for one in watch["results"]} == dict.fromkeys(BOXES, "Pass")
    assert (watch["passing"], watch["objectives"], len(BOXES)) == (8, 8, 8)
    assert "| passed | 8/8 |" in note_of(tmp_path)
    with (tmp_path / "data" / "observations.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["role"] == "canary"]
    told = {source: Counter(row["rule"] for row in rows if row["source"] == source) for source in ("interval", "watch")}
    assert set(told["watch"]) == set(told["interval"]) == set(BOXES)
    spans = {row["window_seconds"] for row in rows if (row["source"], row["rule"]) == ("watch", BOXES[0])}
    assert len(spans) >= 4, "each of the four checks looked at the whole watch so far"


def test_the_report_of_a_day_says_which_box_was_not_ticked(silent: Desk, cluster: Cluster, tmp_path: Path) -> None:
    silent.until("stored", lambda s: not s.get("pendingEvidence"))
    body = exported(cluster, silent, tmp_path)
    watch = body["stages"][-1]
    assert (watch["name"], watch["status"], watch["passing"], watch["objectives"]) == ("watch", "RolledBack", 7, 8)
    assert {one["objective"] for one in watch["results"] if one["verdict"] == "Fail"} == {"stream-staleness"}
    assert [one["rule"] for one in body["rollback"]["failed"]] == ["stream-staleness"]
    assert "| rolled back | 7/8" in note_of(tmp_path)
