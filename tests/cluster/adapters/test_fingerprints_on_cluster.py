"""What runs behind a Service, told from real pods, slices and Services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.kubernetes.client import ApiClients
from sparkrelease.adapters.kubernetes.lists import ObjectLists
from sparkrelease.adapters.kubernetes.workloads import ServiceWorkloads
from sparkrelease.api.reasons import Reason
from testbed.awaiting import until
from testbed.kubeapi import KubeObject

if TYPE_CHECKING:
    from sparkrelease.decide.facts import Side
    from testbed.cluster import Cluster

TEMPLATE = "/spec/template"


@pytest.fixture
def workloads(clients: ApiClients) -> ServiceWorkloads:
    return ServiceWorkloads(clients.normal)


async def rolled_out(workloads: ServiceWorkloads, ns: str, ready: int) -> Side:
    """The side once it has that many ready endpoints and nothing else, with one fingerprint."""
    return await matching(workloads, ns, lambda side: side.ready == ready and side.rolled_out)


async def matching(workloads: ServiceWorkloads, ns: str, wanted: Callable[[Side], object]) -> Side:
    async def look() -> Side | None:
        side = await workloads.side(ns, "shop")
        return side if wanted(side) else None

    return await until("the side", look)


def generation(cluster: Cluster, ns: str, patch: list[KubeObject]) -> None:
    """Patches the Deployment and waits until the rollout is complete."""
    cluster.patch("apps/v1", "Deployment", "shop", ns, patch)
    cluster.wait_rolled_out(ns, "shop")


async def test_replicas_of_one_deployment_have_one_fingerprint_and_scaling_keeps_it(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads
) -> None:
    cluster.deploy_app(ns, "shop", "v1", replicas=2)
    before = await rolled_out(workloads, ns, ready=2)
    generation(cluster, ns, [{"op": "replace", "path": "/spec/replicas", "value": 3}])
    after = await rolled_out(workloads, ns, ready=3)
    assert after.fingerprints == before.fingerprints
    assert before.fingerprint is not None
    assert before.fingerprint.startswith("sha256:")
    assert len(before.fingerprint) == len("sha256:") + 16


async def test_new_labels_and_annotations_of_the_template_keep_the_fingerprint(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads
) -> None:
    cluster.deploy_app(ns, "shop", "v1")
    before = await rolled_out(workloads, ns, ready=1)
    pods = {pod["metadata"]["name"] for pod in cluster.list("v1", "Pod", ns)}
    generation(
        cluster,
        ns,
        [
            {"op": "add", "path": f"{TEMPLATE}/metadata/annotations", "value": {"restarted": "today"}},
            {"op": "add", "path": f"{TEMPLATE}/metadata/labels/team", "value": "blue"},
        ],
    )
    after = await rolled_out(workloads, ns, ready=1)
    assert pods.isdisjoint(pod["metadata"]["name"] for pod in cluster.list("v1", "Pod", ns, labels="team=blue")), (
        "the rollout made new pods"
    )
    assert after.fingerprints == before.fingerprints


@pytest.mark.parametrize(
    "change",
    [
        [{"op": "add", "path": f"{TEMPLATE}/spec/containers/0/env/-", "value": {"name": "MODE", "value": "new"}}],
        [{"op": "add", "path": f"{TEMPLATE}/spec/containers/0/args", "value": ["serve", "and-more"]}],
        [
            {"op": "add", "path": f"{TEMPLATE}/spec/volumes", "value": [{"name": "scratch", "emptyDir": {}}]},
            {
                "op": "add",
                "path": f"{TEMPLATE}/spec/containers/0/volumeMounts",
                "value": [{"name": "scratch", "mountPath": "/scratch"}],
            },
        ],
    ],
    ids=["env", "args", "volume"],
)
async def test_a_changed_template_has_another_fingerprint(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads, change: list[KubeObject]
) -> None:
    cluster.deploy_app(ns, "shop", "v1", wait=False)
    deployment = cluster.get("apps/v1", "Deployment", "shop", ns)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    if "env" not in container:
        generation(cluster, ns, [{"op": "add", "path": f"{TEMPLATE}/spec/containers/0/env", "value": []}])
    before = await rolled_out(workloads, ns, ready=1)
    cluster.patch("apps/v1", "Deployment", "shop", ns, change)
    side = await matching(workloads, ns, lambda side: side.fingerprints - before.fingerprints)
    assert len(side.fingerprints - before.fingerprints) == 1


async def test_another_image_has_another_fingerprint_and_a_mixed_side_is_not_rolled_out(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads
) -> None:
    cluster.deploy_app(ns, "shop", "v1")
    before = await rolled_out(workloads, ns, ready=1)
    cluster.deploy_app(ns, "shop", "v2")
    after = await rolled_out(workloads, ns, ready=1)
    assert after.fingerprints.isdisjoint(before.fingerprints)
    # A second Deployment behind the same Service: two versions answer at once.
    deployment = cluster.get("apps/v1", "Deployment", "shop", ns)
    labels = cluster.get("v1", "Service", "shop", ns)["spec"]["selector"]
    cluster.deploy_app(ns, "other", "v1", wait=False)
    other = cluster.get("apps/v1", "Deployment", "other", ns)
    cluster.delete("apps/v1", "Deployment", "other", ns)
    other["metadata"] = {"name": "twin", "namespace": ns}
    other["spec"]["selector"] = {"matchLabels": {"twin": "yes"}}
    other["spec"]["template"]["metadata"]["labels"] = {**labels, "twin": "yes"}
    assert deployment["spec"]["selector"]["matchLabels"] != {"twin": "yes"}
    cluster.create(other)
    side = await matching(workloads, ns, lambda side: len(side.fingerprints) == 2)
    assert not side.rolled_out
    assert side.fingerprint is None


async def test_a_missing_service_is_not_the_same_as_one_without_endpoints(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads
) -> None:
    missing = await workloads.side(ns, "nowhere")
    assert (missing.exists, missing.ready, missing.problem) == (False, 0, None)
    cluster.create(service(ns, "empty", {"app": "nobody"}))
    empty = await workloads.side(ns, "empty")
    assert (empty.exists, empty.ready, empty.not_ready, empty.problem) == (True, 0, 0, None)


async def test_a_pod_that_is_not_ready_is_counted_as_such(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads
) -> None:
    app = cluster.deploy_app(ns, "shop", "v1", replicas=2)
    await rolled_out(workloads, ns, ready=2)
    cluster.set_app(ns, app.selector, ready=False)
    side = await matching(workloads, ns, lambda side: not side.ready)
    assert side.not_ready == 2
    assert not side.rolled_out


async def test_watched_slices_save_requests_and_a_change_is_seen(
    cluster: Cluster, ns: str, clients: ApiClients, workloads: ServiceWorkloads
) -> None:
    cluster.deploy_app(ns, "shop", "v1")
    before = await rolled_out(workloads, ns, ready=1)
    lists = ObjectLists(clients.normal, namespaces=(ns,))

    async def show() -> None:
        for kind in workloads.kinds():
            objects: list[Mapping[str, object]] = []
            assert isinstance(await lists.list_objects(kind, objects.extend), str)
            for body in objects:
                workloads.see(kind, None, body)

    await show()
    await workloads.side(ns, "shop")
    since = cluster.audit_cursor()
    for _ in range(20):
        assert (await workloads.side(ns, "shop")).fingerprints == before.fingerprints
    assert [e for e in cluster.audit_events(since) if "sparkrelease/" in e.user_agent] == []
    cluster.deploy_app(ns, "shop", "v2")

    async def sees_the_change() -> bool:
        await show()  # slices follow the pods in their own time
        side = await workloads.side(ns, "shop")
        return side.rolled_out and side.fingerprints.isdisjoint(before.fingerprints)

    await until("the new version alone", sees_the_change)


def service(ns: str, name: str, selector: dict[str, str]) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": ns},
        "spec": {"selector": selector, "ports": [{"port": 8080}]},
    }


async def test_pods_that_cannot_be_found_are_said_to_be_unknown(
    cluster: Cluster, ns: str, workloads: ServiceWorkloads
) -> None:
    headless = service(ns, "outside", {})
    del headless["spec"]["selector"]
    cluster.create(headless)
    cluster.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "outside-1", "namespace": ns, "labels": {"kubernetes.io/service-name": "outside"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}],
            "ports": [{"port": 8080}],
        }
    )
    side = await workloads.side(ns, "outside")
    assert side.ready == 1
    assert side.problem is not None
    assert side.problem.reason is Reason.PODS_UNKNOWN
