"""Deleting a release, or the whole API, in the middle of a run: traffic goes to stable and no client notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.kubeapi import ApiError
from testbed.shop import API_VERSION, KIND
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

CRD = "sparkreleases.sparkrelease.dev"
LONG = [{"name": "half", "weight": 50, "duration": "5m"}]


def gone(shop: Shop) -> bool:
    try:
        shop.get()
    except ApiError as error:
        return error.code == 404
    return False


def test_deleting_a_release_mid_run_restores_stable_keeps_the_services_and_fails_no_request(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    """Others leave the canary's share behind, and strip the Services' selectors."""
    shop.open()
    load = shop.start_load(rps=200)
    services = [service["spec"] for service in cluster.list("v1", "Service", shop.namespace)]
    shop.ship("v2", stages=LONG)
    shop.until_weight(50)
    assert "sparkrelease.dev/restore-traffic" in shop.get()["metadata"]["finalizers"]
    done = cluster.kubectl("delete", "sr", shop.name, "-n", shop.namespace, "--timeout=30s")
    assert done.returncode == 0, done.stderr
    assert gone(shop)
    assert shop.canary_weight() == 0
    assert [service["spec"] for service in cluster.list("v1", "Service", shop.namespace)] == services
    annotations = shop.route_object()["metadata"].get("annotations", {})
    assert not [key for key in annotations if key.startswith("sparkrelease.dev/")]
    load.wait_answered(sum(1 for _ in load.answers()) + 200)
    assert [a for a in load.answers() if a.failed] == []


def test_orphan_leaves_the_weights_as_they_are(operator: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=LONG, deletionPolicy="Orphan")
    shop.until_weight(50)
    cluster.delete(API_VERSION, KIND, shop.name, shop.namespace)
    wait_for("release gone", lambda: gone(shop), timeout=10)
    assert shop.canary_weight() == 50


def test_a_namespace_that_goes_away_mid_run_is_not_held_up(operator: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=LONG)
    shop.until_weight(50)
    cluster.delete("v1", "Namespace", shop.namespace)
    wait_for("release gone", lambda: gone(shop), timeout=30)


@pytest.mark.slow
def test_deleting_the_crd_mid_run_restores_stable_without_a_failed_request(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load(rps=200)
    shop.ship("v2", stages=LONG)
    shop.until_weight(50)
    try:
        cluster.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", CRD)
        shop.until_weight(0, timeout=20)
        load.wait_answered(sum(1 for _ in load.answers()) + 200)
        assert [a for a in load.answers() if a.failed] == []
        wait_for("the operator let go of every release", lambda: not kept_from_going(cluster), timeout=20)
    finally:
        put_back(cluster)
        operator.restart()


def kept_from_going(cluster: Cluster) -> list[str]:
    """Releases that still have a finalizer; none once the API itself is gone."""
    try:
        left = cluster.list(API_VERSION, KIND)
    except ApiError as error:
        if error.code != 404:
            raise
        return []
    return [
        f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in left if one["metadata"].get("finalizers")
    ]


def put_back(cluster: Cluster) -> None:
    """The API as it was: whatever a scenario finds out, those after it need the cluster.

    The server asks every five seconds whether all objects are gone, and after a minute begins anew.
    """

    def gone_for_good() -> bool:
        for name in kept_from_going(cluster):
            namespace, _, release = name.partition("/")
            cluster.patch(API_VERSION, KIND, release, namespace, {"metadata": {"finalizers": None}})
        return crd_gone(cluster)

    wait_for("CRD gone", gone_for_good, timeout=90, every=0.5, expected=(ApiError,))
    cluster.install()
    wait_for("CRD served again", lambda: served(cluster), timeout=30)


def crd_gone(cluster: Cluster) -> bool:
    found = cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    return all(crd["metadata"]["name"] != CRD for crd in found)


def served(cluster: Cluster) -> bool:
    try:
        cluster.list(API_VERSION, KIND)
    except ApiError:
        return False
    return True
