"""Who asks in the suite's name: the operator's lanes, and those of an account that may only read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cluster import ServiceAccount
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster

_RBAC = "rbac.authorization.k8s.io/v1"


def reader_of(cluster: Cluster, namespace: str) -> Path:
    """Kubeconfig of an account that may read everything and write nothing."""
    account = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"reader-{namespace}"}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    name = {"name": role["name"]}
    cluster.apply({"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": name, "rules": rules})
    cluster.apply(
        {"apiVersion": _RBAC, "kind": "ClusterRoleBinding", "metadata": name, "roleRef": role, "subjects": [account]}
    )
    return wait_for("account", lambda: cluster.kubeconfig(ServiceAccount(namespace, "default")))
