"""Native histograms of a real Prometheus, from preflight to readings and gates, and what `plan` and `backtest` say."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import urllib3
import yaml
from typer.testing import CliRunner

from cluster.metrics.conftest import Shop, release
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.app import app
from sparkrelease.decide.facts import Buckets, Missing
from testbed.prometheus import query
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from testbed.cluster import Cluster

LATENCY = {"name": "latency", "quantile": 0.95}
SECONDS_BEFORE = timedelta(seconds=2)
"""How much earlier a gate's window begins: it is moved inwards to a full second, and nothing was answered before."""

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


async def found(shop: Shop, buckets: str, limit: float) -> list[tuple[bool, Reason, str]]:
    """What preflight says of a limit on what was pushed."""
    thresholds = [{"name": "p95", "metric": "latency", "max": limit}]
    spec = release(metrics=[LATENCY | {"buckets": buckets}], thresholds=thresholds, triggers=[])
    findings = await shop.measuring.preflight(shop.key, spec, datetime.now(UTC))
    return [(one.fatal, one.problem.reason, one.problem.message) for one in findings]


async def test_preflight_takes_a_native_histogram_by_its_name_and_a_limit_by_its_bounds(shop: Shop) -> None:
    push(shop.cluster, shop.namespace, "shop-stable")
    stored = f'histogram_count(order_duration_seconds{{namespace="{shop.namespace}"}})'
    wait_for("the histogram", lambda: query(shop.cluster.prometheus_local_url, stored), timeout=10)

    ((fatal, reason, message),) = await found(shop, "order_duration_seconds_bucket", 0.25)
    assert (fatal, reason) == (True, Reason.NATIVE_HISTOGRAM)
    assert "(buckets: order_duration_seconds)" in message

    for limit in (0.125, 0.1363, 0.25, 0.2102):
        assert await found(shop, "order_duration_seconds", limit) == []
    for limit, nearest in ((0.13, "0.125 and 0.1363"), (0.2, "0.1928 and 0.2102")):
        ((fatal, reason, message),) = await found(shop, "order_duration_seconds", limit)
        assert (fatal, reason) == (True, Reason.BUCKET_EDGE)
        assert nearest in message


async def test_readings_and_gates_count_what_pods_observed_in_a_native_histogram(native_shop: Shop) -> None:
    shop, began = native_shop, datetime.now(UTC) - SECONDS_BEFORE
    fast = (await shop.send_to_canary(50)).versions["v2"]
    await shop.until("the first load", lambda f: f["latency"].canary == Buckets({0.25: fast}, fast))
    shop.cluster.set_app(shop.namespace, shop.canary.selector, latency="400ms")
    slow = (await shop.send(30, rps=60)).versions["v2"]
    both = Buckets({0.25: fast}, fast + slow)
    await shop.until("both loads", lambda f: f["latency"].canary == both)

    now = datetime.now(UTC)
    gate = (await shop.measuring.gate(shop.key, shop.spec, now - began, now))["p95"]
    assert gate.canary == both
    inside = release(
        metrics=[{**LATENCY, "buckets": "http_request_duration_seconds", "window": "30s"}],
        thresholds=[{"name": "p95", "metric": "latency", "max": 0.4}],
        triggers=[],
    )
    found = (await shop.measuring.gate(shop.key, inside, now - began, now))["p95"].canary
    assert isinstance(found, Missing)
    assert found.reason is Reason.BUCKET_EDGE
    assert "0.3856 and 0.4204" in found.message, "a limit inside a filled bucket is told with its nearest bounds"

    await shop.until("only what is slow", lambda f: f["latency"].canary == Buckets({0.25: 0}, slow), within=50)


async def test_plan_and_backtest_read_native_histograms(native_shop: Shop, tmp_path: Path) -> None:
    shop, url = native_shop, native_shop.cluster.prometheus_local_url
    shop.route(canary=50)
    began = datetime.now(UTC)
    await shop.send(1000, rps=100)
    shop.cluster.set_app(shop.namespace, shop.canary.selector, latency="400ms")
    slower = datetime.now(UTC)
    await shop.send(1000, rps=100)
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(shop)))

    def run(command: str, *args: str) -> Result:
        return CliRunner().invoke(app, [command, "-f", str(file), "--prometheus", url, *args])

    planned = await asyncio.to_thread(run, "plan", "-o", "json")
    assert planned.exit_code == 0, planned.output
    queries = json.loads(planned.output)["queries"]
    assert [one for one in queries if "missing" in one] == []
    reading = next(one["canary"] for one in queries if one["purpose"] == "reading" and one["metric"] == "latency")
    fast = [count for edge, count in reading["le"].items() if float(edge) <= 0.25]
    assert max(fast, default=0) == 0 < max(reading["le"].values()) == reading["total"]

    roles = ["--stable", "shop-stable", "--canary", "shop-canary"]
    span = ["--from", (began + timedelta(seconds=5)).isoformat(), "--to", datetime.now(UTC).isoformat()]
    tried = await asyncio.to_thread(run, "backtest", *roles, *span, "--step", "1s", "-o", "json")
    assert tried.exit_code == 0, tried.output
    (stretch,) = next(rule for rule in json.loads(tried.output)["rules"] if rule["rule"] == "slow")["stretches"]
    first = datetime.fromisoformat(stretch["from"])
    assert slower <= first <= slower + timedelta(seconds=5)


def manifest(shop: Shop) -> dict[str, object]:
    spec = shop.spec
    return {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "metadata": {"name": "shop", "namespace": shop.namespace},
        "spec": {
            "version": "v2",
            "traffic": {
                "stable": {"service": "shop-stable", "port": 8080},
                "canary": {"service": "shop-canary", "port": 8080},
                "gatewayAPI": {"route": {"name": "shop"}},
            },
            "stages": [{"name": "half", "weight": 50, "duration": "5s"}],
            "metrics": [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in spec.metrics],
            "thresholds": [{"name": "p95", "metric": "latency", "max": 0.25, "minRequests": 1}],
            "triggers": [{"name": "slow", "all": [{"metric": "latency", "op": ">", "value": 0.25}]}],
        },
    }
