"""Row B5: eight boxes are ticked after the day, or it is no success."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from e2e.exports import exported
from e2e.trials import Case, Trials, on_trial
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


def test_a_box_that_is_not_ticked_takes_the_success_away(trials: Trials) -> None:
    desk = trials.desks[SILENT.name]
    desk.until_phase("Watching", timeout=60)
    desk.break_canary("stream-silent")
    status = desk.until_phase("RolledBack", timeout=60)
    assert status["rollback"]["reason"] in {"WatchFailed", "CriteriaNotMet"}
    assert "stream-staleness" in status["rollback"]["message"]
    assert status["rollback"]["stage"] == "watch"
    assert desk.condition("Promoted").get("status") != "True"


def test_eight_boxes_are_ticked_at_the_end_of_the_day(trials: Trials, cluster: Cluster, tmp_path: Path) -> None:
    desk = trials.desks[WELL.name]
    desk.until("all eight", lambda s: s.get("phase") == "Watching" and s.get("gateText") == "8/8", timeout=60)
    desk.until_condition("Promoted", timeout=60)
    desk.until("stored", lambda s: not s.get("pendingEvidence"))
    exported(cluster, desk, tmp_path)
    last = [line for line in (tmp_path / "evidence.jsonl").read_text().splitlines() if '"WatchChecked"' in line][-1]
    for threshold in policy_written(FLAG)["thresholds"]:
        assert f'"{threshold["name"]}":"Pass"' in last.replace(" ", "")
