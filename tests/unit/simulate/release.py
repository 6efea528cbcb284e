"""A release for simulations: the protocol's stages, a guard, two triggers, two objectives."""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.simulate.run import Setting
from sparkrelease.simulate.scenario import parse
from sparkrelease.simulate.service import Traffic

STAGES = [("one", 1, "15m"), ("five", 5, "15m"), ("quarter", 25, "15m"), ("half", 50, "15m"), ("full", 100, "30m")]


def resolved(**changes: object) -> ResolvedSpec:
    body: dict[str, object] = {
        "version": "v2",
        "traffic": {
            "stable": {"service": "shop-stable", "port": 80},
            "canary": {"service": "shop-canary", "port": 80},
            "gatewayAPI": {"route": {"name": "shop", "rule": "main"}},
        },
        "stages": [{"name": name, "weight": weight, "duration": time} for name, weight, time in STAGES],
        "metrics": [
            {"name": "http", "bad": "bad_total", "total": "all_total"},
            {"name": "latency", "buckets": "seconds_bucket", "quantile": 0.95, "unit": "s"},
        ],
        "thresholds": [
            {"name": "p95", "metric": "latency", "max": 0.25},
            {"name": "errors", "metric": "http", "max": 0.01},
        ],
        "triggers": [
            {"name": "burst", "all": [{"metric": "http", "value": 0.1, "minEvents": 5}]},
            {"name": "http-5xx", "all": [{"metric": "http", "value": 0.03}], "for": "5m"},
        ],
    }
    found = resolve(SparkReleaseSpec.model_validate(body | changes), None)
    assert isinstance(found, ResolvedSpec), found
    return found


def setting(scenario: str, spec: ResolvedSpec | None = None, *, rps: float = 50, scrape: float = 15) -> Setting:
    traffic = Traffic(rps=rps, scrape=timedelta(seconds=scrape))
    return Setting(spec or resolved(), parse(scenario), traffic)
