"""Native histograms of a real Prometheus: refused before a run, by name and with the remedy."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import urllib3

from cluster.metrics.conftest import Shop, release
from sparkrelease.api.reasons import Reason
from testbed.prometheus import query
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster

LATENCY = {"name": "latency", "quantile": 0.95}
LIMIT = [{"name": "p95", "metric": "latency", "max": 0.25}]

SOME_SECONDS = 5 * 10**9
"""Nanoseconds the pushed sample is old: questions are asked for a moment that has passed already."""


def push(cluster: Cluster, namespace: str, service: str) -> None:
    """One exponential histogram, as an OpenTelemetry client sends it; Prometheus stores it as a native one."""
    now = time.time_ns() - SOME_SECONDS
    point = {
        "startTimeUnixNano": str(now - 10**9),
        "timeUnixNano": str(now),
        "count": "60",
        "sum": 9.0,
        "scale": 3,
        "zeroCount": "0",
        "positive": {"offset": -24, "bucketCounts": ["10", "20", "30"]},
        "attributes": [
            {"key": key, "value": {"stringValue": value}}
            for key, value in (("namespace", namespace), ("service", service))
        ],
    }
    histogram = {"aggregationTemporality": 2, "dataPoints": [point]}
    metric = {"name": "order_duration", "unit": "s", "exponentialHistogram": histogram}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    url = f"{cluster.prometheus_local_url}/api/v1/otlp/v1/metrics"
    answer = urllib3.request("POST", url, body=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status == 200, answer.data


async def test_a_native_histogram_is_refused_at_preflight_whichever_way_it_is_named(shop: Shop) -> None:
    push(shop.cluster, shop.namespace, "shop-stable")
    stored = f'histogram_count(order_duration_seconds{{namespace="{shop.namespace}"}})'
    wait_for("the histogram", lambda: query(shop.cluster.prometheus_local_url, stored), timeout=10)
    for name in ("order_duration_seconds", "order_duration_seconds_bucket"):
        spec = release(metrics=[LATENCY | {"buckets": name}], thresholds=LIMIT, triggers=[])
        [found] = await shop.measuring.preflight(shop.key, spec, datetime.now(UTC))
        assert (found.fatal, found.problem.reason) == (True, Reason.NATIVE_HISTOGRAM)
        assert f"{name} is a native histogram" in found.problem.message
