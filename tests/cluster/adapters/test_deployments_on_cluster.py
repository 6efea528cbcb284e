"""The copy of a Deployment on the real API server: what is applied, what goes, what is guarded, what is left alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.kubernetes.client import ApiClients
from sparkrelease.adapters.kubernetes.deployments import KubernetesDeployments
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.deployed import ManagedWorkload
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment, SelectPods
from sparkrelease.ports.deployments import Owner
from testbed import app
from testbed.app import App

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

GIT = "argocd-controller"


@pytest.fixture
def deployments(clients: ApiClients) -> KubernetesDeployments:
    return KubernetesDeployments(clients.normal)


@pytest.fixture
def owner(ns: str) -> Owner:
    return Owner(ns, "shop", "shop", ("shop-stable", "shop-canary"))


async def push(cluster: Cluster, ns: str, env: dict[str, str], **metadata: object) -> None:
    wish = app.deployment(App(ns, "shop", cluster.app_image("v1"), 1), env=env)
    wish["metadata"] |= metadata
    await asyncio.to_thread(cluster.apply, wish, manager=GIT)


TRIES = 30
"""A Deployment's controller writes it, too: what was looked at may be old by the time of the write."""


async def copy(deployments: KubernetesDeployments, owner: Owner, replicas: int | None = 1) -> ManagedWorkload:
    """One copy, as the rules ask for it."""
    for _ in range(TRIES):
        seen = await deployments.look(owner)
        assert seen.problem is None, seen.problem
        candidate, stable = seen.candidate, seen.stable
        step = CopyTemplate("shop", candidate.version, stable.name, stable.version, candidate.template, replicas)
        problem = await deployments.carry_out(owner, step)
        if problem is None:
            return await deployments.look(owner)
        assert problem.reason is Reason.OBJECT_CHANGED, problem
    raise AssertionError("never the newest")


def stored(cluster: Cluster, owner: Owner, name: str) -> KubeObject:
    return cluster.get("apps/v1", "Deployment", name, owner.namespace)


def variables(obj: KubeObject) -> dict[str, str]:
    env = obj["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one.get("value", "") for one in env}


async def test_a_copy_has_the_template_and_nothing_that_gitops_tools_know_their_objects_by(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    labels = {"app": "shop", "team": "web", "app.kubernetes.io/instance": "shop", "argocd.argoproj.io/instance": "shop"}
    await push(cluster, ns, {"A": "1"}, labels=labels, annotations={"argocd.argoproj.io/tracking-id": "shop:apps"})
    seen = await copy(deployments, owner)
    assert seen.stable.copied == seen.stable.template == seen.candidate.template
    made = stored(cluster, owner, "shop-stable")
    assert made["metadata"]["labels"] == {
        "app": "shop-stable",
        "team": "web",
        "app.kubernetes.io/managed-by": "sparkrelease",
    }
    assert not any("argocd" in name for name in made["metadata"]["annotations"])
    assert made["metadata"].get("ownerReferences") is None
    assert made["spec"]["selector"]["matchLabels"] == {"app": "shop-stable"}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "shop-stable"}
    assert variables(made)["A"] == "1"


async def test_what_a_later_template_leaves_out_is_gone_from_the_copy(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    await push(cluster, ns, {"A": "1", "B": "2"})
    await copy(deployments, owner)
    await push(cluster, ns, {"B": "3"})
    seen = await copy(deployments, owner)
    assert seen.stable.template == seen.candidate.template
    assert "A" not in variables(stored(cluster, owner, "shop-stable"))
    generation = stored(cluster, owner, "shop-stable")["metadata"]["generation"]
    await copy(deployments, owner)
    assert stored(cluster, owner, "shop-stable")["metadata"]["generation"] == generation, "repeating it does nothing"


async def test_a_restart_of_the_copy_by_somebody_else_counts_for_nothing(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    await push(cluster, ns, {})
    await copy(deployments, owner)
    done = await asyncio.to_thread(cluster.kubectl, "rollout", "restart", "deployment/shop-stable", "-n", ns)
    assert done.returncode == 0, done.stderr
    seen = await deployments.look(owner)
    assert seen.stable.copied == seen.candidate.template != seen.stable.template


async def test_a_copy_somebody_wrote_meanwhile_is_not_written(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    await push(cluster, ns, {})
    seen = await copy(deployments, owner)
    note = {"metadata": {"annotations": {"somebody": "wrote"}}}
    await asyncio.to_thread(cluster.patch, "apps/v1", "Deployment", "shop-stable", ns, note)
    stale = CopyTemplate("shop", "", "shop-stable", seen.stable.version, seen.candidate.template, 5)
    problem = await deployments.carry_out(owner, stale)
    assert problem is not None and problem.reason is Reason.OBJECT_CHANGED
    await push(cluster, ns, {"NEW": "1"})
    now = await deployments.look(owner)
    untried = CopyTemplate("shop", "", "shop-stable", now.stable.version, seen.candidate.template, 5)
    problem = await deployments.carry_out(owner, untried)
    assert problem is not None and problem.reason is Reason.OBJECT_CHANGED
    assert "NEW" not in variables(stored(cluster, owner, "shop-stable"))
    assert stored(cluster, owner, "shop-stable")["spec"]["replicas"] == 1


async def test_scaling_is_guarded_and_leaves_git_nothing_to_conflict_with(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    wish = app.deployment(App(ns, "shop", cluster.app_image("v1"), 1))
    del wish["spec"]["replicas"]
    await asyncio.to_thread(cluster.apply, wish, manager=GIT)
    problem = await deployments.carry_out(owner, ScaleDeployment("shop", "1", 3))
    assert problem is not None and problem.reason is Reason.OBJECT_CHANGED
    for _ in range(TRIES):
        seen = await deployments.look(owner)
        problem = await deployments.carry_out(owner, ScaleDeployment("shop", seen.candidate.version, 3))
        if problem is None:
            break
    assert problem is None
    assert stored(cluster, owner, "shop")["spec"]["replicas"] == 3
    await asyncio.to_thread(cluster.apply, wish, manager=GIT, force=False)
    assert stored(cluster, owner, "shop")["spec"]["replicas"] == 3


async def test_replicas_of_a_copy_that_something_scales_stay_as_they_are(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    await push(cluster, ns, {})
    await copy(deployments, owner, replicas=1)
    scale = {"spec": {"replicas": 2}}
    await asyncio.to_thread(cluster.patch, "apps/v1", "Deployment", "shop-stable", ns, scale, subresource="scale")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-stable"}
    await asyncio.to_thread(
        cluster.apply,
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": ns},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},
        },
    )
    await push(cluster, ns, {"NEW": "1"})
    seen = await copy(deployments, owner, replicas=None)
    assert seen.stable.autoscaler == "HorizontalPodAutoscaler web"
    made = stored(cluster, owner, "shop-stable")
    assert (made["spec"]["replicas"], variables(made)["NEW"]) == (2, "1")


async def test_a_missing_service_is_made_and_one_that_git_keeps_is_left_with_its_keepers_name(
    cluster: Cluster, ns: str, deployments: KubernetesDeployments, owner: Owner
) -> None:
    await push(cluster, ns, {})
    theirs = app.service(App(ns, "shop-stable", "", 1))
    theirs["spec"]["selector"] = {"app": "shop"}
    await asyncio.to_thread(cluster.apply, theirs, manager=GIT)
    seen = await deployments.look(owner)
    assert [one.fits for one in seen.services] == [False, False]
    for service in seen.services:
        assert await deployments.carry_out(owner, SelectPods(service.service, service.selector, 80)) is None
    stable, canary = (await deployments.look(owner)).services
    assert canary.fits and canary.refused == ""
    assert not stable.fits and GIT in stable.refused
    made = cluster.get("v1", "Service", "shop-canary", ns)["spec"]
    (port,) = made["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http", 80, 8080)
    assert cluster.get("v1", "Service", "shop-stable", ns)["spec"]["selector"] == {"app": "shop"}


async def test_what_is_not_there_is_no_problem(ns: str, deployments: KubernetesDeployments) -> None:
    seen = await deployments.look(Owner(ns, "shop", "none", ("a", "b")))
    assert seen.problem is None
    assert not seen.candidate.exists and not seen.stable.exists
