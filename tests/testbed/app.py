"""The test application as Kubernetes objects, and its switches: the same on every lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

from testbed.kubeapi import KubeObject

PORT = 8080
PORT_NAME = "http"


@dataclass(frozen=True)
class App:
    """A Deployment of the test application and the Service in front of it, both called `name`."""

    namespace: str
    name: str
    image: str
    replicas: int

    @property
    def selector(self) -> str:
        """Label selector of its pods."""
        return f"app={self.name}"


def deployment(
    app: App,
    *,
    error: float = 0.0,
    latency: str = "0s",
    env: Mapping[str, str] | None = None,
    pre_stop_seconds: int = 1,
) -> KubeObject:
    """The Deployment.

    Args:
        app: name, image and size.
        error: share of answers that are 500 (of gRPC calls: INTERNAL), from the start.
        latency: added to each answer from the start; a Go duration such as `250ms`.
        env: more variables; `CRASH_AFTER=2s` makes a crash loop, `LEAK=1048576` a leak of a mebibyte a second,
            `DRIFT=0.1` a tenth of the answers say something else, `NATIVE_SCALE=3` a native histogram instead of
            classic buckets.
        pre_stop_seconds: a gateway needs about this long to see that an endpoint is going; without it a rollout
            loses requests.
    """
    variables: list[dict[str, Any]] = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ERROR", "value": f"{error:g}"},
        {"name": "LATENCY", "value": latency},
        *({"name": key, "value": value} for key, value in (env or {}).items()),
    ]
    container = {
        "name": "app",
        "image": app.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve"],
        "env": variables,
        "ports": [{"name": PORT_NAME, "containerPort": PORT}],
        "resources": {"requests": {"cpu": "10m"}},  # who asks for nothing gets next to nothing of a busy node
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": PORT_NAME},
            "periodSeconds": 1,
            "timeoutSeconds": 5,  # slow is not unready: the machine may be busy with other things
            "failureThreshold": 1,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if pre_stop_seconds:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": pre_stop_seconds}}}
    labels = {"app": app.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app.name, "namespace": app.namespace, "labels": labels},
        "spec": {
            "replicas": app.replicas,
            "progressDeadlineSeconds": 60,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": pre_stop_seconds + 5,
                    "automountServiceAccountToken": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                },
            },
        },
    }


def service(app: App) -> KubeObject:
    """The Service, port 8080 named `http`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app.name, "namespace": app.namespace, "labels": {"app": app.name}},
        "spec": {
            "selector": {"app": app.name},
            "ports": [{"name": PORT_NAME, "port": PORT, "targetPort": PORT_NAME}],
        },
    }


def rolled_out(obj: KubeObject) -> bool:
    """Whether a Deployment runs what its latest spec says, completely (as `kubectl rollout status` judges)."""
    status, replicas = obj.get("status", {}), obj["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= obj["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == replicas
        and status.get("replicas", 0) == replicas
        and status.get("availableReplicas", 0) == replicas
    )


def switch(base_url: str, **wishes: str | float | bool | None) -> dict[str, Any]:
    """Changes the behaviour of one process of the application at once, as its `/-/set` understands it.

    Raises:
        ValueError: the application refused.
        urllib3.exceptions.HTTPError: it did not answer.
    """
    given = {key: _plain(value) for key, value in wishes.items() if value is not None}
    answer = urllib3.request("GET", f"{base_url}/-/set?{urlencode(given)}", timeout=5, retries=False)
    if answer.status != 200:
        raise ValueError(f"{base_url}: {answer.status} {answer.data.decode(errors='replace')}")
    state: dict[str, Any] = answer.json()
    return state


def get_text(url: str) -> str:
    """What a pod answers to a GET.

    Raises:
        urllib3.exceptions.HTTPError: it did not answer.
    """
    return urllib3.request("GET", url, timeout=5, retries=False).data.decode(errors="replace")


def requests(base_url: str) -> int:
    """Requests and gRPC calls one process of the application has counted, of clients and copies alike."""
    return _counted(base_url, "http_requests_total") + calls(base_url)


def calls(base_url: str) -> int:
    """gRPC calls one process of the application has counted."""
    return _counted(base_url, "grpc_server_handled_total")


def _counted(base_url: str, counter: str) -> int:
    lines = get_text(f"{base_url}/metrics").splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{counter}{{"))


def _plain(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
