"""A fingerprint is what runs in a pod: equal for replicas, different when what runs differs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from sparkrelease.adapters.kubernetes.fingerprint import fingerprint

Pod = dict[str, Any]


def pod(name: str = "shop-7d9f-abcde", token: str = "kube-api-access-x1y2z") -> Pod:
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}", "labels": {"app": "shop"}},
        "spec": {
            "nodeName": "node-1",
            "initContainers": [
                {"name": "migrate", "image": "migrate:1", "volumeMounts": [{"name": token, "mountPath": "/token"}]},
            ],
            "containers": [
                {
                    "name": "app",
                    "image": "shop:1.4",
                    "command": ["/shop"],
                    "args": ["serve"],
                    "env": [{"name": "MODE", "value": "live"}],
                    "envFrom": [{"configMapRef": {"name": "shop"}}],
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": token, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
                    ],
                },
            ],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": token, "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            ],
        },
        "status": {
            "containerStatuses": [{"name": "app", "imageID": "registry.example/shop@sha256:aaaa"}],
            "initContainerStatuses": [{"name": "migrate", "imageID": "registry.example/migrate@sha256:bbbb"}],
        },
    }


def container(body: Pod) -> Pod:
    first: Pod = body["spec"]["containers"][0]
    return first


SAME: dict[str, Callable[[Pod], object]] = {
    "labels": lambda p: p["metadata"].update(labels={"app": "other", "pod-template-hash": "123"}),
    "annotations": lambda p: p["metadata"].update(annotations={"kubectl.kubernetes.io/restartedAt": "now"}),
    "node": lambda p: p["spec"].update(nodeName="node-2"),
    "registry the image was pulled from": lambda p: p["status"]["containerStatuses"][0].update(
        imageID="mirror.example/shop@sha256:aaaa"
    ),
    "tag of the same image": lambda p: container(p).update(image="shop:latest"),
    "resources": lambda p: container(p).update(resources={"limits": {"cpu": "1"}}),
    "name of the container": lambda p: (
        container(p).update(name="renamed"),
        p["status"]["containerStatuses"][0].update(name="renamed"),
    ),
    "debug container": lambda p: p["spec"].update(ephemeralContainers=[{"name": "debug", "image": "busybox"}]),
    "workload name of an injector": lambda p: container(p)["env"].append(
        {"name": "ISTIO_META_WORKLOAD_NAME", "value": "shop-canary"}
    ),
}

DIFFERENT: dict[str, Callable[[Pod], object]] = {
    "image": lambda p: p["status"]["containerStatuses"][0].update(imageID="registry.example/shop@sha256:cccc"),
    "image of an init container": lambda p: p["status"]["initContainerStatuses"][0].update(imageID="x@sha256:dddd"),
    "command": lambda p: container(p).update(command=["/other"]),
    "args": lambda p: container(p).update(args=["serve", "--fast"]),
    "env": lambda p: container(p).update(env=[{"name": "MODE", "value": "test"}]),
    "envFrom": lambda p: container(p).update(envFrom=[{"configMapRef": {"name": "shop-v2"}}]),
    "mount": lambda p: container(p)["volumeMounts"][0].update(mountPath="/elsewhere"),
    "volume": lambda p: p["spec"]["volumes"][0].update(emptyDir={"medium": "Memory"}),
    "sidecar": lambda p: p["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"}),
    "sidecar as init container": lambda p: p["spec"]["initContainers"][0].update(restartPolicy="Always"),
    "digest asked for": lambda p: container(p).update(image="shop@sha256:eeee"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_what_does_not_run_does_not_count(change: Callable[[Pod], object]) -> None:
    changed = copy.deepcopy(pod())
    change(changed)
    assert fingerprint(changed) == fingerprint(pod())


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_runs_counts(change: Callable[[Pod], object]) -> None:
    changed = copy.deepcopy(pod())
    change(changed)
    assert fingerprint(changed) != fingerprint(pod())


def test_replicas_with_token_volumes_of_their_own_are_equal() -> None:
    assert fingerprint(pod("shop-1", "kube-api-access-aaaaa")) == fingerprint(pod("shop-2", "kube-api-access-bbbbb"))


def test_replicas_of_a_stateful_set_are_equal_although_each_has_its_claim() -> None:
    def member(name: str) -> Pod:
        body = pod(name)
        body["spec"]["volumes"][0] = {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}}
        return body

    assert fingerprint(member("db-0")) == fingerprint(member("db-1"))
    other = member("db-1")
    other["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "fixed"
    assert fingerprint(other) != fingerprint(member("db-0"))


def test_nodes_that_name_one_image_differently_agree_when_the_template_asks_for_a_digest() -> None:
    one, other = pod(), pod()
    for body, image_id in ((one, "x@sha256:index"), (other, "x@sha256:platform")):
        container(body)["image"] = "shop@sha256:asked"
        body["status"]["containerStatuses"][0]["imageID"] = image_id
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("body", [{}, {"spec": None, "status": []}, {"spec": {"containers": [None, 7]}}])
def test_a_strange_pod_breaks_nothing(body: Pod) -> None:
    assert fingerprint(body).startswith("sha256:")
