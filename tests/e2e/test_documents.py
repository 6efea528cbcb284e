"""What people read of a run is true: figures of its documents against the status and against what was written."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

ERRORS_OF_STABLE = 0.01
"""More of stable's requests than this never fail."""

MILLISECOND = 0.0015
"""Seconds by which a stored time may differ from the one it was made from."""


def exported(cluster: Cluster, shop: Shop, folder: Path) -> dict[str, Any]:
    """Exports the present run; the chain of the export verifies by itself."""
    done = cluster.kubectl("sparkrelease", "evidence", "export", shop.name, str(folder), "-n", shop.namespace)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = ("--from-dir", str(folder), "-n", shop.namespace)
    checked = cluster.kubectl("sparkrelease", "evidence", "verify", shop.name, *kept)
    assert (checked.returncode, "every link holds" in checked.stdout) == (0, True), checked.stdout + checked.stderr
    assert (folder / "report.html").stat().st_size < 150_000
    body: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return body


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def written(shop: Shop, since: int) -> list[tuple[float, float]]:
    """Canary's weights as they were written, each with the instant the API server had answered; repeats left out."""
    found: list[tuple[float, float]] = []
    for event, weight in shop.weights_written(since):
        if not found or found[-1][1] != weight:
            found.append((event.completed.timestamp(), weight))
    return found


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
    notes = (tmp_path / "release-notes.md").read_text()
    assert f"| {record['stage']} |" in notes and "rolled back" in notes
    rows = list(csv.DictReader((tmp_path / "data" / "observations.csv").read_text().splitlines()))
    worst = [row for row in rows if row["source"] == "reading" and row["role"] == "canary" and row["bad"]]
    assert worst and float(worst[-1]["bad"]) / float(worst[-1]["total"]) > 0.05


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
    assert abs(at(body["startedAt"]) - at(status["run"]["startedAt"])) <= MILLISECOND
    assert body["evidence"]["entries"] == status["evidence"]["entries"]

    moves = wait_for("the log has the way back", lambda: [m for m in [written(shop, since)] if m and m[-1][1] == 0])[0]
    assert [one["canary"] for one in body["weights"]] == [weight for _, weight in moves] == [5, 25, 100, 50, 0]
    notes = (tmp_path / "release-notes.md").read_text()
    assert "| quarter | 25 % |" in notes and "| passed | 1/1 |" in notes
    assert "not part of this run" in (tmp_path / "go_nogo_signed.txt").read_text()


def test_a_report_names_the_restore_point_a_person_gave(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=[{"name": "quarter", "weight": 25, "duration": "5m"}])
    shop.until_weight(25)
    where = ("-n", shop.namespace)
    point = "pitr 2026-11-21T13:50:00Z, orders-db"
    asked = ("--reason", "orders rounded wrongly", "--stage", "quarter", "--restore-point", point)
    done = cluster.kubectl("sparkrelease", "rollback", shop.name, *asked, *where)
    assert done.returncode == 0, done.stdout + done.stderr
    shop.until_phase("RolledBack")
    shop.until("stored", lambda s: not s.get("pendingEvidence"))
    file = tmp_path / "page.html"
    done = cluster.kubectl("sparkrelease", "report", shop.name, "--no-open", "-o", str(file), *where)
    assert done.returncode == 0, done.stdout + done.stderr
    page = file.read_text()
    assert point in page and "orders rounded wrongly" in page and len(page.encode()) < 150_000
