"""Row A8: one command rolls back within seconds, after a dry run; what it leaves tells who, why, and to which point."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from e2e.exports import at, exported, written
from testbed.cluster import User

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

MIRA = User("mira@example.org", ("system:masters",))
POINT = "pitr 2026-11-21T13:50:00Z, orders-db"
WHY = "orders rounded wrongly"
WITHIN = 5 * 60
"""Seconds the protocol gives a rollback."""


def test_a_dry_run_says_what_a_rollback_does_and_the_rollback_does_it(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load()
    since = cluster.audit_cursor()
    shop.ship("v2", stages=[{"name": "quarter", "weight": 25, "duration": "5m"}])
    shop.until_weight(25)
    shop.until("a quarter is in force", lambda s: s["weight"]["verified"])
    where = ("-n", shop.namespace)

    def roll_back(*more: str) -> subprocess.CompletedProcess[str]:
        asked = ("--reason", WHY, "--stage", "quarter", "--restore-point", POINT, *more)
        done = cluster.kubectl("sparkrelease", "rollback", shop.name, *asked, *where, identity=MIRA)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    assert "25 % → 0 %" in roll_back("--dry-run").stdout
    assert [weight for _, weight in written(shop, since)] == [25]
    roll_back()
    shop.until_phase("RolledBack")
    assert [weight for _, weight in written(shop, since)] == [25, 0]
    shop.until("measured afterwards", lambda s: "measuredAt" in s.get("rollback", {}))
    shop.until("stored", lambda s: not s.get("pendingEvidence"))

    page = tmp_path / "page.html"
    done = cluster.kubectl("sparkrelease", "report", shop.name, "--no-open", "-o", str(page), *where)
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert POINT in text and WHY in text and len(text.encode()) < 150_000

    folder = tmp_path / "out"
    told = exported(cluster, shop, folder)["rollback"]
    assert (told["stage"], told["askedBy"], told["restorePoint"]) == ("quarter", MIRA.name, POINT)
    assert told["seconds"] <= WITHIN
    names = [path.name for path in folder.iterdir()]
    texts = {}
    for kind in ("rollback_", "metrics_before_rollback_", "metrics_after_rollback_"):
        (name,) = [name for name in names if name.startswith(kind)]
        texts[kind] = (folder / name).read_text()
        assert "not part of this run" not in texts[kind], name
    assert WHY in texts["rollback_"] and MIRA.name in texts["rollback_"] and POINT in texts["rollback_"]
    after = told["after"]["http"]
    assert at(after["at"]) - after["windowSeconds"] >= at(told["verifiedAt"]) >= at(told["trafficAt"])
    assert after["stable"]["total"] > 0 and after["stable"]["bad"] == 0
    assert f"(0/{after['stable']['total']:.6g})" in texts["metrics_after_rollback_"]
    assert re.search(r"\(0/[1-9]\d*\).*\(0/[1-9]\d*\)", texts["metrics_before_rollback_"]), "both sides had requests"
