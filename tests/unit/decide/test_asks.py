"""What rules ask for beyond a metric's own window."""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.decide.asks import asks_of, baselines_of, counted_tests, histories_of
from sparkrelease.decide.facts import Ask
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.world import spec

METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total", "window": "2m"},
    {"name": "keys", "value": "sum by ($by)(keys{$sel})"},
]


def resolved(**changes: object) -> ResolvedSpec:
    found = resolve(spec(metrics=METRICS, **changes), None)
    assert isinstance(found, ResolvedSpec), found
    return found


def on(*legs: dict[str, object]) -> ResolvedSpec:
    return resolved(triggers=[{"name": "rule", "all": list(legs)}])


def test_a_burn_rate_asks_for_both_windows_of_each_pair() -> None:
    windows = [{"long": "30m", "short": "2m", "factor": 10}, {"long": "2h", "short": "2m", "factor": 4}]
    found = asks_of(on({"metric": "http", "kind": "burnRate", "objective": 0.99, "windows": windows}))
    assert found == {Ask("http", timedelta(minutes=m)) for m in (30, 2, 120)}


def test_a_burn_rate_without_windows_asks_for_the_pairs_of_a_page() -> None:
    found = asks_of(on({"metric": "http", "kind": "burnRate", "objective": 0.99}))
    assert found == {Ask("http", timedelta(minutes=m)) for m in (60, 5, 360, 30)}


def test_growth_asks_for_the_value_over_the_own_window_some_time_ago() -> None:
    found = asks_of(on({"metric": "http", "kind": "growth", "over": "10m", "factor": 2}))
    assert found == {Ask("http", timedelta(minutes=2), timedelta(minutes=10))}


def test_a_threshold_asks_for_nothing_more() -> None:
    assert not asks_of(on({"metric": "http", "value": 1}))


def test_trends_of_one_metric_share_the_longest_history_with_what_warming_up_takes() -> None:
    found = histories_of(
        on(
            {"metric": "keys", "kind": "trend", "over": "30m", "slopePerMinute": 0},
            {"metric": "keys", "kind": "trend", "over": "25m", "slopePerMinute": 0, "warmup": "10m"},
        )
    )
    assert found == {"keys": timedelta(minutes=35)}


def test_baselines_are_of_what_is_compared_with_the_time_before_the_run() -> None:
    legs = [{"metric": "keys", "kind": "vsBaseline", "factor": 2}]
    assert baselines_of(on(*legs)) == {"keys"}
    assert baselines_of(on({"metric": "http", "kind": "sequential"})) == {"http"}
    limits = [{"name": "errors", "metric": "http", "maxVsBaseline": 2}]
    assert baselines_of(resolved(thresholds=limits, triggers=[])) == {"http"}
    assert baselines_of(resolved(comparison={"tests": [{"metric": "http"}]}, triggers=[])) == {"http"}
    assert not baselines_of(resolved())


def test_a_test_is_called_as_its_metric_and_a_leg_by_its_place() -> None:
    found = counted_tests(
        resolved(
            comparison={"tests": [{"metric": "http"}]},
            triggers=[
                {"name": "rule", "all": [{"metric": "keys", "value": 1}, {"metric": "http", "kind": "sequential"}]}
            ],
        )
    )
    assert found == {"http": "http", "rule/1": "http"}
