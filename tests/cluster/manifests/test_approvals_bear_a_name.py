"""A signature bears the name and the groups of who gives it: forged ones are refused by the API server itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from testbed.cluster import User
from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeApi, KubeObject

API = "sparkrelease.dev/v1alpha1"
RBAC = "rbac.authorization.k8s.io/v1"
CTO = User("cto@example.org", ("board", "approvers"))


def signature(by: str = CTO.name, **spec: object) -> KubeObject:
    body: dict[str, Any] = {"release": {"name": "shop", "uid": "u-1"}, "run": "v2-6c1f0a", "decision": "GO"}
    return {
        "apiVersion": API,
        "kind": "ReleaseApproval",
        "metadata": {"generateName": "shop-"},
        "spec": {**body, "approvedBy": by, **spec},
    }


def create(api: KubeApi, ns: str, body: KubeObject) -> KubeObject:
    return api.request("POST", f"/apis/{API}/namespaces/{ns}/releaseapprovals", body)


@pytest.fixture
def cto(cluster: Cluster, ns: str) -> KubeApi:
    """Somebody who may approve in this namespace, by the role that is shipped, on an API server that enforces it."""
    cluster.apply(
        {
            "apiVersion": RBAC,
            "kind": "RoleBinding",
            "metadata": {"name": "approvers", "namespace": ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sparkrelease-approve"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "approvers"}],
        }
    )
    client = cluster.client(CTO)

    def enforced() -> bool:
        try:
            create(client, ns, signature("somebody else"))
        except ApiError as error:
            return "bears the name" in error.message
        return False

    wait_for("the approval policy is enforced", enforced, every=0.2)
    return client


def test_an_approver_signs_in_her_own_name_and_groups(cto: KubeApi, ns: str) -> None:
    stored = create(cto, ns, signature(groups=["board"], items=["backups"]))
    assert stored["spec"]["approvedBy"] == CTO.name
    assert create(cto, ns, signature())["spec"].get("groups") is None


@pytest.mark.parametrize("name", ["bob@example.org", "cto@example.or", "cto@example.org ", "CTO@example.org", "board"])
def test_nobody_signs_for_somebody_else(cto: KubeApi, ns: str, name: str) -> None:
    with pytest.raises(ApiError, match=r"spec\.approvedBy must be cto@example\.org") as refused:
        create(cto, ns, signature(name))
    assert refused.value.code == 403


def test_an_administrator_signs_for_nobody_else_either(cto: KubeApi, cluster: Cluster, ns: str) -> None:
    with pytest.raises(ApiError, match="bears the name"):
        create(cluster.api, ns, signature())


@pytest.mark.parametrize("groups", [["finance"], ["board", "finance"], ["system:masters"]])
def test_nobody_signs_for_a_group_they_are_not_in(cto: KubeApi, ns: str, groups: list[str]) -> None:
    with pytest.raises(ApiError, match="only groups that its signer is in") as refused:
        create(cto, ns, signature(groups=groups))
    assert refused.value.code == 403


def test_an_impersonator_signs_as_whom_they_impersonate_and_as_nobody_else(
    cto: KubeApi, cluster: Cluster, ns: str
) -> None:
    told = cluster.kubectl(
        "create", "-f", "-", "-n", ns, "--as", "bob@example.org", "--as-group", "approvers", stdin=_yaml(signature())
    )
    assert told.returncode != 0
    assert "spec.approvedBy must be bob@example.org" in told.stderr
    own = _yaml(signature("bob@example.org", groups=["approvers"]))
    told = cluster.kubectl(
        "create", "-f", "-", "-n", ns, "--as", "bob@example.org", "--as-group", "approvers", stdin=own
    )
    assert told.returncode == 0, told.stderr


def test_who_may_edit_releases_may_not_approve_them(cto: KubeApi, jane: KubeApi, ns: str) -> None:
    with pytest.raises(ApiError, match='cannot create resource "releaseapprovals"') as refused:
        create(jane, ns, signature("jane@example.org"))
    assert refused.value.code == 403


def test_who_may_approve_changes_and_deletes_no_signature(cto: KubeApi, ns: str) -> None:
    stored = create(cto, ns, signature())
    name = stored["metadata"]["name"]
    with pytest.raises(ApiError, match="cannot patch"):
        cto.patch(API, "ReleaseApproval", name, ns, {"spec": {"decision": "GO"}})
    with pytest.raises(ApiError, match="cannot delete"):
        cto.delete(API, "ReleaseApproval", name, ns)


def test_the_operator_signs_nothing(operator_api: KubeApi, cto: KubeApi, ns: str) -> None:
    name = "system:serviceaccount:sparkrelease-system:sparkrelease-operator"
    with pytest.raises(ApiError, match="cannot create"):
        create(operator_api, ns, signature(name))


# ---------------------------------------------------------------- for which run


def started(cluster: Cluster, ns: str, body: KubeObject, **run: str) -> KubeObject:
    """A release with this run in its status, as the operator writes it."""
    made = cluster.apply(body)
    at = {"startedAt": "2026-01-05T12:00:00.000Z", "stableFingerprint": "s", "canaryFingerprint": "c"}
    status = {"phase": "AwaitingApproval", "run": {"version": "v2", "specDigest": "sha256:0", **at, **run}}
    cluster.patch(API, "SparkRelease", body["metadata"]["name"], ns, {"status": status}, subresource="status")
    return made


def taken(cto: KubeApi, ns: str, **spec: object) -> bool:
    """Whether the API server keeps the signature; ApiError for what another policy refuses."""
    try:
        create(cto, ns, signature(**spec))
    except ApiError as error:
        if "sparkrelease-approval-run" not in error.message:
            raise
        return False
    return True


def frozen_after(cto: KubeApi, cluster: Cluster, ns: str, release: KubeObject) -> dict[str, Any]:
    """What lifts the freeze of a release with two runs behind it and one under way, all known to the policy."""
    uid = started(cluster, ns, release, id="v1-111111")["metadata"]["uid"]
    ended = {"outcome": "Settled", "startedAt": "2026-01-05T12:00:00.000Z", "endedAt": "2026-01-05T13:00:00.000Z"}
    history = [{"run": run, "version": run.partition("-")[0], **ended} for run in ("v1-111111", "v0-000000")]
    cluster.patch(API, "SparkRelease", "shop", ns, {"status": {"history": history}}, subresource="status")
    started(cluster, ns, release, id="v2-6c1f0a")
    about = {"release": {"name": "shop", "uid": uid}}
    wait_for("the run is known to the policy", lambda: taken(cto, ns, **about), every=0.05, timeout=5)
    return {**about, "overrides": ["freeze"]}


def test_the_run_under_way_is_signed_for_and_no_other(
    cto: KubeApi, cluster: Cluster, ns: str, release: KubeObject
) -> None:
    other = {**release, "metadata": {**release["metadata"], "name": "other"}}
    started(cluster, ns, other, id="v9-999999")
    made = started(cluster, ns, release, id="v2-6c1f0a")
    about = {"release": {"name": "shop", "uid": made["metadata"]["uid"]}}
    wait_for("the run is known to the policy", lambda: taken(cto, ns, **about), every=0.05, timeout=5)
    assert create(cto, ns, signature(**about, decision="NO-GO", comment="no"))

    with pytest.raises(ApiError, match=r"spec\.run must be v2-6c1f0a") as refused:
        create(cto, ns, signature(**about, run="v1-000000"))
    assert refused.value.code == 403
    with pytest.raises(ApiError, match=r"spec\.run must be v2-6c1f0a"):
        create(cto, ns, signature(**about, run="v9-999999"))
    with pytest.raises(ApiError, match=r"spec\.release\.uid is that of another object"):
        create(cto, ns, signature(release={"name": "shop", "uid": "u-1"}))

    started(cluster, ns, release, id="v2-777777")
    wait_for("the new run is known to the policy", lambda: not taken(cto, ns, **about), every=0.05, timeout=5)
    assert taken(cto, ns, **about, run="v2-777777")
    started(cluster, ns, release, id="v2-777777", end="Blocked")
    wait_for("the end is known", lambda: not taken(cto, ns, **about, run="v2-777777"), every=0.05, timeout=5)
    with pytest.raises(ApiError, match="run v2-777777 is over; nothing waits for a signature"):
        create(cto, ns, signature(**about, run="v2-777777"))


def test_a_freeze_is_lifted_for_the_next_run_and_the_one_under_way(
    cto: KubeApi, cluster: Cluster, ns: str, release: KubeObject
) -> None:
    about = frozen_after(cto, cluster, ns, release)
    assert create(cto, ns, signature(**about, run="v3-000000")), "no status knows the next run's id"
    assert create(cto, ns, signature(**about)), "it may wait for its first weight"


def test_a_freeze_is_lifted_for_no_other_object_of_the_releases_name(
    cto: KubeApi, cluster: Cluster, ns: str, release: KubeObject
) -> None:
    about = frozen_after(cto, cluster, ns, release)
    for run in ("v3-000000", "v2-6c1f0a"):
        with pytest.raises(ApiError, match=r"spec\.release\.uid is that of another object") as refused:
            create(cto, ns, signature(**about | {"release": {"name": "shop", "uid": "u-1"}}, run=run))
        assert refused.value.code == 403


def test_a_freeze_is_lifted_for_no_run_that_is_over(
    cto: KubeApi, cluster: Cluster, ns: str, release: KubeObject
) -> None:
    about = frozen_after(cto, cluster, ns, release)
    for run in ("v1-111111", "v0-000000"):
        with pytest.raises(ApiError, match=f"run {run} is over; nothing waits for a signature") as refused:
            create(cto, ns, signature(**about, run=run))
        assert refused.value.code == 403
    started(cluster, ns, release, id="v2-6c1f0a", end="RolledBack")
    wait_for("the end is known", lambda: not taken(cto, ns, **about), every=0.05, timeout=5)
    with pytest.raises(ApiError, match="run v2-6c1f0a is over; nothing waits for a signature"):
        create(cto, ns, signature(**about))


def _yaml(body: KubeObject) -> str:
    return json.dumps(body)  # which is YAML
