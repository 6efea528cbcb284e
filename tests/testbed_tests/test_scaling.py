"""A scaled policy is the same policy, faster, and never faster than a scrape can show."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.trials import FACTORS
from sparkrelease.api.base import format_duration
from sparkrelease.api.spec import ReleasePolicySpec
from testbed.paths import PROJECT
from testbed.scaling import LEAST_FOR, LEAST_WINDOW, scaled

POLICIES = sorted((PROJECT / "manifests" / "policies").glob("spark-*.yaml"))
SPEC: dict[str, Any] = {
    "stages": [{"name": "one", "weight": 1, "duration": "15m"}],
    "metrics": [
        {"name": "http", "bad": "bad_total", "total": "all_total", "window": "10m"},
        {"name": "latency", "buckets": "d_bucket", "quantile": 0.95, "unit": "s"},
        {"name": "age", "value": "age{$sel}", "unit": "s"},
        {"name": "rate", "value": "rate(x_total{$sel}[$win])", "unit": "/min"},
        {"name": "memory", "value": "bytes{$sel}", "unit": "B"},
    ],
    "thresholds": [
        {"name": "errors", "metric": "http", "max": 0.01},
        {"name": "p95", "metric": "latency", "max": 0.2},
        {"name": "rate", "metric": "rate", "min": 10},
    ],
    "triggers": [
        {
            "name": "all-kinds",
            "all": [
                {"metric": "http", "value": 0.03, "minEvents": 20},
                {"metric": "latency", "value": 0.4},
                {"metric": "age", "value": 600},
                {"metric": "age", "kind": "growth", "over": "20m", "factor": 2, "floor": 30},
                {"metric": "memory", "kind": "trend", "over": "30m", "warmup": "10m", "slopePerMinute": 1000},
            ],
            "for": "5m",
            "activeWhen": {"schedule": "0 10 * * 1-5", "duration": "8h"},
        },
        {"name": "at-once", "all": [{"metric": "http", "value": 0}]},
    ],
}


def read(path: Path) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(path.read_text())["spec"]
    return spec


def test_time_is_divided_and_shares_and_latencies_stay() -> None:
    fast = scaled(SPEC, 60)
    assert fast["stages"][0]["duration"] == "15s"
    assert [metric["window"] for metric in fast["metrics"]] == ["10s", "5s", "5s", "5s", "5s"]
    assert {metric["every"] for metric in fast["metrics"]} == {"1s"}
    errors, p95, rate = fast["thresholds"]
    assert (errors["max"], errors["minRequests"]) == (0.01, 5)
    assert (p95["max"], p95["minRequests"]) == (0.2, 1)
    assert rate["min"] == 600
    trigger, at_once = fast["triggers"]
    assert trigger["for"] == "5s"
    assert "activeWhen" not in trigger
    share, latency, age, growth, trend = trigger["all"]
    assert (share["value"], share["minEvents"], latency["value"], age["value"]) == (0.03, 1, 0.4, 10)
    assert (growth["over"], growth["factor"], growth["floor"]) == ("20s", 2, 5)
    assert (trend["over"], trend["warmup"], trend["slopePerMinute"]) == ("30s", "10s", 60_000)
    assert "for" not in at_once


def test_what_is_given_is_left_as_it_was() -> None:
    before = repr(SPEC)
    scaled(SPEC, 60)
    assert repr(SPEC) == before


def test_a_factor_of_one_changes_nothing_but_says_the_defaults() -> None:
    spec = {**SPEC, "triggers": SPEC["triggers"][1:]}
    same, written = (ReleasePolicySpec.model_validate(one) for one in (scaled(spec, 1), spec))
    assert same.stages == written.stages
    assert same.metrics == written.metrics
    assert same.triggers == written.triggers


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_no_window_of_a_ready_made_policy_is_shorter_than_five_scrapes_and_no_for_than_three(path: Path) -> None:
    fast = ReleasePolicySpec.model_validate(scaled(read(path), 600))
    assert min(metric.window for metric in fast.metrics) == LEAST_WINDOW == timedelta(seconds=5)
    assert min(trigger.for_ for trigger in fast.triggers if trigger.for_) == LEAST_FOR == timedelta(seconds=3)


def test_a_stage_of_the_standard_policy_is_two_windows_of_all_metrics_but_one_at_the_factor_of_its_scenarios() -> None:
    (path,) = [one for one in POLICIES if one.stem == "spark-standard"]
    fast = ReleasePolicySpec.model_validate(scaled(read(path), FACTORS["spark-standard"]))
    shortest = min(stage.duration for stage in fast.stages)
    assert [metric.name for metric in fast.metrics if 2 * metric.window > shortest] == ["risk-blocks"]
    assert max(metric.window for metric in fast.metrics) == shortest


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_no_expression_of_a_ready_made_policy_hides_a_time_from_scaling(path: Path) -> None:
    for metric in ReleasePolicySpec.model_validate(read(path)).metrics:
        assert metric.value is None or format_duration(metric.window) not in metric.value
        assert not any(f"{digit}m]" in (metric.value or "") for digit in range(10))
