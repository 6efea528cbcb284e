"""What people and the operator may do with the rights the manifests give, asked of the real API server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from testbed import product
from testbed.cluster import User
from testbed.kubeapi import ApiError
from testbed.paths import PROJECT
from testbed.product import OPERATOR, PRUNER
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Identity
    from testbed.kubeapi import KubeApi, KubeObject

RELEASE = ("sparkrelease.dev/v1alpha1", "SparkRelease", "shop")
READER = User("reader@example.org", ("readers",))


def may(cluster: Cluster, identity: Identity, verb: str, resource: str, *more: str) -> bool:
    return cluster.kubectl("auth", "can-i", verb, resource, *more, identity=identity).stdout.strip() == "yes"


def test_a_developer_runs_releases_and_cannot_write_their_status(
    cluster: Cluster, ns: str, jane: KubeApi, release: KubeObject
) -> None:
    wait_for("the edit role counts", lambda: jane.create(release), expected=(ApiError,), every=0.2)
    jane.patch(*RELEASE, ns, {"spec": {"paused": True}})
    assert jane.list("sparkrelease.dev/v1alpha1", "SparkRelease", ns)
    with pytest.raises(ApiError, match="sparkreleases/status") as refused:
        jane.patch(*RELEASE, ns, {"status": {"phase": "Succeeded"}}, subresource="status")
    assert refused.value.code == 403
    jane.delete(*RELEASE, ns)


def test_who_may_view_sees_releases_and_policies_and_changes_none(
    cluster: Cluster, ns: str, release: KubeObject
) -> None:
    cluster.create(release)
    cluster.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "readers", "namespace": ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "readers"}],
        }
    )
    reader = cluster.client(READER)
    wait_for("the view role counts", lambda: reader.get(*RELEASE, ns), expected=(ApiError,), every=0.2)
    with pytest.raises(ApiError, match="cannot patch"):
        reader.patch(*RELEASE, ns, {"spec": {"paused": True}})


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "configmaps"),
        ("update", "configmaps"),
        ("delete", "configmaps"),
        ("update", "services"),
        ("update", "deployments.apps"),
        ("delete", "pods"),
        ("create", "sparkreleases.sparkrelease.dev"),
        ("delete", "sparkreleases.sparkrelease.dev"),
        ("create", "releasepolicies.sparkrelease.dev"),
        ("create", "serviceaccounts/token"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ],
)
def test_the_operator_may_not(cluster: Cluster, ns: str, verb: str, resource: str) -> None:
    assert not may(cluster, OPERATOR, verb, resource, "-n", ns)


def test_the_operators_lease_is_the_only_one_it_may_change(cluster: Cluster) -> None:
    system = ("-n", OPERATOR.namespace)
    assert may(cluster, OPERATOR, "update", "leases.coordination.k8s.io/sparkrelease-operator", *system)
    assert not may(cluster, OPERATOR, "update", "leases.coordination.k8s.io/another", *system)
    assert not may(cluster, OPERATOR, "create", "leases.coordination.k8s.io", "-n", "kube-system")


def test_the_pruner_may_delete_config_maps_and_read_none(cluster: Cluster, ns: str) -> None:
    assert may(cluster, PRUNER, "delete", "configmaps", "-n", ns)
    assert not may(cluster, PRUNER, "get", "configmaps", "-n", ns)
    assert not may(cluster, PRUNER, "list", "sparkreleases.sparkrelease.dev", "-n", ns)


def test_the_operators_pod_is_admitted_under_the_restricted_standard(cluster: Cluster) -> None:
    (deployment,) = (obj for obj in product.objects() if obj["kind"] == "Deployment")
    ns = cluster.namespace(labels={"pod-security.kubernetes.io/enforce": "restricted"})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": ns},
        "spec": {**deployment["spec"]["template"]["spec"], "serviceAccountName": "default"},
    }
    assert cluster.api.request("POST", f"/api/v1/namespaces/{ns}/pods", pod, query={"dryRun": "All"})
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(ApiError, match="restricted"):
        cluster.api.request("POST", f"/api/v1/namespaces/{ns}/pods", pod, query={"dryRun": "All"})
    cluster.delete("v1", "Namespace", ns)


@pytest.mark.parametrize("folder", ["manifests", "manifests/install", "manifests/namespaced"])
def test_kubectl_installs_each_variant(cluster: Cluster, folder: str) -> None:
    done = cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(PROJECT / folder)
    )
    assert done.returncode == 0, done.stderr
    assert "deployment.apps/sparkrelease-operator" in done.stdout


def test_a_team_gets_its_role_in_its_own_namespace(cluster: Cluster, ns: str) -> None:
    done = cluster.kubectl("-n", ns, "apply", "-k", str(PROJECT / "manifests/namespaced/team"))
    assert done.returncode == 0, done.stderr
    names = {obj["metadata"]["name"] for obj in cluster.list("rbac.authorization.k8s.io/v1", "RoleBinding", ns)}
    assert names == {"sparkrelease-operator", "sparkrelease-pruner"}


def test_mitigations_may_change_what_a_team_names_and_nothing_else(cluster: Cluster, ns: str) -> None:
    assert not may(cluster, OPERATOR, "patch", "configmaps/release-settings", "-n", ns)
    done = cluster.kubectl("-n", ns, "apply", "-k", str(PROJECT / "manifests/namespaced/mitigation"))
    assert done.returncode == 0, done.stderr
    wait_for(
        "the role counts", lambda: may(cluster, OPERATOR, "patch", "configmaps/release-settings", "-n", ns), every=0.2
    )
    assert may(cluster, OPERATOR, "patch", "deployments.apps/shop-worker", "-n", ns)
    assert not may(cluster, OPERATOR, "patch", "configmaps/shop-release-evidence-000", "-n", ns)
    assert not may(cluster, OPERATOR, "update", "configmaps/release-settings", "-n", ns)


def test_a_feature_flag_may_be_watched_and_moved_by_its_name_and_no_other_one(cluster: Cluster, ns: str) -> None:
    done = cluster.kubectl("-n", ns, "apply", "-k", str(PROJECT / "manifests/namespaced/feature-flag"))
    assert done.returncode == 0, done.stderr
    flag = "configmaps/shop-flags"
    wait_for("the role counts", lambda: may(cluster, OPERATOR, "patch", flag, "-n", ns), every=0.2)
    assert may(cluster, OPERATOR, "watch", flag, "-n", ns)
    assert not may(cluster, OPERATOR, "watch", "configmaps", "-n", ns)
    assert not may(cluster, OPERATOR, "patch", "configmaps/other-flags", "-n", ns)


def test_the_optional_network_policy_joins_an_installation(cluster: Cluster, tmp_path: Path) -> None:
    here = tmp_path / "overlay"
    here.mkdir()
    relative = Path(*[".."] * len(here.parts[1:])) / PROJECT.relative_to("/")
    overlay = {
        "resources": [str(relative / "manifests/base")],
        "components": [str(relative / "manifests/components/network-policy")],
    }
    (here / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    done = cluster.kubectl("kustomize", str(here))
    assert done.returncode == 0, done.stderr
    assert "NetworkPolicy" in done.stdout
