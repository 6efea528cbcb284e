"""Evidence that vanishes in the middle of a run: no weight rises on it, people are told, and a rollback never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.evidence import checked
from testbed.kubeapi import KubeObject
from testbed.product import OPERATOR, PRUNER

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

STAGES = [{"name": "quarter", "weight": 25, "duration": "5s"}, {"name": "half", "weight": 50, "duration": "5m"}]
HOLDS = "evidence of this run is not whole: "


def without_its_beginning(cluster: Cluster, shop: Shop) -> KubeObject:
    """A run held at 25 % whose first ConfigMap of evidence somebody deleted; what was in it."""
    shop.open()
    shop.start_load(rps=150)
    shop.ship("v2", stages=STAGES)
    shop.until_weight(25)
    name = shop.until("evidence", lambda s: bool(s["evidence"].get("configMaps")))["evidence"]["configMaps"][0]
    first = cluster.get("v1", "ConfigMap", name, shop.namespace)
    cluster.client(PRUNER).delete("v1", "ConfigMap", name, shop.namespace)
    shop.until_condition("EvidenceComplete", "False", "EvidenceMissing", timeout=30)
    shop.until_condition("Stalled", "True", "EvidenceMissing", timeout=10)
    assert shop.condition("EvidenceComplete")["message"] == f"ConfigMap {name} is gone"
    assert f"holding: {HOLDS}ConfigMap {name} is gone" in shop.condition("Ready")["message"]
    assert shop.canary_weight() == 25
    return first


def again(cluster: Cluster, body: KubeObject, text: str) -> None:
    """Creates the ConfigMap anew, with this text."""
    kept = {key: body["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept, "immutable": True}
    cluster.client(OPERATOR).create({**named, "data": {"entries.jsonl": text}})


def test_a_run_without_its_evidence_is_held_found_by_verify_and_rolled_back_at_once_when_bad(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    without_its_beginning(cluster, shop)
    verified = cluster.kubectl("sparkrelease", "evidence", "verify", shop.name, "-n", shop.namespace)
    assert verified.returncode != 0, verified.stdout
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    shop.until_condition("RolledBack", "True", "TriggerFired", timeout=20)
    assert shop.status["rollback"]["seconds"] <= 1.0
    assert shop.canary_weight() == 0


def test_a_run_whose_evidence_was_changed_is_held_until_it_is_as_it_was(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    first = without_its_beginning(cluster, shop)
    text = first["data"]["entries.jsonl"]
    again(cluster, first, text.replace("on trial against", "as good as"))
    shop.until_condition("EvidenceComplete", "False", "EvidenceDiffers", timeout=20)
    assert shop.canary_weight() == 25
    cluster.client(PRUNER).delete("v1", "ConfigMap", first["metadata"]["name"], shop.namespace)
    again(cluster, first, text)
    shop.until_weight(50, timeout=30)
    shop.until_condition("EvidenceComplete", "True", timeout=10)
    kinds = checked(shop).kinds
    assert "EvidenceMissing" in kinds, "that it was gone is evidence, too"
    assert kinds[-2:] == ["GatePassed", "StageEntered"]
