"""Row B8: every number that was measured is kept as data, and the data are what clients saw."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from e2e.exports import exported

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

STAGES = [{"name": "half", "weight": 50, "duration": "16s"}]
HTTP = {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total", "every": "2s"}
COMPARISON = {"tests": [{"metric": "http"}], "warmup": "1s"}


@pytest.mark.timeout(240)
def test_the_export_holds_what_canary_s_clients_saw(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    load = shop.start_load(rps=100)
    shop.ship("v2", stages=STAGES, metrics=[HTTP | {"window": "5s"}], comparison=COMPARISON)
    shop.until_condition("Promoted")
    shop.until("stored", lambda s: not s.get("pendingEvidence"))
    seen = sum(answer.version == "v2" for answer in load.answers())
    body = exported(cluster, shop, tmp_path)

    with (tmp_path / "data" / "observations.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "data" / "observations.jsonl").read_text().splitlines()]
    assert len(rows) == len(lines) > 0
    assert {row["run"] for row in rows} == {body["run"]}
    assert {"reading", "gate"} <= {row["source"] for row in rows}
    windows = [row for row in rows if (row["source"], row["role"]) == ("window", "canary")]
    assert len({row["at"] for row in windows}) == len(windows), (
        "a window is told once, if a decision was stored with it"
    )
    (gate,) = [row for row in rows if (row["source"], row["role"], row["rule"]) == ("gate", "canary", "errors")]
    counted = float(gate["total"])
    assert 0.3 * seen < counted <= seen
