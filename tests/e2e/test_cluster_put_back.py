"""The cluster's own store is restored from a backup under an operator that knows better: nothing rises any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.local import LocalCluster
from testbed.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

STAGES = [
    {"name": "five", "weight": 5, "duration": "4s"},
    {"name": "quarter", "weight": 25, "duration": "4s"},
    {"name": "half", "weight": 50, "duration": "5m"},
]
PATIENT = {"duration": "170s", "renew": "2s", "deadline": "160s"}
"""A Lease that outlasts the restoration, so that the process that knows better goes on."""


@pytest.fixture
def local(cluster: Cluster) -> LocalCluster:
    if not isinstance(cluster, LocalCluster):
        pytest.skip("a kubelet that goes on over a store put back ends pods of other tests: the local lane has none")
    return cluster


@pytest.fixture
def restored_shop(local: LocalCluster) -> Iterator[Shop]:
    """A shop that nobody watches for promises: versions are given a second time, so that writes have no order."""
    shop = Shop(local, local.namespace("restored"))
    yield shop
    shop.close()


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_what_a_backup_has_forgotten_is_not_done_again_by_itself(
    operators: SoleOperator, local: LocalCluster, restored_shop: Shop
) -> None:
    shop = restored_shop
    operator = operators.run(lease=PATIENT)
    shop.open()
    shop.start_load(rps=100, duration=300)
    shop.ship("v2", stages=STAGES)
    shop.until("verified at five", lambda s: s["weight"]["verified"] and s["weight"]["observed"] == 5)
    backup = local.back_up()
    shop.until_weight(50)
    shop.until("stored at half", lambda s: s["stage"]["name"] == "half" and not s.get("pendingEvidence"))
    since = local.audit_cursor()
    local.put_back(backup)
    assert shop.canary_weight() == 5
    shop.until_condition("Stalled", "True", "StateRegressed", timeout=120)
    assert operator.running
    assert {weight for _, weight in shop.weights_written(since)} <= {5}
    local.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    shop.until_condition("RolledBack", "True", "TriggerFired", timeout=60)
    assert shop.canary_weight() == 0
