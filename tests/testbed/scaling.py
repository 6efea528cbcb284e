"""A policy of minutes as one of seconds: all that is measured in time is divided by a factor, down to what can be read.

A rule that was scaled is the same rule on a service that lives as much faster. Shares, counts, quantiles and the time
of an answer stay as they are.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Metric
from sparkrelease.api.spec import ReleasePolicySpec
from testbed.prometheus import SCRAPE_INTERVAL

LEAST_WINDOW = timedelta(seconds=5 * SCRAPE_INTERVAL)
"""Five scrapes: with fewer, a rate is what two samples happen to say."""

LEAST_FOR = timedelta(seconds=3)
LEAST_PAST = timedelta(seconds=10)
"""How far back `growth` and `trend` look at least."""

LEAST_AGE = 5.0
"""Seconds: what is scraped every second is never younger than about two."""

AROUND = frozenset({"preflight", "checklist", "approvalExpires", "watch", "errorBudget", "notifications"})

_LIMITS = ("value", "floor", "max", "min")


def scaled(policy: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The stages and rules of a ReleasePolicy, that many times faster.

    Hours of the day (`activeWhen`) are left out, and what comes before and after the stages: no person is faster.
    """
    spec: dict[str, Any] = {part: copy.deepcopy(value) for part, value in policy.items() if part not in AROUND}
    known = {metric.name: metric for metric in ReleasePolicySpec.model_validate(spec).metrics}
    for stage, read in zip(spec["stages"], ReleasePolicySpec.model_validate(spec).stages, strict=True):
        stage["duration"] = _shorter(read.duration, factor, LEAST_WINDOW)
    for metric in spec["metrics"]:
        metric["window"] = _shorter(known[metric["name"]].window, factor, LEAST_WINDOW)
        metric["every"] = _shorter(known[metric["name"]].every, factor, timedelta(seconds=SCRAPE_INTERVAL))
    for threshold in spec["thresholds"]:
        _scale_threshold(threshold, known[threshold["metric"]], factor)
    for trigger, rule in zip(spec["triggers"], ReleasePolicySpec.model_validate(policy).triggers, strict=True):
        trigger.pop("activeWhen", None)
        if rule.for_:
            trigger["for"] = _shorter(rule.for_, factor, LEAST_FOR)
        for leg, read_leg in zip(trigger["all"], rule.all, strict=True):
            _scale_limits(leg, known[leg["metric"]], factor)
            for field, span in (("over", read_leg.over), ("warmup", read_leg.warmup)):
                if span is not None:
                    leg[field] = _shorter(span, factor, LEAST_PAST)
            if "minEvents" in leg:
                leg["minEvents"] = _fewer(leg["minEvents"], known[leg["metric"]], factor)
    if "comparison" in spec:
        spec["comparison"]["warmup"] = format_duration(LEAST_WINDOW)
    return spec


def _scale_threshold(threshold: dict[str, Any], metric: Metric, factor: float) -> None:
    _scale_limits(threshold, metric, factor)
    if metric.counted:
        share = 1 - metric.quantile if metric.quantile is not None else threshold.get("max", 0.0)
        least = threshold.get("minRequests") or (3 / share if share else 1)
        threshold["minRequests"] = max(1, math.ceil(least / factor - 1e-6))


def _scale_limits(item: dict[str, Any], metric: Metric, factor: float) -> None:
    """Ages are shorter, rates are higher, and what rises, rises faster."""
    age = metric.value is not None and metric.unit == "s"
    rate = metric.unit in {"/min", "/s"}
    for field in _LIMITS:
        if field not in item:
            continue
        if age:
            item[field] = max(item[field] / factor, LEAST_AGE)
        elif rate:
            item[field] = item[field] * factor
    if "slopePerMinute" in item and not age:
        item["slopePerMinute"] = item["slopePerMinute"] * factor


def _fewer(least: int, metric: Metric, factor: float) -> int:
    """Events of a shorter window."""
    window = max(metric.window / factor, LEAST_WINDOW)
    return max(1, round(least * (window / metric.window)))


def _shorter(span: timedelta, factor: float, least: timedelta) -> str:
    return format_duration(max(span / factor, least))
