"""What rules are shown is what was served: counts, windows, gaps, baselines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.comparison import Comparison
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Run, SparkReleaseStatus
from sparkrelease.decide.facts import Buckets, Counts, Missing, Role, Value
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.simulate.chance import Seeded
from sparkrelease.simulate.observe import Observer
from sparkrelease.simulate.scenario import parse
from sparkrelease.simulate.service import Latencies, Traffic, service_of
from sparkrelease.simulate.stream import Stream
from unit.simulate.release import resolved

BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SCRAPE = timedelta(seconds=15)
COMPARED = {"tests": [{"metric": "http"}, {"metric": "latency"}]}
WHOLE = timedelta(hours=2)


def stream_of(scenario: str, spec: ResolvedSpec, *, seed: int = 1, rps: float = 50) -> Stream:
    traffic = Traffic(rps=rps)
    return Stream(
        service_of(spec, traffic), parse(scenario), traffic, Seeded(seed), begin=BEGIN.timestamp(), stages=WHOLE
    )


def served(stream: Stream, minutes: float, weight: float) -> datetime:
    """Lets time pass, scrape by scrape."""
    end = stream.now + 60 * minutes
    while stream.now < end:
        stream.advance(stream.now + SCRAPE.total_seconds(), weight)
    return datetime.fromtimestamp(stream.now, UTC)


def running(since: datetime) -> SparkReleaseStatus:
    run = Run(id="v2-1", version="v2", started_at=since, spec_digest="", stable_fingerprint="a", canary_fingerprint="b")
    return SparkReleaseStatus(run=run)


def counts_of(reading: object) -> Counts:
    assert isinstance(reading, Counts), reading
    return reading


# ---------------------------------------------------------------- counts


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), weight=st.sampled_from([0.0, 1.0, 25.0, 100.0]), minutes=st.integers(1, 6))
def test_windows_are_disjoint_and_miss_no_request(seed: int, weight: float, minutes: int) -> None:
    spec = resolved(comparison=COMPARED)
    stream = stream_of("errors=5%", spec, seed=seed)
    stream.advance(stream.now, 0)
    now = served(stream, minutes, weight)
    windows = Observer(spec, stream).look(running(BEGIN), now).windows
    for role in Role:
        counters = stream.scraped[role]
        seen = [counts_of(window.canary if role is Role.CANARY else window.stable) for window in windows["http"]]
        assert sum(one.total for one in seen) == counters.total[-1]
        assert sum(one.bad for one in seen) == counters.bad["http"][-1]
    ends = [window.end for window in windows["latency"]]
    assert ends == [BEGIN + k * SCRAPE for k in range(1, 4 * minutes + 1)]


def test_a_reading_is_the_difference_over_its_window_and_all_there_is_to_a_role_just_born() -> None:
    spec = resolved()
    stream = stream_of("healthy", spec)
    stream.advance(stream.now, 0)
    served(stream, 2, 0)
    observer = Observer(spec, stream)
    before = observer.look(SparkReleaseStatus(), datetime.fromtimestamp(stream.now, UTC)).metrics["http"]
    assert isinstance(before.canary, Missing) and before.canary.reason is Reason.NO_DATA
    now = served(stream, 0.5, 50)
    after = observer.look(SparkReleaseStatus(), now).metrics["http"]
    assert counts_of(after.canary).total == stream.scraped[Role.CANARY].total[-1] > 0
    totals = stream.scraped[Role.STABLE].total
    assert counts_of(after.stable).total == totals[-1] - totals[-5]


def test_the_gate_is_told_of_the_whole_stage() -> None:
    spec = resolved()
    stream = stream_of("healthy", spec)
    stream.advance(stream.now, 0)
    now = served(stream, 10, 25)
    gate = Observer(spec, stream).gate(timedelta(minutes=10), now)
    assert set(gate) == {"p95", "errors"}
    assert counts_of(gate["errors"].canary).total == stream.scraped[Role.CANARY].total[-1]
    latency = gate["p95"].canary
    assert isinstance(latency, Buckets)
    assert latency.at_or_below[0.25] <= latency.at_or_below[10.0] <= latency.total


@pytest.mark.parametrize(
    ("limits", "lowest"),
    [
        ({"max": 900}, False),
        ({"min": 20}, True),
        ({"maxVsBaseline": 1.5}, False),
        ({"min": 20, "maxVsBaseline": 1.5}, False),
        ({"min": 550, "maxVsBaseline": 1.5}, True),
        ({"min": 20, "max": 900}, False),
        ({"min": 550, "max": 900}, True),
    ],
)
def test_the_gate_is_told_of_the_extreme_that_decides_like_the_operator(limits: dict[str, float], lowest: bool) -> None:
    leg = {"metric": "memory", "kind": "trend", "over": "10m", "slopePerMinute": 5.0}
    leaks = {
        "metrics": [{"name": "memory", "value": "memory_bytes{$sel}"}],
        "triggers": [{"name": "leak", "all": [leg]}],
    }
    spec = resolved(**leaks, thresholds=[{"name": "memory", "metric": "memory", **limits}])
    stream = stream_of("leak=2", resolved(**leaks, thresholds=[]))
    stream.advance(stream.now, 0)
    now = served(stream, 10, 50)
    found = Observer(spec, stream).gate(timedelta(minutes=10), now)["memory"].canary
    values = [max(pods) for pods in stream.scraped[Role.CANARY].gauges["memory"]]
    assert 20 < min(values) < 550 < max(values), "it grew over the stage"
    assert found == Value(min(values) if lowest else max(values))


def test_a_seed_gives_the_same_stream() -> None:
    spec = resolved()
    totals = []
    for _ in range(2):
        stream = stream_of("noisy", spec, seed=9)
        served(stream, 5, 25)
        totals.append(stream.scraped)
    assert totals[0] == totals[1]


# ---------------------------------------------------------------- what scenarios do


def bad_share(stream: Stream, role: Role) -> float:
    counters = stream.scraped[role]
    return counters.bad["http"][-1] / counters.total[-1]


def test_errors_hit_canary_alone_and_an_incident_both() -> None:
    alone, both = stream_of("errors=20%", resolved()), stream_of("incident=20%@0s", resolved())
    for stream in (alone, both):
        served(stream, 9, 50)
    assert bad_share(alone, Role.CANARY) == pytest.approx(0.2, abs=0.02)
    assert bad_share(alone, Role.STABLE) < 0.01
    assert bad_share(both, Role.CANARY) == pytest.approx(0.2, abs=0.02) == pytest.approx(0.2, abs=0.02)
    assert bad_share(both, Role.STABLE) == pytest.approx(0.2, abs=0.02)


def test_a_late_defect_is_not_there_before_its_time() -> None:
    stream = stream_of("late=20%@5m", resolved())
    served(stream, 5, 50)
    assert bad_share(stream, Role.CANARY) < 0.01
    assert stream.served == (0, 0, 0)
    served(stream, 5, 50)
    requests, failed, _ = stream.served
    assert failed / requests == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("factor", "scenario"), [(1.0, "healthy"), (2.0, "latency=+100%")])
def test_latency_is_lognormal_and_moves_as_a_whole(factor: float, scenario: str) -> None:
    spec = resolved()
    stream = stream_of(scenario, spec)
    served(stream, 5, 50)
    model = stream.service.every["latency"]
    assert isinstance(model, Latencies)
    assert model.median == pytest.approx(0.08)
    counters = stream.scraped[Role.CANARY]
    wanted = sum(model.shares(factor)[: model.edges.index(0.1) + 1])
    reached = counters.up_to["latency"][-1][model.edges.index(0.1)] / counters.total[-1]
    assert reached == pytest.approx(wanted, abs=0.015)


def test_a_gauge_breaks_no_limit_until_it_leaks_and_each_pod_has_its_history() -> None:
    leg = {"metric": "memory", "kind": "trend", "over": "10m", "slopePerMinute": 5.0}
    spec = resolved(
        metrics=[{"name": "memory", "value": "memory_bytes{$sel}"}, {"name": "queue", "value": "queue{$sel}"}],
        thresholds=[{"name": "q", "metric": "queue", "max": 10}, {"name": "memory", "metric": "memory", "max": 900}],
        triggers=[{"name": "leak", "all": [leg]}],
    )
    stream = stream_of("leak=2", spec)
    stream.advance(stream.now, 0)
    now = served(stream, 10, 50)
    seen = Observer(spec, stream).look(running(BEGIN), now)
    readings = seen.metrics["memory"]
    assert isinstance(readings.canary, Value) and isinstance(readings.stable, Value)
    assert readings.canary.value - readings.stable.value == pytest.approx(100, abs=2)
    assert isinstance(seen.metrics["queue"].canary, Value) and seen.metrics["queue"].canary.value < 10
    tracks = seen.history["memory"].canary
    assert isinstance(tracks, tuple) and len(tracks) == 3
    first, last = tracks[0].points[0], tracks[0].points[-1]
    assert (last[1] - first[1]) / ((last[0] - first[0]) / 60) == pytest.approx(10, abs=0.5)


def test_while_the_server_is_away_everything_is_missing_and_no_window_is_made_up() -> None:
    spec = resolved(comparison=COMPARED)
    stream = stream_of("blind=10m@5m", spec)
    stream.advance(stream.now, 0)
    served(stream, 5, 50)
    observer = Observer(spec, stream)
    during = served(stream, 5, 50)
    seen = observer.look(running(BEGIN), during)
    assert all(isinstance(one.canary, Missing) and one.canary.server_wide for one in seen.metrics.values())
    assert seen.windows == {}
    now = served(stream, 7, 50)
    windows = observer.look(running(BEGIN), now).windows["http"]
    void = [window for window in windows if isinstance(window.canary, Missing)]
    minutes = [(window.end - BEGIN).total_seconds() / 60 for window in void]
    assert (min(minutes), max(minutes)) == (5, 15)
    assert isinstance(observer.look(running(BEGIN), now).metrics["http"].canary, Counts)


# ---------------------------------------------------------------- baselines


@pytest.mark.parametrize(("scenario", "low", "high"), [("healthy", 0.0, 0.1), ("noisy", 0.12, 0.5)])
def test_the_spread_of_a_baseline_is_the_noise_of_the_service(scenario: str, low: float, high: float) -> None:
    spec = resolved(comparison=Comparison.model_validate(COMPARED))
    stream = stream_of(scenario, spec, rps=500)
    stream.advance(stream.now, 0)
    now = served(stream, 60, 0)
    observer = Observer(spec, stream)
    baseline = observer.baselines(now)["http"]
    assert low <= baseline.spread <= high
    assert baseline.value is not None and 0.001 < baseline.value < 0.01
    assert baseline.events == pytest.approx(60 * 30, rel=0.25)
    assert observer.baselines(now)["latency"].spread < 0.05
