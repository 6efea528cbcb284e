"""A dry run walks its stages and moves nothing, though nobody reaches canary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop


def test_a_dry_run_comes_to_its_end_and_never_writes_the_route(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load()
    version = shop.route_object()["metadata"]["resourceVersion"]
    since = cluster.audit_cursor()
    shop.ship("v2", dryRun=True)
    status = shop.until("the dry run is over", lambda status: bool(status.get("history")))
    assert (status["history"][0]["outcome"], status["history"][0]["reason"]) == ("Cancelled", "DryRun")
    shop.until_condition("Ready", "True", "DryRun")
    assert list(shop.weights_written(since)) == []
    assert shop.route_object()["metadata"]["resourceVersion"] == version
    assert set(load.stop().versions) == {"v1"}, "clients of the shop met stable alone"
