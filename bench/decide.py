"""Processor time of deciding alone: releases with fourteen triggers of all kinds and two comparisons each.

Nothing is asked and nothing written; facts are at hand, as gathering leaves them. Every third tick ends a window of
each comparison, as with windows of 15 s and the default tick.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.results import quantile
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.api.status import BaselineStatus, Run, SparkReleaseStatus, StageStatus, WeightStatus
from sparkrelease.decide.asks import asks_of
from sparkrelease.decide.comparison import compare
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import (
    Buckets,
    Counts,
    Facts,
    History,
    MetricFacts,
    Reading,
    Route,
    RouteMark,
    Side,
    Track,
    Value,
    Verification,
    Window,
)
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.resolve import ResolvedSpec, digest, resolve

TICKS = 12
WARM = 3
"""Ticks that are not counted: the first windows of a histogram choose its edges."""

TICK = timedelta(seconds=5)
EVERY = timedelta(seconds=15)
MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

_RUN = "v2-000001"

_VALUES = ("bist", "csp", "pool", "waiting", "risk", "cpu", "connections", "rate", "outbox", "keys", "storm", "decimal")
_METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "idem", "bad": "conflicts_total", "total": "idem_total"},
    {"name": "latency", "buckets": "latency_bucket", "quantile": 0.95, "unit": "s"},
    {"name": "memory", "value": "memory", "unit": "B"},
    *({"name": name, "value": name} for name in _VALUES),
]
_HIGH: dict[str, Any] = {"kind": "threshold", "op": ">"}
_BURN: dict[str, Any] = {"kind": "burnRate", "objective": 0.999}
_RULES: dict[str, list[dict[str, Any]]] = {
    "api-p95": [{"metric": "latency", **_HIGH, "value": 0.25}],
    "http-5xx": [{"metric": "http", **_HIGH, "value": 0.03}],
    "feed": [{"metric": "bist", **_HIGH, "value": 120}],
    "csp": [{"metric": "csp", **_HIGH, "value": 50}],
    "idem": [{"metric": "idem", **_HIGH, "value": 0.05}],
    "pool": [{"metric": "pool", **_HIGH, "value": 90}, {"metric": "waiting", **_HIGH, "value": 90}],
    "correlated": [{"metric": "risk", "kind": "vsStable", "factor": 2}, {"metric": "http", **_HIGH, "value": 0.01}],
    "stuck": [{"metric": "latency", **_HIGH, "value": 0.25}, {"metric": "cpu", "op": "<", "value": 0.3}],
    "leak": [{"metric": "memory", "kind": "trend", "over": "30m", "slopePerMinute": 1e6, "vsStableFactor": 2}],
    "connections": [{"metric": "connections", "kind": "growth", "over": "10m", "factor": 1.5}],
    "outbox": [
        {"metric": "outbox", **_HIGH, "value": 90},
        {"metric": "outbox", "kind": "growth", "over": "5m", "factor": 2},
    ],
    "keys": [{"metric": "keys", "kind": "vsBaseline", "factor": 1.5}],
    "storm": [{"metric": "storm", "kind": "vsStable", "factor": 5}],
    "burn": [{"metric": "http", **_BURN}],
}
_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOWER = (1.0, 1.0, 0.99, 0.9, 0.3, 0.03, 0.008, 0.001, 0.0, 0.0, 0.0)


@dataclass
class Release:
    """What one release remembers from tick to tick, and its own stream of requests."""

    status: SparkReleaseStatus
    history: History
    chance: random.Random


def cpu_of_decisions(releases: int) -> dict[str, Any]:
    """Milliseconds of the median tick of all releases: with windows that end, without, and of the comparisons alone."""
    resolved = _spec()
    status = _under_way(resolved)
    fleet = [_release(number, status) for number in range(releases)]
    spent: dict[bool, list[float]] = {True: [], False: []}
    alone: list[float] = []
    for number in range(WARM * 3 + TICKS):
        now = START + (number + 1) * TICK
        ends = (number + 1) % 3 == 0
        facts = [_facts(resolved, release, now, window_ends=ends) for release in fleet]
        begin = time.process_time()
        plans = [decide(resolved, release.status, known, now) for release, known in zip(fleet, facts, strict=True)]
        took = time.process_time() - begin
        if number >= WARM * 3:
            spent[ends].append(took)
            if ends:
                alone.append(_comparisons_alone(resolved, fleet, facts, now))
        for release, plan in zip(fleet, plans, strict=True):
            release.status = plan.status
    counted = [test.windows for release in fleet for test in release.status.tests]
    return {
        "releases": releases,
        "rules": len(_RULES),
        "comparisons": len(counted) // releases,
        "windows": min(counted),
        "with_windows": round(1000 * quantile(spent[True], 0.5), 1),
        "without_windows": round(1000 * quantile(spent[False], 0.5), 1),
        "comparisons_alone": round(1000 * quantile(alone, 0.5), 1),
    }


def _comparisons_alone(resolved: ResolvedSpec, fleet: list[Release], facts: list[Facts], now: datetime) -> float:
    drafts = [Draft(resolved, release.status, known, now) for release, known in zip(fleet, facts, strict=True)]
    begin = time.process_time()
    for draft in drafts:
        compare(draft)
    return time.process_time() - begin


def _spec() -> ResolvedSpec:
    body = {
        "version": "v2",
        "traffic": {
            "stable": {"service": "shop-stable", "port": 80},
            "canary": {"service": "shop-canary", "port": 80},
            "gatewayAPI": {"route": {"name": "shop", "rule": "main"}},
        },
        "stages": [
            {"name": "quarter", "weight": 25, "duration": "12h"},
            {"name": "full", "weight": 100, "duration": "1h"},
        ],
        "metrics": _METRICS,
        "triggers": [{"name": name, "all": legs, "for": "1m"} for name, legs in _RULES.items()],
        "comparison": {"tests": [{"metric": "http"}, {"metric": "latency"}], "warmup": "0s"},
    }
    found = resolve(SparkReleaseSpec.model_validate(body), ReleasePolicySpec())
    if not isinstance(found, ResolvedSpec):
        raise TypeError(found.message)
    return found


def _under_way(resolved: ResolvedSpec) -> SparkReleaseStatus:
    """A run at 25 % whose weight is verified."""
    run = Run(
        id=_RUN,
        version="v2",
        started_at=START,
        spec_digest=digest(resolved),
        stable_fingerprint="fp1",
        canary_fingerprint="fp2",
    )
    names = ("http", "latency", "keys")
    return SparkReleaseStatus(
        run=run,
        stage=StageStatus(index=1, count=2, name="quarter", entered_at=START, started_at=START),
        weight=WeightStatus(desired=25, observed=25, verified=True),
        baselines=tuple(BaselineStatus(metric=name, at=START, value=1.0, spread=0.01) for name in names),
    )


def _release(number: int, status: SparkReleaseStatus) -> Release:
    chance = random.Random(number)
    seconds = START.timestamp()
    points = tuple((seconds - 15.0 * back, 1e8 + 1e6 * chance.random()) for back in range(120, 0, -1))
    track = (Track("pod", points),)
    return Release(status, History("memory", START, timedelta(minutes=30), track, track), chance)


def _facts(resolved: ResolvedSpec, release: Release, now: datetime, *, window_ends: bool) -> Facts:
    asked = {ask: replace(_metric(ask.metric, release.chance, now), window=ask.window) for ask in asks_of(resolved)}
    mark = RouteMark(run=_RUN, epoch=1, weight=25)
    return Facts(
        namespace="shop",
        name="shop",
        uid="uid",
        generation=1,
        tick=TICK,
        epoch=1,
        has_finalizer=True,
        resolved_digest=digest(resolved),
        wanted_version="v2",
        route=Route(True, 25.0, 1, Verification.VERIFIED, mark=mark, original="{}"),
        stable=Side(exists=True, ready=2, fingerprints=frozenset({"fp1"})),
        canary=Side(exists=True, ready=2, fingerprints=frozenset({"fp2"})),
        metrics={m.name: _metric(m.name, release.chance, now) for m in resolved.metrics},
        asked=asked,
        windows={"http": (_errors(release.chance, now),), "latency": (_slow(release.chance, now),)}
        if window_ends
        else {},
        history={"memory": release.history},
    )


def _errors(chance: random.Random, now: datetime) -> Window:
    return Window(now, EVERY, _counts(chance, 190), _counts(chance, 560))


def _slow(chance: random.Random, now: datetime) -> Window:
    return Window(now, EVERY, _buckets(chance, 190), _buckets(chance, 560))


def _metric(name: str, chance: random.Random, now: datetime) -> MetricFacts:
    return MetricFacts(name, now, MINUTE, _reading(name, chance, 750), _reading(name, chance, 2250))


def _reading(name: str, chance: random.Random, total: int) -> Reading:
    if name in {"http", "idem"}:
        return _counts(chance, total)
    return _buckets(chance, total) if name == "latency" else Value(1.0)


def _counts(chance: random.Random, total: int) -> Counts:
    return Counts(float(chance.random() < total / 1000), total)


def _buckets(chance: random.Random, total: int) -> Buckets:
    wobble = 0.9 + 0.2 * chance.random()
    slower = [round(total * min(share * wobble, 1.0)) for share in _SLOWER]
    return Buckets({edge: float(total - slow) for edge, slow in zip(_EDGES, slower, strict=True)}, total)
