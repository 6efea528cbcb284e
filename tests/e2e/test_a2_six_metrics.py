"""Row A2: six metrics are judged at every stage. Six of six goes on; five of six goes back, and names the sixth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from e2e.exports import exported
from e2e.trials import Case, Trials, on_trial

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

CASE = Case("stream-staleness", rps=40)
"""Named after the objective that is to fail."""
STAGES = [{"name": "half", "weight": 50, "duration": "10s"}, {"name": "full", "weight": 100, "duration": "10s"}]


@pytest.fixture
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    yield from on_trial(cluster, operators, [CASE], {"stages": STAGES})


def test_six_of_six_goes_on_and_five_of_six_goes_back(trials: Trials, cluster: Cluster, tmp_path: Path) -> None:
    """No trigger of the policy looks at a stream that is silent: it is the gate that sees it."""
    desk = trials.desks[CASE.name]
    desk.until_weight(100, timeout=60)
    desk.break_canary("stream-silent")
    status = desk.until_phase("RolledBack", timeout=60)
    assert status["rollback"]["reason"] == "GateFailed"
    assert "stream-staleness" in status["rollback"]["message"]
    desk.until("stored", lambda s: not s.get("pendingEvidence"))
    stages = exported(cluster, desk, tmp_path)["stages"]
    assert [(one["name"], one["passing"], one["objectives"]) for one in stages] == [("half", 6, 6), ("full", 5, 6)]
    assert {one["objective"] for one in stages[1]["results"] if one["verdict"] != "Pass"} == {"stream-staleness"}
