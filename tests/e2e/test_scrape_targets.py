"""A version that nobody scrapes gets no traffic; once its pods are targets, the release goes on by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testbed.app import PORT_NAME
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

EXPECTED_AFTER = 15
"""Seconds, `maxAge` of the server in these scenarios: a pod that is older must be scraped."""


def name_the_port(cluster: Cluster, shop: Shop, name: str) -> None:
    """Prometheus finds its targets by the name of the Service's port."""
    service = cluster.get("v1", "Service", f"{shop.name}-canary", shop.namespace)
    ports = [{**port, "name": name} for port in service["spec"]["ports"]]
    cluster.patch("v1", "Service", f"{shop.name}-canary", shop.namespace, {"spec": {"ports": ports}})


def youngest(cluster: Cluster, shop: Shop) -> float:
    """Seconds since the last container of canary began."""
    pods = cluster.api.request("GET", f"/api/v1/namespaces/{shop.namespace}/pods")["items"]
    began = [
        datetime.fromisoformat(one["state"]["running"]["startedAt"])
        for pod in pods
        if pod["metadata"]["name"].startswith(f"{shop.name}-canary") and "deletionTimestamp" not in pod["metadata"]
        for one in pod["status"]["containerStatuses"]
    ]
    return (datetime.now(UTC) - max(began)).total_seconds()


def test_a_canary_that_nobody_scrapes_is_blocked_and_goes_on_once_it_is(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open(canary="v2")
    shop.start_load(rps=50)
    name_the_port(cluster, shop, "unscraped")
    wait_for("canary's pods are no longer new", lambda: youngest(cluster, shop) > EXPECTED_AFTER + 2, timeout=60)
    since = cluster.audit_cursor()
    shop.release("v2")

    def named(status: dict[str, Any]) -> bool:
        said = f"2 of 2 pods behind Service {shop.name}-canary are not scraped"
        return any(c["reason"] == "TargetMissing" and said in c["message"] for c in status.get("conditions", []))

    status = shop.until("blocked by its targets", named)  # type: ignore[arg-type]  # a status is a dict
    assert status["phase"] == "Blocked"
    assert not [weight for _, weight in shop.weights_written(since) if weight > 0]
    name_the_port(cluster, shop, PORT_NAME)
    shop.until_written(5, since)
