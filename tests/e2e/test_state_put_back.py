"""A status that comes back from a backup: no weight rises on it, and what was rolled back since stays so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from testbed.evidence import checked
from testbed.kubeapi import KubeObject
from testbed.shop import API_VERSION, KIND
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

STAGES = [
    {"name": "five", "weight": 5, "duration": "4s"},
    {"name": "quarter", "weight": 25, "duration": "4s"},
    {"name": "half", "weight": 50, "duration": "5m"},
]


def put_back(cluster: Cluster, operators: SoleOperator, shop: Shop, status: KubeObject) -> None:
    """What a restored backup does to one object, while no operator runs; then one starts."""
    operators.stop()
    patch = [{"op": "add", "path": "/status", "value": status}]
    cluster.patch(API_VERSION, KIND, shop.name, shop.namespace, patch, subresource="status")
    operators.run()


def command(cluster: Cluster, shop: Shop, verb: str) -> None:
    done = cluster.kubectl("sparkrelease", verb, shop.name, "-n", shop.namespace)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(240)
def test_a_status_older_than_its_evidence_is_held_low_until_a_person_says_resume(
    operators: SoleOperator, cluster: Cluster, shop: Shop
) -> None:
    operators.run()
    shop.open()
    shop.start_load(rps=150)
    shop.ship("v2", stages=STAGES)
    shop.until_weight(5)
    old = dict(shop.until("verified at five", lambda s: s["weight"]["verified"] and s["weight"]["observed"] == 5))
    shop.until_weight(50)
    shop.until("stored at half", lambda s: s["stage"]["name"] == "half" and not s.get("pendingEvidence"))
    since = cluster.audit_cursor()
    put_back(cluster, operators, shop, old)
    shop.until_condition("Stalled", "True", "StateRegressed", timeout=40)
    assert {weight for _, weight in shop.weights_written(since)} <= {5, 50}
    assert shop.canary_weight() == 5
    evidence = checked(shop)
    told = evidence.last("StateRegressed")["message"]
    assert told.startswith(f"the status is older than the evidence of run {old['run']['id']}, which goes on to entry ")
    assert told.endswith("(stage half (3/3): canary weight 50); held at 5 %")

    command(cluster, shop, "resume")
    shop.until_weight(50, timeout=40)
    assert checked(shop).kinds[-1] == "StageEntered"


def test_a_rollback_that_the_status_has_forgotten_is_not_undone(
    operators: SoleOperator, cluster: Cluster, shop: Shop
) -> None:
    operators.run()
    shop.open()
    shop.start_load(rps=150)
    shop.release("v2", stages=STAGES)
    before = dict(shop.until("at rest", lambda s: s.get("phase") in {"Succeeded", "Pending"}))
    shop.ship("v2", stages=STAGES)
    shop.until_weight(25)
    during = dict(shop.until("verified at 25", lambda s: s["weight"]["verified"] and s["weight"]["observed"] == 25))
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    shop.until_phase("RolledBack")
    wait_for("the finalizer gone", lambda: not shop.get()["metadata"].get("finalizers"), timeout=10)
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.0)
    since = cluster.audit_cursor()
    put_back(cluster, operators, shop, during)
    shop.until_condition("RolledBack", "True", "StateRegressed", timeout=40)
    assert checked(shop).closed_by == "RolledBack"

    put_back(cluster, operators, shop, before)
    shop.until_condition("Stalled", "True", "VersionRefused", timeout=40)
    assert {weight for _, weight in shop.weights_written(since)} <= {0}
    events = json.loads(cluster.kubectl("get", "events", "-n", shop.namespace, "-o", "json").stdout)["items"]
    assert "StateRegressed" in {event["reason"] for event in events}
