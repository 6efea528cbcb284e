"""The harness for Gateway API routes, on whichever lane the cluster is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from conformance.harness import FOREIGN_MANAGER, DisturbedLane, Provider, Served, Snapshot
from sparkrelease.adapters.clock import SystemClock
from sparkrelease.adapters.traffic.gateway_api import GatewayAPIProvider
from sparkrelease.api.spec import Traffic
from sparkrelease.ports.api_server import ApiServer
from sparkrelease.ports.traffic import Target
from testbed import app
from testbed.kubeapi import ApiError, KubeObject
from testbed.load import Load
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster

API = "gateway.networking.k8s.io/v1"
STABLE, CANARY = "shop-stable", "shop-canary"
PORT = 8080
OTHER_HEADER = "x-edited"
PATHS = {"HTTPRoute": ("/", "/api"), "GRPCRoute": ("/api.Stock/Count", "/api.Shop/Buy")}
"""Requests the rule `rest` takes, and those the rule `api` takes. A GRPCRoute's are gRPC calls, and these methods."""


def served(versions: Counter[str]) -> Served:
    """Good answers by version as good answers by role."""
    return Served(stable=versions["v1"], canary=versions["v2"], failed=0)


@dataclass
class RunningTraffic:
    """A load generator seen as clients."""

    load: Load

    def answered(self, count: int) -> None:
        self.load.wait_answered(sum(1 for _ in self.load.answers()) + count)

    def stop(self) -> Served:
        self.load.stop()
        answers = list(self.load.answers())
        good = Counter(answer.version for answer in answers if not answer.failed)
        result = served(good)
        return replace(result, failed=len(answers) - result.stable - result.canary)


@dataclass
class GatewayRoutes:
    """ProviderHarness for one HTTPRoute or GRPCRoute, referenced or owned.

    `lanes` opens lanes to the API server: the operator's own, and a stranger's that may only read.
    """

    cluster: Cluster
    namespace: str
    name: str
    kind: str
    owned: bool
    lane: ApiServer
    strange_lane: ApiServer
    loads: list[Load] = field(default_factory=list)

    @property
    def counts_changes(self) -> bool:
        return True

    @property
    def has_other_rule(self) -> bool:
        return not self.owned

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.example"

    @property
    def target(self) -> Target:
        return Target(self.namespace, self.name, "release-uid", self._traffic(), self.kind, self.name, owned=self.owned)

    # ------------------------------------------------------------ providers

    def provider(self) -> tuple[Provider, DisturbedLane]:
        lane = DisturbedLane(self.lane)
        return GatewayAPIProvider(lane, lane, SystemClock()), lane

    def stranger(self) -> Provider:
        return GatewayAPIProvider(self.strange_lane, self.strange_lane, SystemClock())

    def show(self, provider: Provider) -> None:
        for kind in ("GatewayClass", "Gateway", self.kind):
            for body in self.cluster.list(API, kind):
                provider.see(kind, "MODIFIED", body)

    # ------------------------------------------------------------ the route

    def put_route(self) -> None:
        self.cluster.apply(self._manifest(0), manager=FOREIGN_MANAGER)
        self._wait_serving()

    def drop_route(self) -> None:
        self.cluster.delete(API, self.kind, self.name, self.namespace)
        wait_for("route deleted", lambda: self._get() is None)

    @contextmanager
    def drop_canary_service(self) -> Iterator[None]:
        service = self.cluster.get("v1", "Service", CANARY, self.namespace)
        self.cluster.delete("v1", "Service", CANARY, self.namespace)
        try:
            yield
        finally:
            for key in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
                service["metadata"].pop(key, None)
            for key in ("clusterIP", "clusterIPs"):
                service["spec"].pop(key, None)
            self.cluster.create(service)
            wait_for("canary endpoints", self._canary_ready)

    def snapshot(self) -> Snapshot | None:
        body = self._get()
        if body is None:
            return None
        metadata = body["metadata"]
        weights, explicit = [], True
        for rule in body["spec"]["rules"]:
            refs = {ref["name"]: ref.get("weight") for ref in rule["backendRefs"]}
            if {STABLE, CANARY} <= set(refs):
                explicit = explicit and None not in refs.values()
                whole = sum(weight or 0 for weight in refs.values())
                weights.append((100 * refs[STABLE] / whole, 100 * refs[CANARY] / whole))
        marks = {k: v for k, v in metadata.get("annotations", {}).items() if k.startswith("sparkrelease.dev/")}
        others = {k: v for k, v in metadata.get("annotations", {}).items() if k not in marks}
        said = json.dumps([body["spec"], metadata.get("labels", {}), others], sort_keys=True)
        return Snapshot(metadata["resourceVersion"], metadata["generation"], tuple(weights), explicit, said, marks)

    def write_weights(self, canary: float) -> None:
        body = self._get()
        assert body is not None
        for rule in body["spec"]["rules"]:
            for ref in rule["backendRefs"]:
                ref["weight"] = {STABLE: 100 - int(canary), CANARY: int(canary)}.get(ref["name"], ref.get("weight"))
        spec = {"rules": body["spec"]["rules"], "parentRefs": body["spec"]["parentRefs"]}
        metadata = {"name": self.name, "namespace": self.namespace}
        self.cluster.apply(
            {"apiVersion": API, "kind": self.kind, "metadata": metadata, "spec": spec}, manager=FOREIGN_MANAGER
        )

    def edit_other_rule(self) -> Callable[[], bool]:
        header = {"type": "Exact", "name": OTHER_HEADER, "value": "yes"}
        path = "/spec/rules/0/matches/0/headers/0"
        self.cluster.patch(
            API, self.kind, self.name, self.namespace, [{"op": "replace", "path": path, "value": header}]
        )

        def still_there() -> bool:
            body = self._get()
            return body is not None and body["spec"]["rules"][0]["matches"][0]["headers"] == [header]

        return still_there

    def touch_status(self) -> None:
        condition = {
            "type": "Accepted",
            "status": "False",
            "reason": "Left",
            "message": "written long ago",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        entry = {
            "parentRef": {"name": "left-from-another-gateway"},
            "controllerName": "example.com/other",
            "conditions": [condition],
        }
        body = self._get()
        assert body is not None
        parents = [*body.get("status", {}).get("parents", []), entry]
        self.cluster.patch(
            API, self.kind, self.name, self.namespace, {"status": {"parents": parents}}, subresource="status"
        )

    # ------------------------------------------------------------ the gateway and its clients

    @contextmanager
    def gateway_asleep(self) -> Iterator[None]:
        self.cluster.gateway_controller.pause()
        try:
            yield
        finally:
            self.cluster.gateway_controller.resume()

    def serve(self, requests: int) -> Served:
        versions: Counter[str] = Counter()
        counted = requests // 2
        for path in PATHS[self.kind]:
            self._wait_switched(path)
            load = self._start(rps=2000, n=counted, concurrency=16, path=path)
            load.wait()
            versions.update(answer.version for answer in load.answers() if not answer.failed)
        result = served(versions)
        return replace(result, failed=2 * counted - result.stable - result.canary)

    def reached_canary(self) -> int:
        pods = self.cluster.list("v1", "Pod", self.namespace, labels=f"app={CANARY}")
        return sum(app.requests(self.cluster.pod_url(pod)) for pod in pods if pod["status"].get("podIP"))

    def add_filter(self) -> Callable[[], bool]:
        """A header the team puts on every request of the managed rules; GRPCRoute has the same filter."""
        header = {"set": [{"name": OTHER_HEADER, "value": "yes"}]}
        filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": header}]
        if self.owned:
            return lambda: True
        places = [f"/spec/rules/{place}/filters" for place in (1, 2)]
        ops = [{"op": "add", "path": path, "value": filters} for path in places]
        self.cluster.patch(API, self.kind, self.name, self.namespace, ops)

        def still_there() -> bool:
            body = self._get()
            return body is not None and all(filters[0] in rule["filters"] for rule in body["spec"]["rules"][1:])

        return still_there

    def start_traffic(self, rps: float) -> RunningTraffic:
        self._wait_serving()
        return RunningTraffic(self._start(rps=rps, duration=100))

    def close(self) -> None:
        """Ends what was started."""
        for load in self.loads:
            if load.running:
                load.stop()
        self.cluster.delete(API, self.kind, self.name, self.namespace)

    # ------------------------------------------------------------ parts

    def _start(self, **options: Any) -> Load:  # noqa: ANN401 - the load generator's own
        rest, _ = PATHS[self.kind]
        load = self.cluster.start_load(self.host, **{"path": rest, "grpc": self.kind == "GRPCRoute"} | options)
        self.loads.append(load)
        return load

    def _wait_serving(self) -> None:
        def good() -> bool:
            return self._start(rps=50, n=3).wait().codes == {"200": 3}

        wait_for(f"{self.host} serves", good, every=0.1)

    def _wait_switched(self, path: str) -> None:
        """A gateway says yes before it switches: returns once clients of this path meet the sides the route names."""
        route = self.snapshot()
        assert route is not None
        wanted = {version for version, weight in zip(("v1", "v2"), route.weights[0], strict=True) if weight}
        met: set[str] = set()

        def switched() -> bool:
            seen = set(self._start(rps=1000, n=50, path=path).wait().versions)
            met.update(seen)
            return seen == wanted or (len(wanted) > 1 and wanted <= met)  # a small share is not met every time

        wait_for(f"{self.host}{path} answered by {' and '.join(sorted(wanted))}", switched, timeout=15)

    def _get(self) -> KubeObject | None:
        try:
            return self.cluster.get(API, self.kind, self.name, self.namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def _canary_ready(self) -> bool:
        labels = f"kubernetes.io/service-name={CANARY}"
        slices = self.cluster.list("discovery.k8s.io/v1", "EndpointSlice", self.namespace, labels=labels)
        return any(endpoint["conditions"].get("ready") for s in slices for endpoint in s.get("endpoints") or [])

    def _traffic(self) -> Traffic:
        sides = {side: {"service": f"shop-{side}", "port": PORT} for side in ("stable", "canary")}
        if self.owned:
            call = {"method": {"service": "api.Shop", "method": "Buy"}}
            match = call if self.kind == "GRPCRoute" else {"path": {"value": PATHS[self.kind][1]}}
            owned = {
                "kind": self.kind,
                "parentRefs": [self.cluster.gateway_parent_ref],
                "hostnames": [self.host],
                "rules": [{"name": "api", "matches": [match]}, {"name": "rest"}],
            }
            return Traffic.model_validate({**sides, "gatewayAPI": {"owned": owned}})
        return Traffic.model_validate({**sides, "gatewayAPI": {"route": {"kind": self.kind, "name": self.name}}})

    def _manifest(self, canary: int) -> KubeObject:
        """Referenced: a rule of the team's own, then two that are managed. To be adopted: one that knows no canary."""
        if self.owned:
            rules = [{"backendRefs": [_backend(STABLE, 1)]}]
        else:
            header = {"type": "Exact", "name": "x-preview", "value": "1"}
            both = [_backend(STABLE, 100 - canary), _backend(CANARY, canary)]
            match: dict[str, Any] = {"path": {"type": "PathPrefix", "value": "/api"}}
            if self.kind == "GRPCRoute":
                match = {"method": {"type": "Exact", "service": "api.Shop", "method": "Buy"}}
            rules = [
                {"name": "preview", "matches": [{"headers": [header]}], "backendRefs": [_backend(CANARY, 1)]},
                {"name": "api", "matches": [match], "backendRefs": both},
                {"name": "rest", "backendRefs": both},
            ]
        return {
            "apiVersion": API,
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace, "annotations": {"team": "shop"}},
            "spec": {
                "parentRefs": [self.cluster.gateway_parent_ref],
                "hostnames": [self.host],
                "rules": rules,
            },
        }


def _backend(service: str, weight: int) -> KubeObject:
    return {"group": "", "kind": "Service", "name": service, "port": PORT, "weight": weight}
