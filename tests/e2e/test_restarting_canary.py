"""A canary whose pods die with what they counted: its gate counts the errors all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from testbed.evidence import checked
from testbed.prometheus import FAILED, query
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

ENOUGH = 60
"""Failed answers before the pods die."""

SPEC = {
    "stages": [{"name": "half", "weight": 50, "duration": "40s"}, {"name": "full", "weight": 100, "duration": "5m"}],
    "metrics": [ERRORS],
    "thresholds": [{"name": "errors", "metric": "http", "max": 0.02, "minRequests": 50}],
    "triggers": [],
}


def test_a_canary_whose_pods_die_does_not_pass_its_gate(operator: Operator, shop: Shop) -> None:
    """Their containers begin anew, well and with empty counters, before the stage is over."""
    shop.open()
    load = shop.start_load(rps=100)
    shop.ship("v2", **SPEC)
    shop.until_weight(50)
    shop.until("the stage counts", lambda status: bool(status["stage"].get("startedAt")))
    canary = f"app={shop.name}-canary"
    shop.cluster.set_app(shop.namespace, canary, error=0.3)
    counted = f'sum(http_requests_total{{namespace="{shop.namespace}",service="{shop.name}-canary",{FAILED[1:]})'
    wait_for("errors", lambda: query(shop.cluster.prometheus_local_url, f"{counted} > {ENOUGH}"), timeout=30)
    shop.cluster.set_app(shop.namespace, canary, crash=True)
    wait_for("both restarted", lambda: all(restarts(shop)), timeout=30)

    status = shop.until_phase("RolledBack", timeout=90)
    rollback = status["rollback"]
    assert (rollback["trigger"], rollback["reason"], rollback["stage"]) == ("gate half", "GateFailed", "half")
    assert "a counter was reset in this time: the difference alone is 0%" in rollback["message"]
    failed = [one for one in load.answers() if one.failed and one.version == "v2"]
    reading = checked(shop).last("GateFailed")["data"]["readings"]["errors"]
    assert reading["canary"]["bad"] == 0
    assert ENOUGH < reading["canaryAgain"]["bad"] <= len(failed)


def restarts(shop: Shop) -> Iterable[int]:
    """Of each pod of canary, how often its containers began anew."""
    pods: list[Mapping[str, Any]] = shop.cluster.list("v1", "Pod", shop.namespace, labels=f"app={shop.name}-canary")
    return [sum(one["restartCount"] for one in pod["status"].get("containerStatuses", [])) for pod in pods]
