"""What the gateway counts is not what the route says: the stage's clock stands until the two agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

STAGES = [{"name": "ten", "weight": 10, "duration": "15s"}, {"name": "full", "weight": 100, "duration": "3s"}]


def test_requests_by_a_side_door_stop_the_clock_until_they_end(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    shop.start_load(rps=40)
    shop.ship("v2", stages=STAGES)
    shop.until_weight(10)
    foreign = shop.open_side_door(rps=80)
    shop.until_condition("TrafficInSync", "False", "ShareMismatch")
    weight = shop.status["weight"]
    assert (weight["desired"], weight["observed"], weight["verified"]) == (10, 10, False)
    assert weight["measuredShare"] > 30
    assert "of the requests, the route says 10 %" in shop.condition("TrafficInSync")["message"]
    said = cluster.kubectl("sparkrelease", "status", shop.name, "-n", shop.namespace).stdout
    assert "ShareMismatch" in said or "of the requests" in said
    foreign.stop()
    shop.until_condition("TrafficInSync", "True")
    shop.until_condition("Promoted", timeout=90)
