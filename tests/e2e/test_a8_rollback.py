"""Row A8: one command rolls back within seconds, after a dry run; what it leaves tells who, why, and to which point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.exports import exported, written
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
    shop.until("stored", lambda s: not s.get("pendingEvidence"))
    assert [weight for _, weight in written(shop, since)] == [25, 0]

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
    for kind in ("rollback_", "metrics_before_rollback_", "metrics_after_rollback_"):
        (name,) = [name for name in names if name.startswith(kind)]
        assert (folder / name).read_text().strip()
    record = next(folder.glob("rollback_*.txt")).read_text()
    assert WHY in record and MIRA.name in record and POINT in record
