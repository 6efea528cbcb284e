"""A breach changes a key of a ConfigMap instead of giving the release up; a rollback sets it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.cluster import User
from testbed.grants import let_operator
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

WORKER = "worker"
"""A Deployment that reads its settings at its start alone."""

FLAGS = {
    "configMap": "flags",
    "set": {"FLOOR": "0.65", "POLL": "90"},
    "restart": WORKER,
    "undoOnRollback": True,
    "cooldown": "1h",
}
STAGES = [{"name": "half", "weight": 50, "duration": "60s"}]


def values(shop: Shop) -> dict[str, Any]:
    """What the ConfigMap holds."""
    found: dict[str, Any] = shop.cluster.get("v1", "ConfigMap", "flags", shop.namespace)["data"]
    return found


def running(shop: Shop) -> set[str]:
    """Pods of the worker that are there and not on their way out."""
    pods = shop.cluster.list("v1", "Pod", shop.namespace, labels=f"app={WORKER}")
    return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def until_others_run(shop: Shop, than: set[str]) -> set[str]:
    """Waits until every pod of the worker is another one."""
    wait_for("other pods of the worker", lambda: running(shop).isdisjoint(than), timeout=60)
    shop.cluster.wait_rolled_out(shop.namespace, WORKER)
    return running(shop)


def test_a_breach_sets_the_keys_restarts_who_reads_them_holds_and_a_rollback_sets_them_back(
    operator: Operator, shop: Shop
) -> None:
    shop.cluster.deploy_app(shop.namespace, WORKER, "v1", wait=False)
    shop.open(replicas=1)
    shop.cluster.wait_rolled_out(shop.namespace, WORKER)
    flags = {"name": "flags", "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": flags, "data": {"FLOOR": "0.5", "X": "y"}})
    verbs = ("get", "patch")
    let_operator(shop.cluster, shop.namespace, "sparkrelease-mitigation", verbs, config_map="flags", deployment=WORKER)
    first = running(shop)
    shop.start_load(rps=50)
    slow = {"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.05}], "action": "mitigate"}
    shop.ship("v2", error=0.3, stages=STAGES, metrics=[ERRORS], triggers=[slow | {"mitigation": FLAGS}])
    wait_for("the keys are set", lambda: values(shop) == {"FLOOR": "0.65", "POLL": "90", "X": "y"}, timeout=60)
    shop.until("done", lambda s: any('"state":"done"' in one for one in s.get("mitigations", [])))
    assert shop.canary_weight() == 50, "it goes on"
    second = until_others_run(shop, than=first)

    mira = User("mira@example.org", ("system:masters",))
    done = shop.cluster.kubectl(
        "sparkrelease", "rollback", shop.name, "-n", shop.namespace, "--reason", "enough", identity=mira
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shop.until_phase("RolledBack")
    wait_for("the keys are back", lambda: values(shop) == {"FLOOR": "0.5", "X": "y"}, timeout=30)
    shop.until("nothing left to undo", lambda s: not s.get("mitigations"))
    until_others_run(shop, than=second)
