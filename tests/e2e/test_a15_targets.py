"""Row A15: validation within 15 minutes, a rollback within 5, all evidence by itself, and 14 triggers instead of 6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.exports import VALIDATION, at, exported, written
from e2e.trials import written as policy_written

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

ROLLBACK = 5 * 60
"""Seconds."""

ITEMS = [
    {"name": "targets", "promql": "min by ($by) (up{$sel})", "expect": ["value == 1"]},
    {"name": "readiness", "http": "http://$canary/readyz"},
]


def test_figures_of_a_bad_release_are_within_the_targets(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    assert len(policy_written("spark-standard")["triggers"]) == 14
    shop.open()
    shop.start_load(rps=100)
    since = cluster.audit_cursor()
    shop.ship("v2", error=0.5, preflight=ITEMS)
    shop.until_condition("RolledBack")
    shop.until("stored", lambda s: not s.get("pendingEvidence") and "trafficAt" in s.get("rollback", {}))
    applied = at(shop.get()["metadata"]["creationTimestamp"])
    moves = written(shop, since)
    assert 0 <= moves[0][0] - applied + 1 <= VALIDATION
    body = exported(cluster, shop, tmp_path)
    assert {one["verdict"] for one in body["checks"]} == {"Pass"}
    assert body["rollback"]["seconds"] <= ROLLBACK
    begun = body["rollback"]["trueSince"] or body["rollback"]["decidedAt"]
    assert -0.05 <= moves[-1][0] - at(begun) <= ROLLBACK
    assert moves[-1][1] == 0
    assert body["evidence"]["intact"] is True and body["evidence"]["headKnownToStatus"] is True
    assert body["commands"] == [] and body["signatures"] == [], "nobody did anything for it"
    assert len(list(tmp_path.glob("*rollback_*.txt"))) == 3
