"""Pods of the test application that play another part: one exporter for many releases, a Prometheus that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3

from testbed import app
from testbed.cluster import Fault
from testbed.kubeapi import KubeObject
from testbed.objects import MONITORING_NAMESPACE

PORT = 9090
EXPORTER_LABEL = {"testbed": "exporter"}
"""Prometheus scrapes pods that bear it, and keeps the labels of their series."""


def pod(name: str, image: str, args: Sequence[str], labels: Mapping[str, str]) -> list[KubeObject]:
    """A pod of the application and a Service of the same name, in the monitoring namespace."""
    meta = {"name": name, "namespace": MONITORING_NAMESPACE, "labels": {"app": name, **labels}}
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "ports": [{"containerPort": PORT}],
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": name}, "ports": [{"port": PORT, "targetPort": PORT}]},
        },
    ]


class PodExporter:
    """See `testbed.cluster.Exporter`; `control` is where the test process reaches it."""

    def __init__(self, control: str, remove: Callable[[], None]) -> None:
        self._control = control
        self._remove = remove

    def set(
        self,
        namespace: str,
        service: str,
        *,
        rps: float | None = None,
        error: float | None = None,
        latency: str | None = None,
    ) -> int:
        wish = {"namespace": namespace, "service": service, "rps": rps, "error": error, "latency": latency}
        given = {key: value for key, value in wish.items() if value is not None}
        return self._ask("GET", f"?{urlencode(given)}")

    def set_many(self, behaviours: Sequence[Mapping[str, Any]]) -> int:
        return self._ask("POST", "", json.dumps(list(behaviours)))

    def stop(self) -> None:
        self._remove()

    def _ask(self, method: str, query: str, body: str | None = None) -> int:
        answer = urllib3.request(method, f"{self._control}/-/set{query}", body=body, timeout=10, retries=False)
        if answer.status != 200:
            raise ValueError(f"exporter: {answer.status} {answer.data.decode(errors='replace')}")
        return int(answer.json()["unix_ns"])


class PodPrometheusProxy:
    """See `testbed.cluster.PrometheusProxy`; `url` is the operator's view, `control` the test's."""

    def __init__(self, url: str, control: str, remove: Callable[[], None]) -> None:
        self.url = url
        self._control = control
        self._remove = remove

    def fail(self, fault: Fault, *, match: str = "", delay: str = "30s") -> int:
        return int(app.switch(self._control, mode=fault, match=match, delay=delay)["unix_ns"])

    def heal(self) -> int:
        return int(app.switch(self._control)["unix_ns"])

    def queries(self) -> int:
        answer = urllib3.request("GET", f"{self._control}/-/stats", timeout=5, retries=False)
        if answer.status != HTTPStatus.OK:  # the API server answers for a pod that does not listen yet
            raise urllib3.exceptions.HTTPError(f"{self._control}: {answer.status}")
        return int(answer.json()["queries"])

    def stop(self) -> None:
        self._remove()
