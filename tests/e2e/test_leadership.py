"""Two operators, one writer; and a leader that was frozen and comes back moves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.audit import AuditEvent
    from testbed.cluster import Cluster, Operator, OperatorInstance
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

RECORDER = "sparkrelease.dev/operator"
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
    name = wait_for("a leader", lambda: holder(cluster), timeout=20, expected=(ApiError,))
    first, second = pair.instances
    return (first, second) if name.startswith(first.identity) else (second, first)


def is_of(event: AuditEvent, instance: OperatorInstance) -> bool:
    """Whether a request is this process's: both have one account, and their user agents tell them apart."""
    return f"({instance.identity}_" in event.user_agent


def test_of_two_operators_one_writes(pair: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    leader, other = leader_and_other(cluster, pair)
    since = cluster.audit_cursor()
    shop.ship("v2")
    shop.until_condition("Promoted", timeout=60)
    shop.deploy("stable", "v2", wait=False)
    shop.until_settled("v2")
    wait_for(
        "the Event of the end",
        lambda: any(event["reason"] == "Settled" for event in cluster.list("v1", "Event", shop.namespace)),
    )
    log = list(cluster.audit_events(since))
    assert (leader.running, other.running) == (True, True)
    assert any(is_of(event, other) and event.resource == "leases" for event in log), "it waits for its turn"
    accounts = "system:serviceaccount:sparkrelease-system:"
    written = [e for e in log if e.writes and e.namespace == shop.namespace and e.user.startswith(accounts)]
    kinds = {(event.resource, event.subresource) for event in written}
    assert kinds >= {("sparkreleases", "status"), ("configmaps", ""), ("events", ""), ("httproutes", "")}
    assert [f"{event.verb} {event.name}: {event.user_agent}" for event in written if not is_of(event, leader)] == []
    told = [event for event in cluster.list("v1", "Event", shop.namespace) if event["reportingComponent"] == RECORDER]
    assert {event["reportingInstance"].partition("_")[0] for event in told} == {leader.identity}
    epochs = {
        event.response["metadata"]["annotations"]["sparkrelease.dev/epoch"]
        for event, weight in shop.weights_written(since)
        if event.user.startswith(accounts) and weight > 0  # a route at rest bears no mark
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
