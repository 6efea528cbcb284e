"""Two Services behind one route of the real gateway, read by the real adapter from the real Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest_asyncio

from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.decide.facts import MetricFacts, Share
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.ports.cluster import ObjectKey
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import App, Cluster
    from testbed.load import LoadSummary

GATEWAY_COUNTER = "envoy_cluster_upstream_rq_total"
METRICS = [
    {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total", "window": "20s"},
    {"name": "latency", "buckets": "http_request_duration_seconds_bucket", "quantile": 0.95, "window": "20s"},
    {"name": "streams", "value": "sum by ($by) (http_open_streams{$sel})", "window": "20s"},
]


@dataclass
class Shop:
    """A release's two sides, and its measurements."""

    cluster: Cluster
    namespace: str
    stable: App
    canary: App
    measuring: Measurements
    spec: ResolvedSpec
    probes: int = 0
    """Answers of stable to the question whether the gateway serves it."""
    key: ObjectKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = ObjectKey(self.namespace, "shop")
        self.measuring.follow(self.key, self.spec)

    @property
    def host(self) -> str:
        return f"{self.namespace}.example"

    def route(self, canary: int) -> None:
        """Sends this share of the requests, in percent, to canary."""
        backends = [
            {"name": "shop-stable", "port": 8080, "weight": 100 - canary},
            {"name": "shop-canary", "port": 8080, "weight": canary},
        ]
        self.cluster.apply(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": "shop", "namespace": self.namespace},
                "spec": {
                    "parentRefs": [self.cluster.gateway_parent_ref],
                    "hostnames": [self.host],
                    "rules": [{"backendRefs": backends}],
                },
            }
        )

    async def send(self, count: int, *, rps: float = 200.0) -> LoadSummary:
        """Sends that many requests through the gateway and answers what the client saw."""
        load = self.cluster.start_load(self.host, n=count, rps=rps)
        return await asyncio.to_thread(load.wait, 60.0)

    async def send_to_canary(self, count: int) -> LoadSummary:
        """Sends until canary has answered at least so many: the gateway may need a moment to turn to it."""
        load = self.cluster.start_load(self.host, rps=200.0, duration=60.0)

        def enough() -> bool:
            return load.versions_since(0)["v2"] >= count

        await asyncio.to_thread(wait_for, f"{count} answers of canary", enough)
        return await asyncio.to_thread(load.stop)

    async def until_served(self, version: str) -> int:
        """Waits until requests are answered by one version only; the number of its answers meanwhile."""
        answers = 0
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while (seen := (await self.send(3)).versions) != {version: 3}:
            answers += seen.get(version, 0)
            assert datetime.now(UTC) < deadline, f"the gateway does not send to {version}"
        return answers + 3

    async def look(self) -> dict[str, MetricFacts]:
        """The readings of this moment."""
        await self.measuring.tick(datetime.now(UTC))
        return dict(self.measuring.readings(self.key))

    async def share(self) -> Share | None:
        """The measured share of this moment."""
        await self.measuring.tick(datetime.now(UTC))
        return self.measuring.share(self.key)

    async def until(
        self, what: str, condition: Callable[[Mapping[str, MetricFacts]], bool], *, within: float = 30.0
    ) -> dict[str, MetricFacts]:
        """The first readings of which the condition holds."""
        deadline = datetime.now(UTC) + timedelta(seconds=within)
        while True:
            facts = await self.look()
            if condition(facts):
                return facts
            assert datetime.now(UTC) < deadline, f"{what}: {facts}"
            await asyncio.sleep(0.2)


def config(url: str, **server: object) -> OperatorConfig:
    """An operator's configuration with this one server."""
    declared = {"url": url, "timeout": "2s", "maxAge": "10s", **server}
    return OperatorConfig.model_validate({"tick": "1s", "servers": {"default": declared}})


def release(**fields: object) -> ResolvedSpec:
    """The spec of the release under test."""
    declared = {
        "version": "v2",
        "traffic": {
            "stable": {"service": "shop-stable", "port": 8080},
            "canary": {"service": "shop-canary", "port": 8080},
            "gatewayAPI": {"route": {"name": "shop"}},
        },
        "stages": [{"name": "half", "weight": 50, "duration": "1m"}],
        "metrics": METRICS,
        "thresholds": [{"name": "p95", "metric": "latency", "max": 0.2}],
        "triggers": [
            {"name": "errors", "all": [{"metric": "http", "op": ">", "value": 0.05}]},
            {"name": "slow", "all": [{"metric": "latency", "op": ">", "value": 5}]},
            {"name": "streams", "all": [{"metric": "streams", "op": ">", "value": 100}]},
        ],
        **fields,
    }
    found = resolve(SparkReleaseSpec.model_validate(declared), None)
    assert isinstance(found, ResolvedSpec), found
    return found


@pytest_asyncio.fixture
async def shop(cluster: Cluster, ns: str) -> AsyncIterator[Shop]:
    """Stable and canary, rolled out, all requests to canary; nothing has been sent yet."""
    async for made in _opened(cluster, ns, release()):
        yield made


@pytest_asyncio.fixture
async def native_shop(cluster: Cluster, ns: str) -> AsyncIterator[Shop]:
    """The same of pods that expose their latencies as a native histogram of scale 3 alone."""
    latency = {"name": "latency", "buckets": "http_request_duration_seconds", "quantile": 0.95, "unit": "s"}
    spec = release(
        metrics=[latency | {"window": "20s"}],
        thresholds=[{"name": "p95", "metric": "latency", "max": 0.25, "minRequests": 1}],
        triggers=[{"name": "slow", "all": [{"metric": "latency", "op": ">", "value": 0.25}]}],
    )
    async for made in _opened(cluster, ns, spec, {"NATIVE_SCALE": "3"}):
        yield made


async def _opened(
    cluster: Cluster, ns: str, spec: ResolvedSpec, env: Mapping[str, str] | None = None
) -> AsyncIterator[Shop]:
    stable = cluster.deploy_app(ns, "shop-stable", "v1", env=env)
    canary = cluster.deploy_app(ns, "shop-canary", "v2", env=env)
    share = {"counter": GATEWAY_COUNTER, "judged": True, "window": "40s"}
    declared = config(cluster.prometheus_local_url, share=share)
    source = PrometheusSource(declared.servers)
    made = Shop(cluster, ns, stable, canary, Measurements(source, declared, OperatorMetrics()), spec)
    made.route(canary=0)
    made.probes = await made.until_served("v1")
    made.route(canary=100)
    yield made
    source.close()
