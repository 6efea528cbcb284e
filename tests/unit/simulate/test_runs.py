"""A simulated run is decided by the rules that decide real ones, and told as it was."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from sparkrelease.simulate.outcome import Ending, Result, Summary, place_of
from sparkrelease.simulate.run import Batch, Setting, simulate, simulate_batch
from sparkrelease.simulate.scenario import Expect, parse
from sparkrelease.simulate.service import Traffic
from unit.simulate.release import STAGES, resolved, setting


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    first, again, other = (simulate(setting("errors=5%"), seed, story=True) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_healthy_release_walks_every_stage_and_is_promoted() -> None:
    result = simulate(setting("healthy"), 1, story=True)
    assert (result.ending, result.after, result.rule) == (Ending.PROMOTED, None, "")
    assert result.story is not None
    assert [(stage.name, stage.weight) for stage in result.story.stages] == [(n, float(w)) for n, w, _ in STAGES]
    assert result.story.moved is not None and result.story.moved.title == "http: bad events"
    weights = [point.weight for point in result.story.points]
    assert weights == sorted(weights) and weights[-1] == 100
    assert timedelta(minutes=90) <= result.lasted <= timedelta(minutes=95)


def test_a_bad_release_is_rolled_back_by_the_rule_that_saw_it_with_its_sentence() -> None:
    result = simulate(setting("errors=20%"), 1)
    assert (result.ending, result.rule, result.stage) == (Ending.ROLLED_BACK, "burst", "one")
    assert result.sentence.startswith("burst: http ")
    assert result.after is not None and result.after <= timedelta(minutes=3)
    assert 1 <= result.failed <= result.requests


def test_a_slow_release_harms_by_slow_requests_and_its_story_is_that_of_the_latency() -> None:
    result = simulate(setting("latency=+150%"), 1, story=True)
    assert result.ending is Ending.ROLLED_BACK and result.story is not None and result.story.moved is not None
    moved = result.story.moved
    assert (moved.title, moved.unit, moved.limits) == ("latency: slower than 0.25s", "%", (pytest.approx(5.0),))
    assert 0.2 * result.requests < result.slow < 0.9 * result.requests
    assert result.failed < result.slow
    worst = max(point.canary for point in result.story.points if point.canary is not None)
    calm = max(point.stable for point in result.story.points if point.stable is not None)
    assert worst > 20
    assert calm < moved.limits[0], "stable stays below the limit"
    assert Summary(parse("latency=+150%"), (result,)).lost(0.5) == result.slow


def test_a_leak_is_rolled_back_by_the_trend_it_breaks_and_its_story_is_that_of_the_value() -> None:
    memory = {"name": "memory", "value": "max by ($by) (rss{$sel})", "unit": "MiB"}
    grows = {"metric": "memory", "kind": "trend", "over": "10m", "slopePerMinute": 2}
    spec = resolved(metrics=[memory], thresholds=[], triggers=[{"name": "leak", "all": [grows], "for": "1m"}])
    result = simulate(setting("leak", spec), 1, story=True)
    assert (result.ending, result.rule) == (Ending.ROLLED_BACK, "leak")
    assert result.story is not None and result.story.moved is not None
    assert result.story.moved.rise == (pytest.approx(200.0), 2.0)
    values = [(point.canary, point.stable) for point in result.story.points]
    assert values[-1][0] is not None and values[-1][1] is not None
    assert values[-1][0] > values[-1][1] + 5 * 2


def test_an_outage_leaves_a_gap_in_the_story() -> None:
    result = simulate(setting("blind=10m@20m"), 1, story=True)
    assert result.story is not None
    seen = [point.canary is not None for point in result.story.points if 1210 <= point.at <= 1790]
    assert seen and not any(seen)


def test_runs_in_batches_are_those_made_one_by_one() -> None:
    one = setting("errors=20%")
    alone = tuple(simulate(one, seed, story=seed == 5) for seed in (5, 6, 7))
    assert simulate_batch(Batch(one, 5, 3, story=True)) == alone
    assert pickle.loads(pickle.dumps(alone)) == alone, "they come from another process"


def test_requests_that_were_on_their_way_when_it_was_decided_count() -> None:
    spec = resolved(stages=[{"name": "half", "weight": 50, "duration": "30m"}])
    early, late = (simulate(Setting(spec, parse("errors=50%"), Traffic(rps=50), lag=lag), 1) for lag in (0, 4))
    assert early.after == timedelta(seconds=15)
    assert late.requests > early.requests >= 250
    assert late.after is not None and late.after > early.after


def test_an_outage_holds_the_release_and_a_long_one_sends_it_back() -> None:
    short, long = (simulate(setting(f"blind={span}@20m"), 1, story=True) for span in ("10m", "40m"))
    assert short.ending is Ending.PROMOTED
    assert short.held >= timedelta(minutes=10)
    assert short.story is not None
    assert any(hold.reason == "PrometheusUnreachable" and hold.begin >= 1180 for hold in short.story.holds)
    assert (long.ending, long.rule) == (Ending.ROLLED_BACK, "data")


def test_a_late_defect_is_timed_from_when_it_began() -> None:
    result = simulate(setting("late=20%@20m"), 1)
    assert result.ending is Ending.ROLLED_BACK
    assert result.harm_from == pytest.approx(20 * 60)
    assert result.after is not None and result.after < timedelta(minutes=3)
    assert result.lasted > timedelta(minutes=20)


def test_a_release_nobody_sends_requests_to_is_never_promoted() -> None:
    short = resolved(stages=[{"name": "one", "weight": 1, "duration": "2m"}])
    result = simulate(setting("quiet=0.01", short), 1)
    assert result.ending is Ending.HELD
    assert result.lasted >= timedelta(minutes=6)


def test_scraped_every_second_it_is_seen_within_seconds() -> None:
    half = resolved(stages=[{"name": "half", "weight": 50, "duration": "5m"}])
    result = simulate(setting("errors=20%", half, scrape=1), 1)
    assert result.after is not None and result.after <= timedelta(seconds=10)


# ---------------------------------------------------------------- many runs


def result(ending: Ending, seconds: float | None = None, failed: int = 0, rule: str = "") -> Result:
    after = None if seconds is None else timedelta(seconds=seconds)
    return Result(1, ending, None, timedelta(0), after, rule, f"{rule} says", "one", 9, failed, timedelta(0), 0.0)


def test_a_run_that_was_never_rolled_back_counts_as_the_longest() -> None:
    back = [result(Ending.ROLLED_BACK, seconds, failed, "burst") for seconds, failed in ((10, 1), (20, 2), (30, 3))]
    never = [result(Ending.PROMOTED, failed=99)] * 2
    summary = Summary(parse("errors=2%"), (*back, *never))
    assert summary.after(0.5) == timedelta(seconds=30)
    assert summary.after(0.95) is None
    assert (summary.failed(0.5), summary.failed(0.95)) == (3, 99)
    assert (summary.rolled_back, summary.count(Ending.PROMOTED)) == (3, 2)
    assert summary.rules == {"burst": 3}
    assert summary.sentence == "burst says"


@pytest.mark.parametrize(
    ("scenario", "back", "of", "disappoints"),
    [
        ("healthy", 0, 10, False),
        ("healthy", 1, 10, True),
        ("errors=2%", 4, 10, True),
        ("errors=2%", 5, 10, False),
        ("incident", 1, 10, True),
    ],
)
def test_rules_disappoint_when_they_go_back_for_nothing_or_let_a_bad_version_through(
    scenario: str, back: int, of: int, disappoints: bool
) -> None:
    runs = [result(Ending.ROLLED_BACK, 5)] * back + [result(Ending.PROMOTED)] * (of - back)
    assert Summary(parse(scenario), tuple(runs)).disappoints is disappoints


@pytest.mark.parametrize(("quantile", "count", "place"), [(0.5, 1, 0), (0.5, 5, 2), (0.95, 20, 18), (0.95, 100, 94)])
def test_quantiles_are_runs_that_happened(quantile: float, count: int, place: int) -> None:
    assert place_of(quantile, count) == place


def test_what_should_happen_is_said_of_every_kind() -> None:
    assert {expect.help for expect in Expect}
