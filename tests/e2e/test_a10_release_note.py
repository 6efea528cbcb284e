"""Row A10: the release note tells of stages, metrics and rollbacks as they were, by what was really written.

A note with six metrics, and one with a rollback, are those of the whole policy: `test_a_standard_policy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.exports import at, exported, written
from e2e.notes import check_metrics, check_risks, check_stages
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

A_ROUND = 0.5
"""Seconds by which a stored time may differ from the one it was made from."""


def test_a_promoted_run_is_told_as_it_was(operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path) -> None:
    shop.open()
    shop.start_load()
    since = cluster.audit_cursor()
    shop.ship("v2")
    shop.until_condition("Promoted")
    shop.deploy("stable", "v2", wait=False)
    shop.until_settled("v2")
    status = shop.until("stored", lambda s: not s.get("pendingEvidence"))
    body = exported(cluster, shop, tmp_path)

    assert (body["outcome"], body["stagesPassed"]) == ("Settled", 3)
    stages = [one for one in body["stages"] if not one["walkBack"]]
    declared = [(one["name"], one["weight"]) for one in shop.get()["spec"]["stages"]]
    assert [(one["name"], one["weight"]) for one in stages] == declared
    for one in stages:
        assert (one["status"], one["passing"], one["objectives"], one["judgedOverStage"]) == ("Passed", 1, 1, True)
        assert 3 <= one["observedSeconds"] <= at(one["leftAt"]) - at(one["enteredAt"]) + 1
    assert abs(at(body["startedAt"]) - at(status["run"]["startedAt"])) < A_ROUND, "a round tried again has a later time"
    assert body["evidence"]["entries"] == status["evidence"]["entries"]

    moves = wait_for("the log has the way back", lambda: [m for m in [written(shop, since)] if m and m[-1][1] == 0])[0]
    assert [one["canary"] for one in body["weights"]] == [weight for _, weight in moves] == [5, 25, 100, 50, 0]
    notes = (tmp_path / "release-notes.md").read_text()
    check_stages(notes, body)
    check_metrics(notes, body, ["errors"])
    assert "\n## Rollback events\n\nNone.\n" in notes
    unsigned, unchecked = check_risks(notes, body)[-2:]
    assert unsigned == "nobody signed a go or a no-go in this run"
    assert unchecked == "no SBOM and no build provenance was looked at in this run"
    assert "not part of this run" in (tmp_path / "go_nogo_signed.txt").read_text()
