"""A rule that comes later never blocks the operator: the status of an object that breaks it is still written.

The definitions here are ours under another group, so that the real ones stay as they are for other tests.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sparkrelease.api.generate import ROOT
from testbed.kubeapi import ApiError
from testbed.waiting import wait_for
from unit.api.wrong import GOOD

if TYPE_CHECKING:
    from testbed.cluster import Cluster

GROUP = "tightened.example"
API_VERSION = f"{GROUP}/v1alpha1"
KIND = "SparkRelease"
DEFINITION = f"sparkreleases.{GROUP}"
NEW_RULE = {"rule": "self.stages.all(s, s.weight != 50.0)", "message": "no stage may have half of the requests"}

Node = dict[str, Any]
Tighten = Callable[[Node], None]


def definition() -> Node:
    body: Node = yaml.safe_load((ROOT / "crds/sparkreleases.yaml").read_text())
    body["metadata"]["name"] = DEFINITION
    body["spec"]["group"] = GROUP
    body["spec"]["names"].pop("shortNames")
    return body


def release(ns: str, name: str = "shop") -> Node:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name, "namespace": ns}, "spec": GOOD}


def schema_of(body: Node) -> Node:
    root: Node = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def under_spec(root: Node) -> None:
    root["properties"]["spec"]["x-kubernetes-validations"].append(NEW_RULE)


def on_a_field(root: Node) -> None:
    root["properties"]["spec"]["properties"]["stages"]["items"]["properties"]["weight"]["maximum"] = 40


def at_the_root(root: Node) -> None:
    rule = NEW_RULE["rule"].replace("self.stages", "self.spec.stages")
    root["x-kubernetes-validations"] = [NEW_RULE | {"rule": rule}]


@pytest.fixture
def stored(cluster: Cluster, ns: str) -> Iterator[Node]:
    """A release that follows all rules of today."""
    cluster.apply(definition())
    created = wait_for(
        "the definition is served", lambda: cluster.create(release(ns)), timeout=20, expected=(ApiError, LookupError)
    )
    yield created
    cluster.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", DEFINITION)
    wait_for("the definition is gone", lambda: _gone(cluster), timeout=20)


def _gone(cluster: Cluster) -> bool:
    try:
        cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", DEFINITION)
    except ApiError as error:
        return error.code == 404
    return False


def tighten(cluster: Cluster, ns: str, how: Tighten) -> None:
    """Changes the definition and waits until the API server goes by it."""
    body = copy.deepcopy(definition())
    how(schema_of(body))
    cluster.apply(body)
    path = f"/apis/{API_VERSION}/namespaces/{ns}/sparkreleases"

    def refuses_a_new_one() -> bool:
        try:
            cluster.api.request("POST", path, release(ns, "another"), query={"dryRun": "All"})
        except ApiError as error:
            return error.code == 422
        return False

    wait_for("the tighter rule is in force", refuses_a_new_one, timeout=20)


def write_status(cluster: Cluster, ns: str) -> Node:
    """The status as the operator writes it: the whole of it, guarded by resourceVersion."""
    seen = cluster.get(API_VERSION, KIND, "shop", ns)
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": seen["metadata"]["resourceVersion"]},
        {"op": "add", "path": "/status", "value": {"phase": "Progressing", "observedGeneration": 1}},
    ]
    return cluster.patch(API_VERSION, KIND, "shop", ns, patch, subresource="status")


@pytest.mark.parametrize("how", [under_spec, on_a_field])
def test_a_stored_object_that_breaks_a_later_rule_still_gets_its_status(
    cluster: Cluster, ns: str, stored: Node, how: Tighten
) -> None:
    tighten(cluster, ns, how)
    assert write_status(cluster, ns)["status"]["phase"] == "Progressing"
    replaced = cluster.get(API_VERSION, KIND, "shop", ns)
    replaced["status"] = {"phase": "RollingBack", "observedGeneration": 1}
    assert cluster.api.replace(replaced, subresource="status")["status"]["phase"] == "RollingBack"


@pytest.mark.parametrize("how", [under_spec, on_a_field])
def test_a_stored_object_that_breaks_a_later_rule_still_loses_its_finalizer(
    cluster: Cluster, ns: str, stored: Node, how: Tighten
) -> None:
    patch = {"metadata": {"finalizers": ["sparkrelease.dev/restore-traffic"]}}
    cluster.patch(API_VERSION, KIND, "shop", ns, patch)
    tighten(cluster, ns, how)
    cluster.delete(API_VERSION, KIND, "shop", ns)
    cluster.patch(API_VERSION, KIND, "shop", ns, {"metadata": {"finalizers": []}})
    with pytest.raises(ApiError, match="not found"):
        cluster.get(API_VERSION, KIND, "shop", ns)


def test_the_same_rule_at_the_root_would_block_the_status(cluster: Cluster, ns: str, stored: Node) -> None:
    tighten(cluster, ns, at_the_root)
    with pytest.raises(ApiError, match="no stage may have half"):
        write_status(cluster, ns)
