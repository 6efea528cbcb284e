"""A gateway that serves no traffic: it accepts every route of its Gateway, as a real controller says it.

A real gateway re-configures its proxy for every route, and the proxy exposes a hundred series for every backend: with
a thousand releases on a small machine that is most of the load. Where this one stands in, the page says so.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3

from testbed.cluster import Cluster, User
from testbed.kubeapi import ApiError, KubeApi, KubeObject
from testbed.shop import ROUTE_API

CONTROLLER = "bench.sparkrelease.dev/stub"
NAME, NAMESPACE = "bench-stub", "bench-gateway"
USER = User("bench-gateway", ("system:masters",))


class StubGateway:
    """Class, Gateway and controller, from `start` until the process ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._api: KubeApi = cluster.client(USER)
        self._answered: dict[tuple[str, str], int] = {}
        self._writers = ThreadPoolExecutor(4, thread_name_prefix="stub-status")
        self._stopping = False

    parent: KubeObject = {"name": NAME, "namespace": NAMESPACE, "sectionName": "http"}  # noqa: RUF012 - a constant

    def start(self) -> None:
        """Makes class and Gateway, and answers for every route from now on."""
        listener = {"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
        spec = {"gatewayClassName": NAME, "listeners": [listener]}
        meta = {"name": NAME, "namespace": NAMESPACE}
        for obj in (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {
                "apiVersion": ROUTE_API,
                "kind": "GatewayClass",
                "metadata": {"name": NAME},
                "spec": {"controllerName": CONTROLLER},
            },
            {"apiVersion": ROUTE_API, "kind": "Gateway", "metadata": meta, "spec": spec},
        ):
            self._cluster.apply(obj)
        threading.Thread(target=self._serve, name="stub-gateway", daemon=True).start()

    def stop(self) -> None:
        """Answers no more."""
        self._stopping = True
        self._writers.shutdown(wait=False, cancel_futures=True)

    def _serve(self) -> None:
        path = self._api.path("HTTPRoute", ROUTE_API)
        while not self._stopping:
            try:
                found = self._api.request("GET", path)
                for route in found["items"]:
                    self._see(route)
                for _, route in self._api.watch(path, found["metadata"]["resourceVersion"]):
                    self._see(route)
            except (ApiError, urllib3.exceptions.HTTPError):
                continue

    def _see(self, route: Mapping[str, Any]) -> None:
        meta = route["metadata"]
        parents = route.get("spec", {}).get("parentRefs", [])
        if "name" not in meta or not any(parent["name"] == NAME for parent in parents) or self._stopping:
            return
        key = (meta["namespace"], meta["name"])
        if self._answered.get(key, 0) < meta["generation"]:
            self._answered[key] = meta["generation"]
            self._writers.submit(self._answer, key, meta["generation"])

    def _answer(self, key: tuple[str, str], generation: int) -> None:
        namespace, name = key
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": kind,
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": now,
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        entry = {"parentRef": self.parent, "controllerName": CONTROLLER, "conditions": conditions}
        patch = {"status": {"parents": [entry]}}
        self._api.patch(ROUTE_API, "HTTPRoute", name, namespace, patch, subresource="status")
