"""Row B5: eight boxes are ticked after the day, or it is no success."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from e2e.exports import decided, exported
from e2e.trials import Case, Desk, Trials, on_trial
from e2e.trials import written as policy_written

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

pytestmark = pytest.mark.crowded

FLAG = "spark-feature-flag"
BOXES = {threshold["name"]: threshold for threshold in policy_written(FLAG)["thresholds"]}
FEW_CLIENTS: Mapping[str, Any] = {
    "thresholds": [BOXES["score-rate"]],
    "stages": [{"name": "preview", "weight": 100, "duration": "36s"}],
}
"""A release whose scores come at the pace of its clients, and not at that of the day. Its day begins when those with
many clients have had their first check: gates of all at once take the processors from whoever serves."""

WELL, SILENT = Case("well", policy=FLAG, rps=90), Case("stream-staleness", policy=FLAG, rps=90)
ERRORS = Case("errors", policy=FLAG, rps=90)
SPOILT = {
    SILENT: "stream-silent",
    Case("breaches", policy=FLAG, rps=10, says=FEW_CLIENTS): "guardrails-hit",
    Case("dead-letters", policy=FLAG, rps=10, says=FEW_CLIENTS): "letters-die",
    Case("bucket-balance", policy=FLAG, rps=10, says=FEW_CLIENTS): "one-bucket",
    ERRORS: "rare-errors",
}
"""Days with a box that is not ticked, each named after it, and why it is not."""

DAY: dict[str, Any] = {
    "stages": [{"name": "preview", "weight": 100, "duration": "26s"}],
    "watch": {"duration": "24s", "every": "6s"},
}
"""A stage of two windows of the slowest metric: in its first one a canary without a score is no balanced one.

It has the name of the one that the triage steps back to."""


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    yield from on_trial(cluster, operators, [WELL, *SPOILT], DAY, past=10, factors={FLAG: 300.0})


@pytest.fixture(scope="module")
def spoilt(trials: Trials) -> Iterator[Mapping[str, Future[Desk]]]:
    """By box, the desk that broke as soon as it was watched, once it went back. Nobody waits for another one's."""

    def spoil(case: Case, fault: str) -> Desk:
        desk = trials.desks[case.name]
        desk.until_phase("Watching", timeout=90)
        desk.break_canary(fault)
        desk.until_phase("RolledBack", timeout=90)
        return desk

    with ThreadPoolExecutor(max_workers=len(SPOILT)) as workers:
        yield {case.rule: workers.submit(spoil, case, fault) for case, fault in SPOILT.items()}


def note_of(folder: Path) -> str:
    return (folder / "release-notes.md").read_text()


@pytest.mark.usefixtures("spoilt")
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
    spans = {row["window_seconds"] for row in rows if (row["source"], row["rule"]) == ("watch", next(iter(BOXES)))}
    assert len(spans) >= 4, "each of the four checks looked at the whole watch so far"


@pytest.mark.parametrize("box", [case.rule for case in SPOILT if case is not ERRORS])
def test_a_box_that_is_not_ticked_at_a_check_takes_the_success_away(
    spoilt: Mapping[str, Future[Desk]], box: str
) -> None:
    lost(spoilt[box].result(), box, "WatchFailed")


def test_a_box_that_is_not_ticked_over_the_whole_day_alone_takes_the_success_away_at_its_end(
    spoilt: Mapping[str, Future[Desk]], cluster: Cluster, tmp_path: Path
) -> None:
    """The errors since the last check may be chance at each of them. Those of the whole day are not."""
    desk = spoilt[ERRORS.rule].result()
    lost(desk, ERRORS.rule, "CriteriaNotMet")
    reported(desk, ERRORS.rule, cluster, tmp_path)
    checks = [entry.data for entry in decided(tmp_path).entries if entry.kind == "WatchChecked"]
    assert len(checks) >= 4, "not before the day was over"
    assert "Fail" not in {check["verdicts"][ERRORS.rule] for check in checks}
    assert checks[-1]["criteria"] == dict.fromkeys(BOXES, "Pass") | {ERRORS.rule: "Fail"}


def test_the_report_of_a_day_says_which_box_was_not_ticked(
    spoilt: Mapping[str, Future[Desk]], cluster: Cluster, tmp_path: Path
) -> None:
    reported(spoilt[SILENT.rule].result(), SILENT.rule, cluster, tmp_path)


def lost(desk: Desk, box: str, reason: str) -> None:
    """The day is no success, and this box is the one and only reason."""
    rollback = desk.status["rollback"]
    assert (rollback["stage"], rollback["reason"]) == ("watch", reason), rollback
    assert rollback["message"].startswith(f"{box}: ") and "; " not in rollback["message"], rollback
    assert desk.canary_weight() == 0
    assert desk.condition("Promoted").get("status") != "True"


def reported(desk: Desk, box: str, cluster: Cluster, folder: Path) -> None:
    """The report of the day says that seven are ticked, and which one is not."""
    desk.until("stored", lambda s: not s.get("pendingEvidence"))
    body = exported(cluster, desk, folder)
    watch = body["stages"][-1]
    assert (watch["name"], watch["status"], watch["passing"], watch["objectives"]) == ("watch", "RolledBack", 7, 8)
    assert {one["objective"] for one in watch["results"] if one["verdict"] == "Fail"} == {box}
    assert [one["rule"] for one in body["rollback"]["failed"]] == [box]
    assert "| rolled back | 7/8" in note_of(folder)
