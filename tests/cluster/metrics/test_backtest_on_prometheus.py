"""What `plan` and `backtest` say of a real Prometheus, about traffic the test makes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from typer.testing import CliRunner

from sparkrelease.cli.app import app
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from click.testing import Result

    from cluster.metrics.conftest import Shop

WINDOW = timedelta(seconds=5)
QUIET, BURST = 15, 8
"""Seconds of traffic."""

RPS = 100


def manifest(shop: Shop) -> dict[str, Any]:
    metrics = [
        {
            "name": "http",
            "bad": 'http_requests_total{code=~"5.."}',
            "total": "http_requests_total",
            "window": "5s",
            "every": "2s",
        },
        {"name": "latency", "buckets": "http_request_duration_seconds_bucket", "quantile": 0.95, "window": "5s"},
        {"name": "streams", "value": "sum by ($by) (http_open_streams{$sel})", "window": "5s"},
    ]
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
            "stages": [
                {"name": "five", "weight": 5, "duration": "2s"},
                {"name": "full", "weight": 100, "duration": "2s"},
            ],
            "metrics": metrics,
            "thresholds": [{"name": "p95", "metric": "latency", "max": 0.2, "minRequests": 1}],
            "triggers": [
                {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.1}]},
                {"name": "streams", "all": [{"metric": "streams", "op": ">", "value": 10000}]},
            ],
        },
    }


def run(shop: Shop, folder: Path, *args: str) -> Result:
    file = folder / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(shop)))
    command, *more = args
    url = shop.cluster.prometheus_local_url
    return CliRunner().invoke(app, [command, "-f", str(file), "--prometheus", url, *more])


async def test_every_query_of_a_release_is_answered(shop: Shop, tmp_path: Path) -> None:
    shop.route(canary=50)
    await shop.send(200)
    await shop.until("both roles", lambda f: all(hasattr(one.stable, "total") for one in (f["http"], f["latency"])))

    def planned() -> Result | None:
        """The plan, once the tenth of a second it asks about is no older than the first samples."""
        done = run(shop, tmp_path, "plan", "-o", "json")
        return done if done.exit_code == 0 else None

    done = await asyncio.to_thread(wait_for, "a plan without findings", planned, timeout=10)
    queries = json.loads(done.output)["queries"]
    assert {one["metric"] for one in queries} == {"http", "latency", "streams", ""}, "nameless: the targets"
    assert [one["promql"] for one in queries if "missing" in one] == []


async def test_a_burst_of_errors_in_the_past_is_found_to_the_second(shop: Shop, tmp_path: Path) -> None:
    shop.route(canary=0)
    await shop.until_served("v1")
    await shop.send(QUIET * RPS, rps=RPS)
    shop.cluster.set_app(shop.namespace, shop.stable.selector, error=1.0)
    began = datetime.now(UTC)
    await shop.send(BURST * RPS, rps=RPS)
    shop.cluster.set_app(shop.namespace, shop.stable.selector, error=0.0)
    ended = datetime.now(UTC)
    await shop.send(QUIET * RPS, rps=RPS)
    begin, end = began - timedelta(seconds=QUIET - 3), ended + timedelta(seconds=QUIET - 3)
    incident = f"{began.isoformat()}/{(ended + WINDOW).isoformat()}"
    span = ["--from", begin.isoformat(), "--to", end.isoformat(), "--step", "1s"]
    done = await asyncio.to_thread(
        run, shop, tmp_path, "backtest", *span, "--incident", incident, "-o", "json", "--exit-code"
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    (stretch,) = next(rule for rule in found["rules"] if rule["rule"] == "burst")["stretches"]
    first, last = datetime.fromisoformat(stretch["from"]), datetime.fromisoformat(stretch["to"])
    # A scrape a second, and a window of five: a tenth of it is bad within two seconds, until all of that has left it.
    assert began <= first <= began + timedelta(seconds=3)
    assert ended <= last <= ended + WINDOW + timedelta(seconds=2)
    assert found["incidents"][0]["caught"]["rule"] == "burst"
    assert found["falseRollbacks"] == 0
    assert found["endings"]["promoted"] >= 1
