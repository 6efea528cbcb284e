"""A breach changes a key of a ConfigMap instead of giving the release up; a rollback sets it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.cluster import User
from testbed.product import OPERATOR
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

FLAGS = {"configMap": "flags", "set": {"FLOOR": "0.65", "POLL": "90"}, "undoOnRollback": True, "cooldown": "1h"}
STAGES = [{"name": "half", "weight": 50, "duration": "60s"}]


def values(shop: Shop) -> dict[str, Any]:
    """What the ConfigMap holds."""
    found: dict[str, Any] = shop.cluster.get("v1", "ConfigMap", "flags", shop.namespace)["data"]
    return found


def let_it_patch(shop: Shop) -> None:
    """The Role a team gives the operator for this one ConfigMap."""
    meta = {"name": "sparkrelease-mitigation", "namespace": shop.namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["flags"], "verbs": ["get", "patch"]}
    subject = {"kind": "ServiceAccount", "name": OPERATOR.name, "namespace": OPERATOR.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": meta["name"]}
    shop.cluster.apply({"apiVersion": rbac, "kind": "Role", "metadata": meta, "rules": [rule]})
    shop.cluster.apply(
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [subject]}
    )


def test_a_breach_sets_the_keys_holds_and_a_rollback_sets_them_back(operator: Operator, shop: Shop) -> None:
    shop.open()
    flags = {"name": "flags", "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": flags, "data": {"FLOOR": "0.5", "X": "y"}})
    let_it_patch(shop)
    shop.start_load(rps=50)
    slow = {"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.05}], "action": "mitigate"}
    shop.ship("v2", error=0.3, stages=STAGES, metrics=[ERRORS], triggers=[slow | {"mitigation": FLAGS}])
    wait_for("the keys are set", lambda: values(shop) == {"FLOOR": "0.65", "POLL": "90", "X": "y"}, timeout=60)
    shop.until("done", lambda s: any('"state":"done"' in one for one in s.get("mitigations", [])))
    assert shop.canary_weight() == 50, "it goes on"

    mira = User("mira@example.org", ("system:masters",))
    done = shop.cluster.kubectl(
        "sparkrelease", "rollback", shop.name, "-n", shop.namespace, "--reason", "enough", identity=mira
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shop.until_phase("RolledBack")
    wait_for("the keys are back", lambda: values(shop) == {"FLOOR": "0.5", "X": "y"}, timeout=30)
    shop.until("nothing left to undo", lambda s: not s.get("mitigations"))
