"""Many releases made cheaply: pools of pods shared by all, and per release two Services, a route and the release."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3

from bench.usage import operator_metrics
from testbed.cluster import Cluster
from testbed.kubeapi import KubeObject
from testbed.shop import API_VERSION, KIND, ROUTE_API, canary_percent
from testbed.waiting import wait_for

NAMESPACES = 10
THREADS = 8
WEIGHT = 25.0
"""Canary weight of a release on trial here."""

WINDOW_SECONDS = 5
LIMIT = 0.05
RATE = 100.0
"""Requests a second the exporter counts for each Service."""

BAD, TOTAL = 'http_requests_total{code=~"5.."}', "http_requests_total"
POLICY = "bench"

Told = Callable[[int], None]
"""Called with the number of objects finished so far."""


@dataclass(frozen=True)
class Member:
    """One release; its names are those the synthetic exporter speaks of.

    `beside` is the member of the same namespace whose Services and route it names instead of its own.
    """

    number: int
    beside: int | None = None

    @property
    def namespace(self) -> str:
        return f"bench-{self.number % NAMESPACES}"

    @property
    def name(self) -> str:
        return f"rel-{self.number:04d}"

    @property
    def place(self) -> str:
        """Name of its route, and what the names of its Services begin with."""
        return self.name if self.beside is None else f"rel-{self.beside:04d}"

    @property
    def canary(self) -> str:
        return f"{self.place}-canary"

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


def policy() -> KubeObject:
    """What every release here follows: a long first stage, an error ratio over five seconds, acted on at once."""
    metric = {"name": "http", "bad": BAD, "total": TOTAL, "window": f"{WINDOW_SECONDS}s"}
    return {
        "apiVersion": API_VERSION,
        "kind": "ReleasePolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "stages": [
                {"name": "quarter", "weight": WEIGHT, "duration": "12h"},
                {"name": "full", "weight": 100, "duration": "5s"},
            ],
            "metrics": [metric],
            "thresholds": [{"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1}],
            "triggers": [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": LIMIT}], "for": "0s"}],
            "settle": {"steps": [0], "interval": "1s"},
        },
    }


class Fleet:
    """Releases `rel-0000`, `rel-0001`, ... in ten namespaces.

    Args:
        cluster: where they are made.
        parent: the gateway their routes name.
        canary: version in the canary pools; the one in the stable pools is v1.
    """

    def __init__(self, cluster: Cluster, parent: KubeObject, *, canary: str = "v2") -> None:
        self.cluster = cluster
        self.size = 0
        self._parent = parent
        for number in range(NAMESPACES):
            namespace = f"bench-{number}"
            meta = {"name": namespace}
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            cluster.deploy_app(namespace, "pool-stable", "v1", 1, wait=False)
            cluster.deploy_app(namespace, "pool-canary", canary, 1, wait=False)
        for number, side in itertools.product(range(NAMESPACES), ("stable", "canary")):
            rollout = ("rollout", "status", f"deployment/pool-{side}", "-n", f"bench-{number}", "--timeout=60s")
            if (done := cluster.kubectl(*rollout)).returncode:
                raise RuntimeError(done.stderr)
        cluster.apply(policy())

    def surroundings(self, members: Sequence[Member], told: Told) -> None:
        """Makes Services and routes, and waits for the EndpointSlices of all of them."""
        self._each(members, self._make_surroundings, told)
        wanted = {(m.namespace, f"{m.name}-{side}") for m in members for side in ("stable", "canary")}
        wait_for("EndpointSlices", lambda: wanted <= self._sliced(), timeout=300, every=1.0)

    def releases(self, members: Sequence[Member], told: Told, status: KubeObject | None = None) -> None:
        """Makes the releases, at rest with this status when one is given."""

        def make(member: Member) -> None:
            made = self.cluster.create(self.release(member))
            if status is not None:
                made["status"] = status
                self.cluster.api.replace(made, subresource="status")

        self._each(members, make, told)

    def release(self, member: Member, version: str = "v2") -> KubeObject:
        """The release's manifest."""
        sides = {side: {"service": f"{member.place}-{side}", "port": 8080} for side in ("stable", "canary")}
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": member.name, "namespace": member.namespace},
            "spec": {
                "version": version,
                "policyRef": {"name": POLICY},
                "traffic": {**sides, "gatewayAPI": {"route": {"name": member.place, "rule": "main"}}},
            },
        }

    def weights(self) -> dict[tuple[str, str], float]:
        """Canary weight of every route of the fleet, as stored."""
        return {
            (meta["namespace"], meta["name"]): canary_percent(route, f"{meta['name']}-canary")
            for route in self.cluster.list(ROUTE_API, "HTTPRoute")
            if (meta := route["metadata"])["namespace"].startswith("bench-")
        }

    def statuses(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Status of every release."""
        return {
            (r["metadata"]["namespace"], r["metadata"]["name"]): r.get("status", {})
            for r in self.cluster.list(API_VERSION, KIND)
        }

    def wait_on_trial(self, members: Iterable[Member], timeout: float = 600.0) -> None:
        """Returns when every one of them has its first weight."""
        keys = {member.key for member in members}

        def all_there() -> bool:
            if operator_metrics()["sparkrelease_active_releases"] < len(keys):
                return False  # a list of a thousand routes is not asked for in vain
            found = self.weights()
            return all(found.get(key) == WEIGHT for key in keys)

        wait_for("all on trial", all_there, timeout=timeout, every=1.0, expected=(urllib3.exceptions.TimeoutError,))

    def _make_surroundings(self, member: Member) -> None:
        for side in ("stable", "canary"):
            self.cluster.create(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": f"{member.name}-{side}", "namespace": member.namespace},
                    # not named as the pods' port that Prometheus scrapes: the exporter speaks for these Services
                    "spec": {"selector": {"app": f"pool-{side}"}, "ports": [{"name": "web", "port": 8080}]},
                }
            )
        backends = [
            {"name": f"{member.name}-{side}", "port": 8080, "weight": weight}
            for side, weight in (("stable", 100), ("canary", 0))
        ]
        self.cluster.create(
            {
                "apiVersion": ROUTE_API,
                "kind": "HTTPRoute",
                "metadata": {"name": member.name, "namespace": member.namespace},
                "spec": {
                    "parentRefs": [copy.deepcopy(self._parent)],
                    "hostnames": [f"{member.name}.{member.namespace}.example"],
                    "rules": [{"name": "main", "backendRefs": backends}],
                },
            }
        )

    def _sliced(self) -> set[tuple[str, str]]:
        """Services with an endpoint in a slice."""
        return {
            (one["metadata"]["namespace"], one["metadata"]["labels"]["kubernetes.io/service-name"])
            for one in self.cluster.list("discovery.k8s.io/v1", "EndpointSlice")
            if one.get("endpoints")
        }

    def _each(self, members: Sequence[Member], make: Callable[[Member], None], told: Told) -> None:
        done, lock = itertools.count(1), threading.Lock()

        def one(member: Member) -> None:
            make(member)
            with lock:
                told(next(done))

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(one, members))


def members(count: int, first: int = 0) -> list[Member]:
    """The next `count` members from `first` on."""
    return [Member(number) for number in range(first, first + count)]
