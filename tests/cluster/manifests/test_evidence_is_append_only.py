"""Evidence is created by the operator, changed by nobody and deleted by the pruner: the API server sees to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeApi, KubeObject

LABELS = {"sparkrelease.dev/evidence": "true", "sparkrelease.dev/release": "shop", "sparkrelease.dev/run": "v1-abcdef"}
EVIDENCE = ("v1", "ConfigMap", "shop-v1-evidence-000")
PLAIN = ("v1", "ConfigMap", "plain")


def config_map(ns: str, name: str, labels: dict[str, str] | None = None, *, immutable: bool = False) -> KubeObject:
    meta = {"name": name, "namespace": ns, "labels": labels or {}}
    data = {"entries.jsonl": "{}\n"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data, "immutable": immutable}


def evidence(ns: str, name: str = EVIDENCE[2]) -> KubeObject:
    return config_map(ns, name, LABELS, immutable=True)


def refused(client: KubeApi, verb: str, *args: object) -> str:
    """The words with which the API server refuses."""
    with pytest.raises(ApiError) as refusal:
        getattr(client, verb)(*args)
    assert refusal.value.code == 403, refusal.value
    return refusal.value.message


@pytest.fixture
def stored(cluster: Cluster, ns: str, operator_api: KubeApi) -> KubeObject:
    """One piece of evidence, and an API server that enforces the policies already."""

    def enforced() -> bool:
        try:
            cluster.create(evidence(ns, "probe"))
        except ApiError as error:
            return error.code == 403
        return False

    wait_for("the evidence policy is enforced", enforced, every=0.2)
    return operator_api.create(evidence(ns))


def test_nobody_but_the_operator_creates_evidence(stored: KubeObject, ns: str, cluster: Cluster, jane: KubeApi) -> None:
    for client in (cluster.api, jane):
        assert "only the operator creates evidence" in refused(client, "create", evidence(ns, "forged"))


def test_a_plain_config_map_does_not_become_evidence(stored: KubeObject, ns: str, jane: KubeApi) -> None:
    jane.create(config_map(ns, "plain"))
    assert "labels" in refused(jane, "patch", *PLAIN, ns, {"metadata": {"labels": LABELS}})


def test_evidence_does_not_become_a_plain_config_map(stored: KubeObject, ns: str, cluster: Cluster) -> None:
    for name in LABELS:
        assert "labels" in refused(cluster.api, "patch", *EVIDENCE, ns, {"metadata": {"labels": {name: None}}})


@pytest.mark.parametrize("change", [{"data": {"entries.jsonl": "{}"}}, {"data": {"more": ""}}, {"immutable": False}])
def test_nobody_changes_what_it_says(stored: KubeObject, ns: str, cluster: Cluster, change: KubeObject) -> None:
    with pytest.raises(ApiError) as refusal:  # the schema's own check of `immutable` may be the one to answer
        cluster.patch(*EVIDENCE, ns, change)
    assert refusal.value.code in (403, 422)
    assert cluster.get(*EVIDENCE, ns)["data"] == {"entries.jsonl": "{}\n"}


def test_others_may_add_labels_of_their_own(stored: KubeObject, ns: str, cluster: Cluster) -> None:
    after = cluster.patch(*EVIDENCE, ns, {"metadata": {"labels": {"example.org/archived": "yes"}}})
    assert after["metadata"]["labels"]["example.org/archived"] == "yes"


def test_only_the_pruner_deletes_it(
    stored: KubeObject, ns: str, cluster: Cluster, jane: KubeApi, pruner_api: KubeApi
) -> None:
    for client in (cluster.api, jane):
        assert "only the account sparkrelease-pruner" in refused(client, "delete", *EVIDENCE, ns)
    pruner_api.delete(*EVIDENCE, ns)
    assert cluster.list("v1", "ConfigMap", ns, labels="sparkrelease.dev/evidence") == []


def test_the_operator_neither_changes_nor_deletes_evidence_even_where_a_role_lets_it(
    stored: KubeObject, ns: str, cluster: Cluster, operator_api: KubeApi
) -> None:
    grant_all(cluster, ns, "sparkrelease-operator")
    wait_for("the grant counts", lambda: operator_api.list("v1", "ConfigMap", ns), expected=(ApiError,))
    wish = {"metadata": {"labels": {"example.org/archived": "yes"}}}
    assert "the operator" in refused(operator_api, "patch", *EVIDENCE, ns, wish)
    assert "pruner" in refused(operator_api, "delete", *EVIDENCE, ns)
    cluster.create(config_map(ns, "plain"))
    assert "no ConfigMap but evidence" in refused(operator_api, "delete", *PLAIN, ns)


def test_the_operator_creates_nothing_but_immutable_evidence(
    stored: KubeObject, ns: str, operator_api: KubeApi
) -> None:
    assert "no ConfigMap but evidence" in refused(operator_api, "create", config_map(ns, "plain"))
    assert "immutable" in refused(operator_api, "create", config_map(ns, "loose", LABELS))


def test_the_pruner_deletes_nothing_but_evidence(
    stored: KubeObject, ns: str, cluster: Cluster, pruner_api: KubeApi
) -> None:
    cluster.create(config_map(ns, "plain"))
    assert "no ConfigMap but evidence" in refused(pruner_api, "delete", *PLAIN, ns)


def test_a_namespace_goes_away_with_its_evidence(cluster: Cluster, operator_api: KubeApi) -> None:
    ns = cluster.namespace()
    operator_api.create(evidence(ns))
    cluster.delete("v1", "Namespace", ns)

    def gone() -> bool:
        return not cluster.list("v1", "ConfigMap", ns)

    wait_for(f"evidence of {ns} is gone", gone, timeout=60, every=0.2)


def grant_all(cluster: Cluster, ns: str, account: str) -> None:
    """Gives an account of the operator every right in a namespace, as a careless administrator would."""
    cluster.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "careless", "namespace": ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "sparkrelease-system"}],
        }
    )
