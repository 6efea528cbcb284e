"""Two operators, one writer; and a leader that was frozen and comes back moves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator, OperatorInstance
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

LEASE = {"duration": "8s", "renew": "500ms", "deadline": "6s"}
LONG = [{"name": "quarter", "weight": 25, "duration": "5m"}]


@pytest.fixture
def pair(operators: SoleOperator) -> Operator:
    """Two operators on one Lease."""
    return operators.run(replicas=2, lease=LEASE)


def holder(cluster: Cluster) -> str:
    lease = cluster.get("coordination.k8s.io/v1", "Lease", "sparkrelease-operator", "sparkrelease-system")
    return str(lease["spec"].get("holderIdentity") or "")


def leader_and_other(cluster: Cluster, pair: Operator) -> tuple[OperatorInstance, OperatorInstance]:
    name = wait_for("a leader", lambda: holder(cluster), timeout=20)
    first, second = pair.instances
    return (first, second) if name.startswith(first.identity) else (second, first)


def test_of_two_operators_one_writes(pair: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    since = cluster.audit_cursor()
    shop.ship("v2")
    shop.until_condition("Promoted", timeout=60)
    epochs = {
        event.response["metadata"]["annotations"]["sparkrelease.dev/epoch"]
        for event, _ in shop.weights_written(since)
        if event.user.startswith("system:serviceaccount:sparkrelease-system:")
    }
    assert len(epochs) == 1, "each time somebody takes the Lease is another epoch"
    lease = cluster.get("coordination.k8s.io/v1", "Lease", "sparkrelease-operator", "sparkrelease-system")
    assert epochs == {str(lease["spec"]["leaseTransitions"])}


def test_the_other_takes_over_when_the_leader_is_killed(pair: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    since = cluster.audit_cursor()
    shop.ship("v2")
    shop.until_written(25, since)
    leader, other = leader_and_other(cluster, pair)
    leader.kill()
    wait_for("takeover", lambda: holder(cluster).startswith(other.identity), timeout=40)
    shop.until_condition("Promoted", timeout=60)


def test_a_leader_frozen_past_its_lease_moves_nothing_when_it_comes_back(
    pair: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    leader, other = leader_and_other(cluster, pair)
    leader.freeze()
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    wait_for("takeover", lambda: holder(cluster).startswith(other.identity), timeout=40)
    shop.until_condition("RolledBack", timeout=30)
    since = cluster.audit_cursor()
    leader.thaw()
    wait_for("the old leader ends itself", lambda: not leader.running, timeout=20)
    assert [weight for _, weight in shop.weights_written(since) if weight > 0] == []
    assert shop.canary_weight() == 0
