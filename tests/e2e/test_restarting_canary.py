"""A canary whose pods die with what they counted: its gate counts the errors all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.evidence import checked
from testbed.prometheus import FAILED, query
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.kubeapi import KubeObject
    from testbed.shop import Shop

ENOUGH = 120
"""Failed answers before the pods die: of the 4,000 of the stage and its extension far more than the gate lets pass."""

SPEC = {
    "stages": [{"name": "half", "weight": 50, "duration": "60s"}, {"name": "full", "weight": 100, "duration": "5m"}],
    "metrics": [ERRORS],
    "thresholds": [{"name": "errors", "metric": "http", "max": 0.01, "minRequests": 50}],
    "triggers": [],
}


def test_a_canary_whose_pods_die_one_after_the_other_does_not_pass_its_gate(operator: Operator, shop: Shop) -> None:
    """Their containers begin anew, well and with empty counters, before the stage is over."""
    shop.open()
    load = shop.start_load(rps=100, duration=240)
    shop.ship("v2", **SPEC)
    shop.until_weight(50)
    shop.until("the stage counts", lambda status: bool(status["stage"].get("startedAt")))
    shop.cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.3)
    counted = f'sum(http_requests_total{{namespace="{shop.namespace}",service="{shop.name}-canary",{FAILED[1:]})'
    wait_for("errors", lambda: query(shop.cluster.prometheus_local_url, f"{counted} > {ENOUGH}"), timeout=30)
    for pod in canary_pods(shop):
        restart(shop, pod["metadata"]["name"])

    status = shop.until_phase("RolledBack", timeout=120)
    rollback = status["rollback"]
    assert (rollback["trigger"], rollback["reason"], rollback["stage"]) == ("gate half", "GateFailed", "half")
    assert "a counter was reset in this time: the difference alone is 0%" in rollback["message"]
    failed = [one for one in load.answers() if one.failed and one.version == "v2"]
    reading = checked(shop).last("GateFailed")["data"]["readings"]["errors"]
    assert reading["canary"]["bad"] == 0
    assert ENOUGH < reading["canaryAgain"]["bad"] <= len(failed)


def canary_pods(shop: Shop) -> list[KubeObject]:
    return shop.cluster.list("v1", "Pod", shop.namespace, labels=f"app={shop.name}-canary")


def restart(shop: Shop, name: str) -> None:
    """Has one pod crash, and waits until it serves again; the other one serves meanwhile."""
    cluster, only = shop.cluster, {"metadata": {"labels": {"crashes": name}}}
    cluster.patch("v1", "Pod", name, shop.namespace, only)
    assert cluster.set_app(shop.namespace, f"crashes={name}", crash=True) == 1

    def serves_again() -> bool:
        [container] = cluster.get("v1", "Pod", name, shop.namespace)["status"].get("containerStatuses", [{}])
        return container.get("restartCount", 0) > 0 and container["ready"]

    wait_for(f"{name} restarted", serves_again, timeout=30)
