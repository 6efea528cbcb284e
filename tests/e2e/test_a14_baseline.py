"""Row A14: what stable was before the release is taken once, kept, and says how to look at it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.exports import at, exported
from testbed.prometheus import query
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

RATE = {
    "name": "requests",
    "value": "sum by ($by) (rate(http_requests_total{$sel}[$win]))",
    "window": "5s",
    "every": "5s",
}
LIMIT = {"name": "requests", "metric": "requests", "maxVsBaseline": 20}
STAGES = [{"name": "half", "weight": 50, "duration": "5s"}, {"name": "full", "weight": 100, "duration": "5s"}]


@pytest.mark.timeout(240)
def test_the_baseline_is_that_of_before_the_run_whatever_comes_after(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load(rps=20)
    has = f'count_over_time(http_requests_total{{namespace="{shop.namespace}",code="200"}}[5m]) >= 30'
    wait_for("a past for the baseline", lambda: bool(query(cluster.prometheus_local_url, has)), timeout=60, every=0.5)
    shop.ship("v2", stages=STAGES, metrics=[*shop.manifest("v2")["spec"]["metrics"], RATE], thresholds=[LIMIT])
    shop.until_weight(50, timeout=100)
    shop.start_load(rps=150)
    shop.until_condition("Promoted")
    shop.until("stored", lambda s: not s.get("pendingEvidence"))

    body = exported(cluster, shop, tmp_path)
    (frozen,) = [one for one in body["baselines"] if one["metric"] == "requests"]
    assert 10 < frozen["value"] < 40, "of the twenty requests a second before, not of the many after"
    assert " ".join(frozen["query"].split()) in (tmp_path / "baseline_metrics.txt").read_text()
    rows = [line for line in (tmp_path / "data" / "observations.csv").read_text().splitlines() if ",baseline," in line]
    assert len(rows) == len(body["baselines"])
    assert at(body["startedAt"]) < at(body["promotedAt"])
