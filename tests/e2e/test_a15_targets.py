"""Row A15: validation within 15 minutes, a rollback within 5, all evidence by itself, and 14 triggers instead of 6."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from e2e.exports import VALIDATION, at, exported, written
from e2e.release_files import NAME, Signer
from e2e.trials import Case, Trials, on_trial, one_stage
from e2e.trials import written as policy_written
from testbed.evidence import RITUAL, whole

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

pytestmark = pytest.mark.crowded

ROLLBACK = 5 * 60
"""Seconds."""

CASE = Case("http-5xx", "server-errors", rps=20)
ITEMS: list[dict[str, Any]] = [
    {"name": "targets", "promql": "min by ($by) (up{$sel})", "expect": ["value == 1"]},
    {"name": "readiness", "http": "http://$canary/readyz"},
    *(
        {"name": kind, "artifact": f"{NAME}/{kind}.json", "kind": kind, "signer": "ci", "timeout": "60s"}
        for kind in ("sbom", "provenance")
    ),
]
JUDGED = {"Pass", "Fail", "Inconclusive"}
"""What a leg says of numbers that were there."""


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    """One bad release under all triggers of the policy; nobody signs or commands anything."""
    spec = one_stage(CASE.weight) | {"preflight": ITEMS}
    yield from on_trial(cluster, operators, [CASE], spec, signer=Signer())


def test_figures_of_a_bad_release_are_within_the_targets(trials: Trials, cluster: Cluster, tmp_path: Path) -> None:
    desk = trials.desks[CASE.name]
    desk.until_phase("RolledBack", timeout=90)
    desk.until("stored", lambda s: not s.get("pendingEvidence") and "trafficAt" in s.get("rollback", {}))
    applied = at(desk.get()["metadata"]["creationTimestamp"])
    moves = written(desk, trials.since)
    first = next(when for when, weight in moves if weight > 0)
    assert 0 <= first - applied + 1 <= VALIDATION
    body = exported(cluster, desk, tmp_path)
    assert {one["name"]: one["verdict"] for one in body["checks"]} == {item["name"]: "Pass" for item in ITEMS}
    assert (body["rollback"]["rule"], body["rollback"]["seconds"] <= ROLLBACK) == (CASE.rule, True)
    begun = body["rollback"]["trueSince"] or body["rollback"]["decidedAt"]
    assert -0.05 <= moves[-1][0] - at(begun) <= ROLLBACK
    assert moves[-1][1] == 0
    assert body["evidence"]["intact"] is True and body["evidence"]["headKnownToStatus"] is True
    assert body["commands"] == [] and body["signatures"] == [], "nobody did anything for it"
    texts = {name: (tmp_path / name).read_text() for name in RITUAL}
    assert len(texts) == 7
    assert [name for name, text in texts.items() if "not part of this run" in text] == ["go_nogo_signed.txt"]
    assert len(list(tmp_path.glob("*rollback_*.txt"))) == 3

    legs = whole(desk).last("TriggerFired")["data"]["legs"]
    judged = {rule for rule, said in legs.items() if {leg["verdict"] for leg in said} <= JUDGED}
    assert judged == {trigger["name"] for trigger in policy_written(CASE.policy)["triggers"]}
    assert len(judged) == 14
