"""What cannot be kept is refused with a reason before anything is written; put right, it goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import app
from testbed.app import App
from testbed.managed import let_it_keep_workloads
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.managed import ManagedShop

BINDING = ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "sparkrelease-managed-workload")


def test_without_the_right_to_keep_deployments_the_release_says_so(
    operator: Operator, cluster: Cluster, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    let_it_keep_workloads(cluster)
    cluster.delete(*BINDING)
    shop.push("v1", replicas=1)
    shop.until_condition("Ready", "False", "Forbidden")
    assert "deployments" in shop.condition("Ready")["message"]
    let_it_keep_workloads(cluster)
    shop.until_condition("Ready", reason="NothingToRelease", timeout=90)


def test_a_foreign_deployment_of_the_copys_name_is_left_alone(
    operator: Operator, cluster: Cluster, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    let_it_keep_workloads(cluster)
    foreign = App(shop.namespace, "shop-stable", cluster.app_image("v7"), 1)
    cluster.apply(app.deployment(foreign))
    shop.push("v1", replicas=1)
    shop.until_condition("Ready", "False", "DeploymentOwned")
    assert shop.image("shop-stable") == cluster.app_image("v7")
    cluster.delete("apps/v1", "Deployment", "shop-stable", shop.namespace)
    shop.until_condition("Ready", reason="NothingToRelease", timeout=90)


def test_a_service_that_git_points_elsewhere_is_told_and_not_changed(
    operator: Operator, cluster: Cluster, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    let_it_keep_workloads(cluster)
    wrong = app.service(App(shop.namespace, "shop-stable", "", 1)) | {}
    wrong["spec"]["selector"] = {"app": "shop"}
    cluster.apply(wrong, manager="argocd-controller")
    shop.push("v1", replicas=1)
    shop.until_condition("Ready", "False", "SelectorMismatch", timeout=90)

    def whose() -> bool:
        return "argocd-controller" in shop.condition("Ready")["message"]

    wait_for("who keeps it is told", whose, timeout=30)
    assert cluster.get("v1", "Service", "shop-stable", shop.namespace)["spec"]["selector"] == {"app": "shop"}
    wrong["spec"]["selector"] = {"app": "shop-stable"}
    cluster.apply(wrong, manager="argocd-controller")
    shop.until_condition("Ready", reason="NothingToRelease", timeout=90)
