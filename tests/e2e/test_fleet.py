"""Fifty releases on trial while Prometheus is away: all hold, none goes back, all go on when it returns."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from e2e.conftest import operator_user, promises_broken
from testbed.shop import API_VERSION, KIND, Shop, canary_percent
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

FLEET = 50
MINUTE = 3.0
"""Seconds that stand for a minute here."""

STAGES = [{"name": "quarter", "weight": 25, "duration": "15s"}, {"name": "full", "weight": 100, "duration": "15s"}]
LIMITS = {"rollbackAfter": f"{5 * MINUTE:g}s", "serverRollbackAfter": f"{15 * MINUTE:g}s"}

CALM = {"duration": "60s", "renew": "2s", "deadline": "45s"}
"""A Lease that outlasts an API server busy with fifty releases on a small machine."""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_fleet_holds_through_ten_scaled_minutes_without_prometheus_and_goes_on(
    operators: SoleOperator, cluster: Cluster
) -> None:
    ns = cluster.namespace("fleet")
    names = [f"rel-{i:02d}" for i in range(FLEET)]
    exporter = cluster.start_exporter()
    exporter.set_many(
        [
            {"namespace": ns, "service": f"{name}-{side}", "rps": 20.0, "error": 0.0}
            for name in names
            for side in ("stable", "canary")
        ]
    )
    operators.stop()
    since = cluster.audit_cursor()
    try:
        cluster.deploy_app(ns, "pool-stable", "v1", 1)
        cluster.deploy_app(ns, "pool-canary", "v2", 1)
        with ThreadPoolExecutor(8) as threads:
            fleet = list(threads.map(lambda name: make(cluster, ns, name), names))
        operators.run(lease=CALM)
        wait_for("all on trial", lambda: min(weights(cluster, ns)) >= 25, timeout=120, every=0.5)
        cluster.prometheus.stop()
        end = time.monotonic() + 10 * MINUTE
        wait_for("all are blind", lambda: all_say(cluster, ns, "MetricsAvailable", "False"), timeout=60, every=0.5)
        before = weights(cluster, ns)
        wait_for("ten scaled minutes", lambda: time.monotonic() >= end, timeout=90, every=0.5)
        assert all_say(cluster, ns, "MetricsAvailable", "False")
        assert weights(cluster, ns) == before, "they hold"
        cluster.prometheus.start()
        wait_for("all promoted", lambda: all_say(cluster, ns, "Promoted", "True"), timeout=180, every=0.5)
        writes = [event for event in cluster.audit_events(since) if event.writes]
        mine = [e for e in writes if (e.resource, e.namespace, e.user) == ("sparkreleases", ns, operator_user())]
        assert {event.name for event in mine} == set(names)
        assert [text for shop in fleet for text in promises_broken(shop, writes, beside=names)] == []
    finally:
        exporter.stop()
        cluster.delete("v1", "Namespace", ns)


def make(cluster: Cluster, ns: str, name: str) -> Shop:
    """A release whose two Services share the pool's pods; its metrics come from the exporter."""
    shop = Shop(cluster, ns, name)
    for side in ("stable", "canary"):
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"{name}-{side}", "namespace": ns},
                "spec": {"selector": {"app": f"pool-{side}"}, "ports": [{"name": "web", "port": 8080}]},
            }
        )
    shop.apply_route()
    shop.release("v2", stages=STAGES, noData=LIMITS)
    return shop


def weights(cluster: Cluster, ns: str) -> list[float]:
    """Canary weights of all releases, by their routes."""
    routes = cluster.list("gateway.networking.k8s.io/v1", "HTTPRoute", ns)
    return [canary_percent(route, f"{route['metadata']['name']}-canary") for route in routes]


def all_say(cluster: Cluster, ns: str, kind: str, status: str) -> bool:
    """Whether every release says this condition with this status."""
    said = [
        {c["type"]: c["status"] for c in release.get("status", {}).get("conditions", [])}.get(kind)
        for release in cluster.list(API_VERSION, KIND, ns)
    ]
    return said == [status] * FLEET
