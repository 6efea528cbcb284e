"""The operator is killed in the middle of a managed promotion: it goes on, and nobody notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.cluster import Cluster, Operator
    from testbed.managed import ManagedShop
    from testbed.sole_operator import SoleOperator

MOMENTS: dict[str, Callable[[ManagedShop, int], bool]] = {
    "canary has pods": lambda shop, _: bool(shop.deployment("shop").get("status", {}).get("updatedReplicas")),
    "full weight": lambda shop, since: any(weight == 100 for _, weight in shop.weights_written(since)),
    "promoted": lambda shop, _: shop.condition("Promoted").get("status") == "True",
    "copy written": lambda shop, _: shop.image("shop-stable") == shop.cluster.app_image("v2"),
    "walking back": lambda shop, since: any(weight == 50 for _, weight in shop.weights_written(since)),
    "all on stable": lambda shop, since: [w for _, w in shop.weights_written(since)][-1:] == [0],
}
"""Each is true from then on; the second argument is the audit log's cursor."""


@pytest.mark.timeout(400)
def test_killed_at_six_moments_of_a_managed_release_it_still_ends_settled_without_a_failed_request(
    operator: Operator, operators: SoleOperator, cluster: Cluster, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    shop.begin("v1")
    load = shop.start_load(rps=100, duration=350)
    since = cluster.audit_cursor()
    shop.push("v2")
    for name, moment in MOMENTS.items():
        wait_for(name, lambda moment=moment: moment(shop, since), timeout=90, every=0.02)
        operators.crash()
    shop.until_settled("v2", timeout=90)
    wait_for("the candidate is scaled down", lambda: shop.replicas("shop") == 0, timeout=60)
    assert shop.canary_weight() == 0
    copies = [event for event in shop.writes(since, "shop-stable") if event.subresource == "" and event.verb == "patch"]
    versions = {event.response["metadata"]["generation"] for event in copies}
    assert len(versions) == 1, "written again after a crash it is the same object"
    assert [answer for answer in load.answers() if answer.failed] == []
