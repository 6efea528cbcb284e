"""What an autoscaler scales, the operator does not: neither before a run nor after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.managed import ManagedShop


def autoscaler(shop: ManagedShop, deployment: str) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
    shop.cluster.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": deployment, "namespace": shop.namespace},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},
        }
    )


def test_replicas_of_what_an_autoscaler_scales_are_never_written(
    operator: Operator, cluster: Cluster, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    for deployment in ("shop", "shop-stable"):
        autoscaler(shop, deployment)
    shop.begin("v1")
    shop.scale("shop-stable", 3)
    wait_for("three", lambda: shop.deployment("shop-stable").get("status", {}).get("readyReplicas") == 3, timeout=60)
    since = cluster.audit_cursor()
    shop.start_load(rps=50)
    shop.push("v2")
    shop.until_settled("v2", timeout=120)
    shop.until_phase("Succeeded")
    assert (shop.replicas("shop"), shop.replicas("shop-stable")) == (2, 3)
    for deployment in ("shop", "shop-stable"):
        assert [event for event in shop.writes(since, deployment) if event.subresource == "scale"] == []
    told = cluster.kubectl("describe", "sr", "shop", "-n", shop.namespace).stdout
    assert "AutoscalerOnStable" in told
