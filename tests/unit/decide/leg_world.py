"""A leg asked for its word: what tests of legs share."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import BaselineStatus, SparkReleaseStatus, Verdict
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import (
    Ask,
    Facts,
    History,
    MetricFacts,
    Missing,
    Reading,
    Role,
    Route,
    Track,
)
from sparkrelease.decide.legs.judge import judges_of
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.decide.rules import Judgement
from unit.decide.world import START, spec

PASS, FAIL, UNSURE, NO_DATA, ERROR = (
    Verdict.PASS,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NO_DATA,
    Verdict.ERROR,
)
METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "lag", "value": "max by ($by)(lag_seconds{$sel})", "unit": "s"},
    {"name": "latency", "buckets": "latency_bucket", "quantile": 0.9, "unit": "s"},
]
GONE = Missing(Reason.NO_DATA, "no series")
DOWN = Missing(Reason.PROMETHEUS_UNREACHABLE, "connection refused", server_wide=True)
MINUTE = timedelta(minutes=1)


def resolved(leg: dict[str, object]) -> ResolvedSpec:
    found = resolve(
        spec(metrics=METRICS, thresholds=[], triggers=[{"name": "rule", "all": [{"metric": "lag"} | leg]}]), None
    )
    assert isinstance(found, ResolvedSpec), found
    return found


def say(
    leg: dict[str, object],
    canary: Reading = GONE,
    stable: Reading = GONE,
    *,
    asked: dict[Ask, Reading] | None = None,
    history: History | None = None,
    baseline: float | None = None,
    role: Role = Role.CANARY,
) -> Judgement:
    """The leg's word on these answers, at half of the traffic."""
    ruled = resolved(leg)
    metric = ruled.triggers[0].all[0].metric
    facts = Facts("shop", "shop", "uid", 1, timedelta(seconds=5), 1, route=Route(exists=True, canary_weight=50))
    facts = replace(
        facts,
        metrics={metric: MetricFacts("q", START, MINUTE, canary, stable)},
        asked={ask: MetricFacts("q", START, ask.window, then, GONE) for ask, then in (asked or {}).items()},
        history={metric: history} if history is not None else {},
    )
    known = (BaselineStatus(metric=metric, at=START, value=baseline),) if baseline is not None else ()
    d = Draft(ruled, SparkReleaseStatus(baselines=known), facts, START)
    judge, lens = judges_of(ruled)[ruled.triggers[0].name][0]
    return judge(lens, Sight(d, role))


TREND = {"kind": "trend", "over": "30m", "slopePerMinute": 1}


def track(
    slope: float, *, minutes: float = 30, name: str = "pod-a", born: float | None = None, start: float = 100
) -> Track:
    """A pod whose value moves by slope a minute up to now, a little unevenly; `born` is minutes ago."""
    end = START.timestamp()
    times = [end - 60 * minutes + 15 * place for place in range(int(minutes * 4) + 1)]
    points = tuple((at, start + slope * (at - times[0]) / 60 + 0.01 * (place % 3)) for place, at in enumerate(times))
    return Track(name, points, START - timedelta(minutes=born) if born is not None else None)


def past(*canary: Track, stable: tuple[Track, ...] | Missing = ()) -> History:
    return History("q", START, timedelta(minutes=40), canary, stable)
