"""What the manifests give and ask for, read from the files as they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkrelease import __version__
from sparkrelease.__main__ import read_config
from sparkrelease.api.config import OperatorConfig

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = ROOT / "manifests"
ALLOWED = Path(__file__).with_name("rbac-allowed.txt")
ROLES = {"Role", "ClusterRole"}

Manifest = dict[str, Any]


@cache
def every_manifest() -> tuple[Manifest, ...]:
    paths = sorted(MANIFESTS.rglob("*.yaml"))
    return tuple(body for path in paths for body in yaml.safe_load_all(path.read_text()))


def manifests(*kinds: str) -> Iterator[Manifest]:
    """Those of these kinds, or all; nobody may change them."""
    return (body for body in every_manifest() if body["kind"] in kinds or not kinds)


def deployment() -> Manifest:
    (found,) = manifests("Deployment")
    return found


def rights() -> Iterator[str]:
    for role in manifests(*ROLES):
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    names = f" ({' '.join(rule['resourceNames'])})" if "resourceNames" in rule else ""
                    verbs = " ".join(rule["verbs"])
                    yield f"{role['kind']} {role['metadata']['name']}: {group}/{resource}{names} {verbs}"


def test_the_rights_given_are_exactly_those_on_the_list() -> None:
    allowed = [line for line in ALLOWED.read_text().splitlines() if not line.startswith("#")]
    assert sorted(rights()) == sorted(allowed)


def test_no_right_is_a_wildcard_or_reaches_secrets_or_more_rights() -> None:
    forbidden = {"*", "secrets", "roles", "clusterroles", "rolebindings", "clusterrolebindings", "serviceaccounts"}
    forbidden |= {"escalate", "bind", "impersonate", "serviceaccounts/token", "pods/exec", "nonResourceURLs"}
    for role in manifests(*ROLES):
        for rule in role["rules"]:
            said = {*rule["apiGroups"], *rule["resources"], *rule["verbs"], *rule.get("resourceNames", []), *rule}
            assert not said & forbidden, role["metadata"]["name"]


def test_nobody_but_the_operator_may_write_a_status() -> None:
    writers = {line.split(":")[0].split()[1] for line in rights() if "/status" in line}
    assert writers == {"sparkrelease-operator"}


def test_a_role_per_namespace_gives_what_the_cluster_wide_one_gives_in_a_namespace() -> None:
    def of(prefix: str) -> set[str]:
        return {line.removeprefix(prefix) for line in rights() if line.startswith(prefix)}

    beyond = {line for line in of("ClusterRole sparkrelease-operator:") if "gateways" in line or "classes" in line}
    policies = {line for line in of("ClusterRole sparkrelease-operator:") if "releasepolicies" in line}
    assert of("Role sparkrelease-operator:") == of("ClusterRole sparkrelease-operator:") - beyond - policies
    assert of("ClusterRole sparkrelease-operator-policies:") == policies
    assert of("Role sparkrelease-pruner:") == of("ClusterRole sparkrelease-pruner:")
    assert of("Role sparkrelease-managed-workload:") == of("ClusterRole sparkrelease-managed-workload:")


def test_every_binding_binds_a_role_of_ours_to_an_account_of_ours() -> None:
    roles = {(role["kind"], role["metadata"]["name"]) for role in manifests(*ROLES)}
    accounts = {
        (account["metadata"]["namespace"], account["metadata"]["name"]) for account in manifests("ServiceAccount")
    }
    bindings = list(manifests("RoleBinding", "ClusterRoleBinding"))
    assert bindings
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        assert all((subject["namespace"], subject["name"]) in accounts for subject in binding["subjects"])


@pytest.fixture
def config(tmp_path: Path) -> OperatorConfig:
    """The configuration shipped, as the operator reads it."""
    (found,) = manifests("ConfigMap")
    file = tmp_path / "config.yaml"
    file.write_text(found["data"]["config.yaml"])
    return read_config(file)


def test_the_configuration_shipped_is_one_the_operator_reads(config: OperatorConfig) -> None:
    assert "default" in config.servers
    assert config.namespaces == ()
    (port,) = deployment()["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port["containerPort"] == config.http_port


def test_the_lease_in_the_configuration_is_the_one_the_operator_has_rights_for(config: OperatorConfig) -> None:
    (role,) = (role for role in manifests("Role") if role["metadata"]["name"] == "sparkrelease-operator-lease")
    assert config.lease.namespace == role["metadata"]["namespace"]
    assert role["rules"][1]["resourceNames"] == [config.lease.name]


def test_the_operators_pod_meets_the_restricted_standard() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        secure = container["securityContext"]
        assert secure["readOnlyRootFilesystem"] is True
        assert secure["allowPrivilegeEscalation"] is False
        assert secure["capabilities"] == {"drop": ["ALL"]}


def test_the_image_has_the_version_of_the_package() -> None:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"sparkrelease:{__version__}"


@pytest.mark.parametrize("kind", ["ServiceAccount", "Deployment", "Role", "RoleBinding", "ConfigMap", "Service"])
def test_every_object_says_what_it_belongs_to(kind: str) -> None:
    for body in manifests(kind):
        assert body["metadata"]["labels"]["app.kubernetes.io/part-of"] == "sparkrelease", body["metadata"]["name"]


def test_every_admission_policy_is_bound_and_denies() -> None:
    policies = {policy["metadata"]["name"] for policy in manifests("ValidatingAdmissionPolicy")}
    bindings = list(manifests("ValidatingAdmissionPolicyBinding"))
    assert {binding["spec"]["policyName"] for binding in bindings} == policies
    assert all(binding["spec"]["validationActions"] == ["Deny"] for binding in bindings)
    assert all(policy["spec"]["failurePolicy"] == "Fail" for policy in manifests("ValidatingAdmissionPolicy"))
