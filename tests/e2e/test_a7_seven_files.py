"""Row A7: one command leaves the seven files of a release, each with what this run really had."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from e2e.exports import exported
from e2e.release_files import NAME, Signer, publish
from testbed.cluster import User

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster
    from testbed.shop import Shop

MIRA = User("mira@example.org", ("system:masters",))
ITEMS: list[dict[str, Any]] = [
    {"name": kind, "artifact": f"{NAME}/{kind}.json", "kind": kind, "signer": "ci", "timeout": "60s"}
    for kind in ("sbom", "provenance")
]
KEYS = {"sbom.json": "sbom.json", "build_provenance.json": "provenance.json"}
"""By file of the export, the key of what it tells of."""


def test_the_seven_files_say_what_this_run_had(signer: Signer, cluster: Cluster, shop: Shop, tmp_path: Path) -> None:
    shop.open()
    shop.start_load(rps=50)
    shop.deploy("canary", "v2")
    publish(shop, signer)
    stages = [{"name": "all", "weight": 100, "duration": "3s"}]
    shop.release("v2", stages=stages, preflight=ITEMS, checklist=[{"name": "rollback", "title": "It was tried"}])
    shop.until_phase("AwaitingApproval")
    done = cluster.kubectl("sparkrelease", "approve", shop.name, "-n", shop.namespace, identity=MIRA)
    assert done.returncode == 0, done.stdout + done.stderr
    shop.until_condition("Promoted")
    status = shop.until("stored", lambda s: not s.get("pendingEvidence"))

    folder = tmp_path / "out"
    body = exported(cluster, shop, folder)
    assert body["partOfRun"] == {"approvals": True, "sbom": True, "provenance": True, "declaredChecks": True}
    files = cluster.get("v1", "ConfigMap", NAME, shop.namespace)["data"]
    for name, key in KEYS.items():
        (told,) = json.loads((folder / name).read_text())["files"]
        assert (told["verdict"], told["sha256"]) == ("Pass", hashlib.sha256(files[key].encode()).hexdigest())
        assert hashlib.sha256((folder / told["original"]).read_bytes()).hexdigest() == told["sha256"]
    tag = (folder / "release_tag.txt").read_text()
    assert status["run"]["id"] in tag and status["run"]["specDigest"] in tag and "v2" in tag
    signed = (folder / "go_nogo_signed.txt").read_text()
    assert MIRA.name in signed and "GO" in signed
    scan = (folder / "blind_spots_scan.txt").read_text()
    assert [item["name"] for item in ITEMS if item["name"] not in scan] == []
    assert "http" in (folder / "baseline_metrics.txt").read_text()
    plan = (folder / "canary_plan.txt").read_text()
    assert "all" in plan and "100 %" in plan and "burst" in plan

    cluster.delete("v1", "ConfigMap", NAME, shop.namespace)
    later = tmp_path / "later"
    exported(cluster, shop, later)
    for name in KEYS:
        (told,) = json.loads((later / name).read_text())["files"]
        assert ("original" in told, told["originalMissing"]) == (False, f"ConfigMap {NAME} does not exist")
    assert not (later / "originals").exists()
