"""How much evidence a standard run leaves: five stages, promoted, settled."""

from __future__ import annotations

import json
from typing import Any

from testbed.cluster import Cluster
from testbed.shop import Shop

STAGES = [
    {"name": f"stage-{number}", "weight": weight, "duration": "3s"}
    for number, weight in enumerate((1, 5, 25, 50, 100), start=1)
]


def run(cluster: Cluster) -> tuple[Shop, dict[str, Any]]:
    """One good release of five stages through the gateway; what its run stored, and the shop it was sold in."""
    shop = Shop(cluster, cluster.namespace("evidence"), "shop")
    shop.open("v1", "v1")
    load = shop.start_load(rps=100, duration=240)
    shop.release("v1", stages=STAGES)
    shop.until_phase("Succeeded")
    shop.ship("v2", stages=STAGES)
    shop.until_condition("Promoted", timeout=120)
    shop.deploy("stable", "v2", wait=False)
    shop.until_settled("v2", timeout=90)
    load.stop()
    status = shop.status
    evidence = status["evidence"]
    maps = [cluster.get("v1", "ConfigMap", name, shop.namespace) for name in evidence["configMaps"]]
    sizes = [len(json.dumps(one, separators=(",", ":")).encode()) for one in maps]
    verified = cluster.kubectl("sparkrelease", "evidence", "verify", shop.name, "-n", shop.namespace)
    return shop, {
        "stages": len(STAGES),
        "entries": evidence["entries"],
        "config_maps": len(maps),
        "kib": round(sum(sizes) / 1024, 1),
        "largest_kib": round(max(sizes) / 1024, 1),
        "verified": verified.returncode == 0,
    }
