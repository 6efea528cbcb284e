"""The product's own objects, as users install them: `crds/` and `manifests/`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from testbed import parts
from testbed.binaries import binary
from testbed.cluster import ServiceAccount
from testbed.kubeapi import ApiError, KubeApi, KubeObject
from testbed.objects import apply_definitions, load_objects
from testbed.paths import PROJECT
from testbed.waiting import wait_for

OPERATOR = ServiceAccount("sparkrelease-system", "sparkrelease-operator")
PRUNER = ServiceAccount("sparkrelease-system", "sparkrelease-pruner")
"""The accounts of `manifests/`."""

API = "sparkrelease.dev/v1alpha1"

_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
"""What others refer to."""


def objects(root: Path = PROJECT) -> list[KubeObject]:
    """CRDs, then what `manifests/` renders to, in the order in which a cluster takes them."""
    found = load_objects(*sorted((root / "crds").glob("*.yaml")))
    manifests = root / "manifests"
    if (manifests / "kustomization.yaml").exists():
        command: list[str | Path] = [binary(parts.KUBECTL), "kustomize", manifests]
        rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found += [obj for obj in yaml.safe_load_all(rendered) if obj]
    else:
        found += load_objects(*sorted(manifests.rglob("*.yaml")))
    known = {(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]): obj for obj in found}
    return sorted(known.values(), key=lambda obj: _FIRST.index(obj["kind"]) if obj["kind"] in _FIRST else len(_FIRST))


def operator_account(found: Sequence[KubeObject]) -> ServiceAccount:
    """The ServiceAccount that the operator's Deployment names.

    Raises:
        LookupError: no Deployment, or no such ServiceAccount.
    """
    accounts = {
        (obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in found if obj["kind"] == "ServiceAccount"
    }
    for obj in found:
        if obj["kind"] == "Deployment":
            name = obj["spec"]["template"]["spec"].get("serviceAccountName", "default")
            if (obj["metadata"]["namespace"], name) in accounts:
                return ServiceAccount(obj["metadata"]["namespace"], name)
    raise LookupError("manifests/ has no Deployment with a ServiceAccount: under whose name should the operator run?")


def install(api: KubeApi, found: Sequence[KubeObject]) -> None:
    """Applies everything but workloads; returns when every kind is served, and can be read by the policies."""
    definitions = [obj for obj in found if obj["kind"] == "CustomResourceDefinition"]
    others = [obj for obj in found if obj["kind"] not in ("CustomResourceDefinition", "Deployment")]
    apply_definitions(api, definitions)
    for obj in others:
        api.apply(obj)
    if any(obj["kind"] == "ValidatingAdmissionPolicy" and "paramKind" in obj["spec"] for obj in others):
        wait_for("policies can read what they compare with", lambda: _policies_read(api), timeout=90, every=0.2)


def _policies_read(api: KubeApi) -> bool:
    """Whether no policy refuses for want of the kind of its parameters, which it learns of some time after the CRD."""
    spec = {"release": {"name": "nobody", "uid": "u-1"}, "run": "v1-000000", "decision": "GO", "approvedBy": "nobody"}
    body = {"apiVersion": API, "kind": "ReleaseApproval", "metadata": {"generateName": "nobody-"}, "spec": spec}
    try:
        api.request("POST", f"/apis/{API}/namespaces/default/releaseapprovals", body, query={"dryRun": "All"})
    except ApiError as refusal:
        return "failed to configure policy" not in refusal.message
    return True
