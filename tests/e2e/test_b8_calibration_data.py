"""Row B8: what decisions were made from is kept as data, and the data are what clients saw."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from e2e.exports import at, exported
from testbed.prometheus import SCRAPE_INTERVAL

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.load import Load
    from testbed.shop import Shop

STAGES = [{"name": "half", "weight": 50, "duration": "16s"}]
HTTP = {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total", "every": "2s"}
COMPARISON = {"tests": [{"metric": "http"}], "warmup": "1s"}

MISSED = 0.05
"""Part of the requests by which counters and clients may differ beside what comes between two scrapes."""


def counted_as_seen(row: dict[str, str], load: Load, version: str) -> None:
    """What was counted over a time is what clients saw in it, but for a scrape's worth at each end."""
    end, length = at(row["at"]), float(row["window_seconds"])
    seen = sum(one.version == version and end - length < one.unix_ns / 1e9 <= end for one in load.answers())
    counted, between = float(row["total"]), 2 * SCRAPE_INTERVAL * seen / length
    assert seen > 0 and abs(counted - seen) <= MISSED * seen + between, (version, length, counted, seen)


@pytest.mark.timeout(240)
def test_the_export_holds_what_clients_saw(operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path) -> None:
    shop.open()
    load = shop.start_load(rps=100)
    shop.ship("v2", stages=STAGES, metrics=[HTTP | {"window": "5s"}], comparison=COMPARISON)
    shop.until_condition("Promoted")
    shop.until("stored", lambda s: not s.get("pendingEvidence"))
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
    for role, version in (("canary", "v2"), ("stable", "v1")):
        (gate,) = [row for row in rows if (row["source"], row["role"], row["rule"]) == ("gate", role, "errors")]
        assert float(gate["window_seconds"]) >= 15, "all of the stage"
        counted_as_seen(gate, load, version)
