"""A gateway's controller that could not say that it took a route is asked again, and costs half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

GROUP, POLICY = "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"
ASKED = "sparkrelease.dev/asked-again"
STAGES = [{"name": "quarter", "weight": 25, "duration": "2s"}, {"name": "full", "weight": 100, "duration": "2s"}]


@contextmanager
def nobody_may_answer(cluster: Cluster, shop: Shop) -> Iterator[None]:
    """The API server refuses every status of a route in the release's namespace, as it loses one when it goes away."""
    name = f"no-answer-{shop.namespace}"
    policy: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}},
            "resourceRules": [
                {
                    "apiGroups": ["gateway.networking.k8s.io"],
                    "apiVersions": ["*"],
                    "operations": ["UPDATE"],
                    "resources": ["httproutes/status"],
                }
            ],
        },
        "validations": [{"expression": "false", "message": "lost on its way"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    made = {POLICY: policy, f"{POLICY}Binding": binding}
    for kind, spec in made.items():
        cluster.apply({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec})
    try:
        wait_for("answers are lost", lambda: not may_answer(cluster, shop), timeout=30)
        yield
    finally:
        for kind in reversed(made):
            cluster.delete(GROUP, kind, name)
    wait_for("answers come through again", lambda: may_answer(cluster, shop), timeout=30)


def may_answer(cluster: Cluster, shop: Shop) -> bool:
    patch = ["patch", "httproute", shop.name, "-n", shop.namespace, "--subresource", "status", "--type", "merge"]
    tried = cluster.kubectl(*patch, "-p", '{"status": {"parents": []}}', "--dry-run=server")
    assert tried.returncode == 0 or "lost on its way" in tried.stderr, tried.stderr
    return tried.returncode == 0


def leaving(cluster: Cluster) -> list[str]:
    """Namespaces that are being deleted."""
    every = [one["metadata"] for one in cluster.list("v1", "Namespace")]
    return [one["name"] for one in every if "deletionTimestamp" in one]


@pytest.mark.timeout(330)
def test_an_answer_that_was_lost_is_asked_for_again_and_the_release_goes_on(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    # Contour says everything anew when any route or Service goes, and those of the tests before may still be going.
    wait_for("nothing of other tests is left", lambda: not leaving(cluster), timeout=90)
    shop.open()
    shop.start_load(rps=40)
    since = cluster.audit_cursor()
    with nobody_may_answer(cluster, shop):
        shop.ship("v2", stages=STAGES)
        shop.until_written(25, since)
        shop.until_condition("TrafficInSync", "False", "RoutePending")
    shop.until_condition("Promoted", timeout=120)
    marks = [event.response["metadata"].get("annotations", {}) for event, _ in shop.weights_written(since)]
    assert [mark[ASKED] for mark in marks if mark.get("sparkrelease.dev/weight") == "25" and ASKED in mark] == ["1"]
