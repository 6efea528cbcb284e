"""A shop under release: two sides, a route, a client, and one SparkRelease; what every scenario is told in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from testbed.app import App
from testbed.audit import AuditEvent
from testbed.cluster import Cluster
from testbed.kubeapi import ApiError, KubeObject
from testbed.load import Load
from testbed.waiting import wait_for

API_VERSION = "sparkrelease.dev/v1alpha1"
ROUTE_API = "gateway.networking.k8s.io/v1"
KIND = "SparkRelease"
GIT = "argocd-controller"
"""Field manager under which scenarios write what would be in Git."""

ERRORS = {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total", "window": "5s"}
STAGES = [
    {"name": "five", "weight": 5, "duration": "3s"},
    {"name": "quarter", "weight": 25, "duration": "3s"},
    {"name": "full", "weight": 100, "duration": "3s"},
]


def operator_config(cluster: Cluster, **changes: object) -> dict[str, Any]:
    """Configuration for an operator in a scenario: a tick of a second, the gateway's counters judged."""
    share = {"counter": "envoy_cluster_upstream_rq_total", "judged": True, "window": "5s"}
    connections = {"gauge": "envoy_cluster_upstream_rq_active"}
    server = {
        "url": cluster.prometheus_url,
        "timeout": "2s",
        "maxAge": "15s",
        "share": share,
        "connections": connections,
        "alerts": [],
    }
    config: dict[str, Any] = {"tick": "1s", "heartbeat": "10s", "servers": {"default": server}}
    return config | changes


@dataclass
class Shop:
    """One release and all it needs, in a namespace of its own. Names follow `name`."""

    route_kind: ClassVar[str] = "HTTPRoute"

    cluster: Cluster
    namespace: str
    name: str = "shop"
    owned: bool = False
    loads: list[Load] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Host name its clients use."""
        return f"{self.name}.{self.namespace}.example"

    # ---------------------------------------------------------------- building

    def open(
        self,
        stable: str = "v1",
        canary: str | None = "v1",
        *,
        replicas: int = 2,
        env: Mapping[str, str] | None = None,
    ) -> Shop:
        """Deploys both sides and, unless the operator owns it, the route; returns when all of it serves."""
        self.deploy("stable", stable, replicas=replicas, wait=False, env=env)
        if canary is not None:
            self.deploy("canary", canary, replicas=replicas, wait=False, env=env)
            self.wait_rolled_out("canary")
        self.wait_rolled_out("stable")
        if not self.owned:
            self.apply_route()
            self.wait_serving()
        return self

    def deploy(
        self,
        side: str,
        version: str,
        *,
        replicas: int = 2,
        wait: bool = True,
        error: float = 0.0,
        latency: str = "0s",
        env: Mapping[str, str] | None = None,
    ) -> App:
        """Applies one side's Deployment and Service; a rollout when it is there already."""
        name, ns = f"{self.name}-{side}", self.namespace
        return self.cluster.deploy_app(ns, name, version, replicas, wait=wait, error=error, latency=latency, env=env)

    def wait_rolled_out(self, side: str) -> None:
        """Returns when the side's Deployment is complete."""
        self.cluster.wait_rolled_out(self.namespace, f"{self.name}-{side}")

    def route_manifest(self, canary: int = 0) -> KubeObject:
        """The route as Git has it."""
        backends = [
            {"group": "", "kind": "Service", "name": f"{self.name}-{side}", "port": 8080, "weight": weight}
            for side, weight in (("stable", 100 - canary), ("canary", canary))
        ]
        return {
            "apiVersion": ROUTE_API,
            "kind": self.route_kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "parentRefs": [self.cluster.gateway_parent_ref],
                "hostnames": [self.host],
                "rules": [{"name": "main", "backendRefs": backends}],
            },
        }

    def apply_route(self, canary: int = 0, manager: str = GIT) -> KubeObject:
        """Applies the route as a GitOps tool does: server-side, forced."""
        return self.cluster.apply(self.route_manifest(canary), manager=manager, force=True)

    def wait_serving(self, timeout: float = 30.0) -> None:
        """Returns once the gateway answers a client of this shop with 200."""

        def good() -> bool:
            summary = self.clients(self.host, n=3, rps=50).wait()
            return summary.failed == 0 and summary.codes.get("200", 0) == 3

        wait_for(f"{self.host} serves", good, timeout=timeout, every=0.1)

    def manifest(self, version: str, **spec: object) -> KubeObject:
        """The SparkRelease: three stages of three seconds, at most 1 % errors, a burst over 5 % goes back at once.

        No stage of seconds has the 300 requests that show less than 1 %, so its gates ask for one.
        """
        owned = {"parentRefs": [self.cluster.gateway_parent_ref], "hostnames": [self.host]}
        route = {"owned": owned} if self.owned else {"route": {"name": self.name, "rule": "main"}}
        body: dict[str, Any] = {
            "version": version,
            "traffic": {
                "stable": {"service": f"{self.name}-stable", "port": 8080},
                "canary": {"service": f"{self.name}-canary", "port": 8080},
                "gatewayAPI": route,
            },
            "stages": STAGES,
            "metrics": [ERRORS],
            "thresholds": [{"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1}],
            "triggers": [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "0s"}],
            "settle": {"steps": [50, 0], "interval": "2s"},
        }
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": body | spec,
        }

    def release(self, version: str, **spec: object) -> KubeObject:
        """Applies the release."""
        return self.cluster.apply(self.manifest(version, **spec), manager=GIT)

    def ship(
        self,
        version: str,
        *,
        error: float = 0.0,
        latency: str = "0s",
        env: Mapping[str, str] | None = None,
        **spec: object,
    ) -> None:
        """What a team's push does: the new pods behind canary and the new version in the release, together."""
        self.deploy("canary", version, wait=False, error=error, latency=latency, env=env)
        self.release(version, **spec)

    def start_load(self, rps: float = 100, duration: float = 120) -> Load:
        """Clients of this shop, through the gateway, bounded in time."""
        load = self.clients(self.host, rps=rps, duration=duration)
        self.loads.append(load)
        return load

    def clients(self, host: str, *, rps: float, n: int | None = None, duration: float | None = None) -> Load:
        """Clients as this shop has them, at a host; nobody waits for their end."""
        return self.cluster.start_load(host, rps=rps, n=n, duration=duration)

    def open_side_door(self, rps: float, duration: float = 120) -> Load:
        """Clients that reach canary alone, by a route that is none of the release's."""
        route = self.route_manifest(canary=100)
        route["metadata"]["name"] = f"{self.name}-side-door"
        route["spec"]["hostnames"] = [f"side.{self.host}"]
        self.cluster.apply(route, manager=GIT)
        self.loads.append(self.clients(f"side.{self.host}", rps=rps, duration=duration))
        return self.loads[-1]

    def close(self) -> None:
        """Ends the clients and asks for the namespace to go."""
        for load in self.loads:
            if load.running:
                load.stop()
        self.cluster.delete("v1", "Namespace", self.namespace)

    # ---------------------------------------------------------------- looking

    def get(self) -> KubeObject:
        """The release as stored."""
        return self.cluster.get(API_VERSION, KIND, self.name, self.namespace)

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status; empty before the first one is written."""
        found: Mapping[str, Any] = self.get().get("status", {})
        return found

    def condition(self, kind: str) -> Mapping[str, Any]:
        """One condition; empty when it is not said."""
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    def reason(self, kind: str = "Ready") -> str:
        """Reason of a condition."""
        return str(self.condition(kind).get("reason", ""))

    def route_object(self) -> KubeObject:
        """The route as stored."""
        return self.cluster.get(ROUTE_API, self.route_kind, self.name, self.namespace)

    def canary_weight(self) -> float:
        """Canary's percent of the first rule, by the route itself."""
        return canary_percent(self.route_object(), f"{self.name}-canary")

    def weights_written(self, since: int) -> Iterator[tuple[AuditEvent, float]]:
        """Every write of the route that was taken after a cursor of the audit log, and canary's percent by it."""
        for event in self.cluster.audit_events(since):
            about = (event.resource, event.subresource, event.namespace, event.name)
            route = (f"{self.route_kind.lower()}s", "", self.namespace, self.name)
            mine = about == route and event.writes and event.code < 300
            if mine and "spec" in event.response:  # a deletion is answered with a Status
                yield event, canary_percent(event.response, f"{self.name}-canary")

    def statuses_written(self, since: int) -> Iterator[tuple[AuditEvent, KubeObject]]:
        """Every write of the release's status after a cursor of the audit log, in order, and the status by it."""
        for event in self.cluster.audit_events(since):
            about = (event.resource, event.subresource, event.namespace, event.name)
            mine = about == ("sparkreleases", "status", self.namespace, self.name) and event.writes
            if mine and event.code < 300 and "status" in event.response:
                yield event, event.response["status"]

    # ---------------------------------------------------------------- waiting

    def until(self, what: str, seen: Callable[[Mapping[str, Any]], bool], timeout: float = 60.0) -> Mapping[str, Any]:
        """Waits for something in the status; the error says what stood there instead."""
        latest: dict[str, Any] = {}

        def looked() -> bool:
            latest.clear()
            latest.update(self.status)
            return seen(latest)

        try:
            wait_for(what, looked, timeout=timeout, every=0.05, expected=(ApiError, KeyError))
        except TimeoutError as late:
            conditions = {
                c["type"]: f"{c['status']} {c['reason']}: {c['message']}" for c in latest.get("conditions", [])
            }
            raise AssertionError(
                f"{late}\nphase {latest.get('phase')} weight {latest.get('weight')}\n{conditions}"
            ) from late
        return latest

    def until_phase(self, phase: str, timeout: float = 60.0) -> Mapping[str, Any]:
        """Waits for a phase."""
        return self.until(f"{self.namespace}/{self.name} {phase}", lambda s: s.get("phase") == phase, timeout)

    def until_condition(self, kind: str, status: str = "True", reason: str = "", timeout: float = 60.0) -> None:
        """Waits for a condition, and for its reason where one is given."""

        def said(latest: Mapping[str, Any]) -> bool:
            found: Mapping[str, Any] = next((c for c in latest.get("conditions", []) if c["type"] == kind), {})
            return found.get("status") == status and reason in {"", found.get("reason")}

        self.until(f"{self.namespace}/{self.name} {kind}={status} {reason}", said, timeout)

    def until_weight(self, weight: float, timeout: float = 60.0) -> None:
        """Waits until the route itself gives canary this weight."""
        wait_for(
            f"{self.namespace}/{self.name} weight {weight:g}",
            lambda: abs(self.canary_weight() - weight) < 0.01,
            timeout=timeout,
            every=0.02,
            expected=(ApiError,),
        )

    def until_written(self, weight: float, since: int, timeout: float = 60.0) -> None:
        """Waits until a write has given canary this weight after a cursor of the audit log, whatever it has by now.

        For a weight that is soon followed by another one: who looks at the route may come too late.
        """
        wait_for(
            f"{self.namespace}/{self.name} is given {weight:g}",
            lambda: any(abs(given - weight) < 0.01 for _, given in self.weights_written(since)),
            timeout=timeout,
        )

    def until_settled(self, version: str, timeout: float = 60.0) -> None:
        """Waits until a run has brought the version to stable."""

        def settled(latest: Mapping[str, Any]) -> bool:
            found = latest.get("settled") or {}
            return found.get("version") == version and not found.get("observed", False)

        self.until(f"{version} settled", settled, timeout)


def canary_percent(route: KubeObject, canary: str) -> float:
    """Canary's share of a route's first rule in percent, by its weights."""
    backends = route["spec"]["rules"][0]["backendRefs"]
    whole = sum(b.get("weight", 1) for b in backends)
    mine = sum(b.get("weight", 1) for b in backends if b["name"] == canary)
    return 100 * mine / whole if whole else 0.0


def mirrors_to(route: KubeObject, canary: str) -> bool:
    """Whether any rule of a route mirrors requests to canary."""
    filters = [one for rule in route.get("spec", {}).get("rules", []) for one in rule.get("filters", [])]
    return any(one.get("requestMirror", {}).get("backendRef", {}).get("name") == canary for one in filters)
