"""Rights that a team gives the operator in its own namespace, object by object: what `manifests/namespaced` shows."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.cluster import Cluster
from testbed.product import OPERATOR

_GROUP = "rbac.authorization.k8s.io"


def let_operator(
    cluster: Cluster, namespace: str, role: str, verbs: Sequence[str], *, config_map: str, deployment: str = ""
) -> None:
    """Makes a Role of that name for one ConfigMap, and for one Deployment where it is named, and binds it."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [config_map], "verbs": list(verbs)}]
    if deployment:
        of_apps = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [deployment]}
        rules.append(of_apps | {"verbs": list(verbs)})
    meta = {"name": role, "namespace": namespace}
    subject = {"kind": "ServiceAccount", "name": OPERATOR.name, "namespace": OPERATOR.namespace}
    reference = {"apiGroup": _GROUP, "kind": "Role", "name": role}
    cluster.apply({"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": meta, "rules": rules})
    binding = {"apiVersion": f"{_GROUP}/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": reference}
    cluster.apply(binding | {"subjects": [subject]})
