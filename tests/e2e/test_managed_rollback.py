"""A bad template goes back at once; its pods are taken away only when the gateway surely gives them nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from testbed.managed import written
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.managed import ManagedShop


@pytest.mark.timeout(300)
def test_a_bad_template_goes_back_and_the_candidate_is_scaled_down_after_its_weight_is_verified_zero(
    operator: Operator, cluster: Cluster, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    shop.begin("v1")
    load = shop.start_load(rps=100, duration=200)
    since = cluster.audit_cursor()
    shop.push("v2", error=0.5)
    shop.until_condition("RolledBack", timeout=90)
    wait_for("the candidate is scaled down", lambda: shop.replicas("shop") == 0, timeout=30)
    assert shop.canary_weight() == 0
    assert shop.image("shop-stable") == cluster.app_image("v1")
    zero = [event for event, weight in shop.weights_written(since) if weight == 0]
    told = [(event, status["rollback"]) for event, status in shop.statuses_written(since) if "rollback" in status]
    verified, record = next((event, record) for event, record in told if "verifiedAt" in record)
    scaled = [event for event in shop.writes(since, "shop") if event.subresource == "scale"]
    assert [written(event).get("replicas", 0) for event in scaled] == [0]
    assert zero[0].completed <= datetime.fromisoformat(record["verifiedAt"]), "not what was written: what is in force"
    assert verified.completed <= scaled[0].received, "it was on record that the gateway gives it nothing"
    assert {answer.version for answer in load.answers() if answer.failed} <= {"v2"}
    assert shop.status["refused"][0]["template"] == shop.status["workload"]["candidate"]

    shop.push("v3")
    shop.until_settled("v3", timeout=120)
    assert shop.image("shop-stable") == cluster.app_image("v3")
    assert {answer.version for answer in load.answers() if answer.failed} <= {"v2"}
