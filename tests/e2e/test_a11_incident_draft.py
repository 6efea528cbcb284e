"""Row A11: after a rollback the incident draft is filled from the evidence, and every figure in it is true."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from e2e.exports import at, exported, written
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

ERRORS_OF_STABLE = 0.01
"""More of stable's requests than this never fail."""

MILLISECOND = 0.0015
"""Seconds by which a stored time may differ from the one it was made from."""


def test_a_rolled_back_run_is_told_as_it_was(operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path) -> None:
    shop.open()
    shop.start_load()
    since = cluster.audit_cursor()
    shop.ship("v2", error=0.5)
    shop.until_condition("RolledBack")
    shop.until("measured afterwards", lambda s: "measuredAt" in s.get("rollback", {}))
    status = shop.until("stored", lambda s: not s.get("pendingEvidence") and "trafficAt" in s.get("rollback", {}))
    body = exported(cluster, shop, tmp_path)

    record, told = status["rollback"], body["rollback"]
    assert (body["outcome"], told["rule"], told["stage"]) == ("RolledBack", record["trigger"], record["stage"])
    assert (told["fromWeight"], told["message"]) == (record["fromWeight"], record["message"])
    assert abs(told["seconds"] - record["seconds"]) <= MILLISECOND
    for key in ("decidedAt", "trafficAt"):
        assert abs(at(told[key]) - at(record[key])) <= MILLISECOND
    assert body["evidence"]["head"] == status["evidence"]["head"]
    assert body["evidence"]["headKnownToStatus"] is True

    moves = wait_for("the log has the way back", lambda: [m for m in [written(shop, since)] if m and m[-1][1] == 0])[0]
    steps = [(at(one["at"]), one["canary"]) for one in body["weights"]]
    assert [weight for _, weight in steps] == [weight for _, weight in moves]
    back_written, back_decided = moves[-1][0], at(told["decidedAt"])
    assert -0.05 <= back_written - back_decided <= told["seconds"] + 0.5

    name = next(path for path in tmp_path.iterdir() if path.name.startswith("rollback_"))
    text = name.read_text()
    assert f"{record['fromWeight']:g} % to 0 %" in text and record["trigger"] in text
    seen = told["after"]["http"]
    assert at(seen["at"]) - seen["windowSeconds"] >= at(told["verifiedAt"]) >= at(told["trafficAt"])
    assert seen["stable"]["total"] > 0 and seen["stable"]["bad"] / seen["stable"]["total"] < ERRORS_OF_STABLE
    after = next(path for path in tmp_path.iterdir() if path.name.startswith("metrics_after_rollback_")).read_text()
    assert f"/{seen['stable']['total']:.6g})" in after and "not part of this run" not in after
    draft = next(path for path in tmp_path.iterdir() if path.name.startswith("incident_")).read_text()
    for known in (record["trigger"], record["stage"], f"{record['fromWeight']:g} %"):
        assert known in draft
    notes = (tmp_path / "release-notes.md").read_text()
    assert f"| {record['stage']} |" in notes and "rolled back" in notes
    rows = list(csv.DictReader((tmp_path / "data" / "observations.csv").read_text().splitlines()))
    worst = [row for row in rows if row["source"] == "reading" and row["role"] == "canary" and row["bad"]]
    assert worst and float(worst[-1]["bad"]) / float(worst[-1]["total"]) > 0.05
