"""Other tools' rules decide as their sources say: no stricter than they are, and no kinder."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from bench.verdicts.peers import alerts, argo, flagger, kayenta, oracle
from bench.verdicts.peers.argo import AnalysisRun, Metric, MetricRun, Phase, at_least, at_most
from scipy import stats

# ---------------------------------------------------------------- Argo Rollouts

GOOD = Metric("m", interval=60.0, success=at_least(0.95))
BOTH = Metric("m", interval=60.0, success=at_least(0.95), failure=lambda value: value < 0.9)
NAN = math.nan


@pytest.mark.parametrize(
    ("metric", "value", "phase"),
    [
        (Metric("neither"), 0.0, Phase.SUCCESSFUL),
        (GOOD, 0.96, Phase.SUCCESSFUL),
        (GOOD, 0.94, Phase.FAILED),
        (GOOD, NAN, Phase.FAILED),
        (GOOD, None, Phase.ERROR),
        (Metric("failure only", failure=lambda value: value > 10), 11.0, Phase.FAILED),
        (Metric("failure only", failure=lambda value: value > 10), NAN, Phase.SUCCESSFUL),
        (BOTH, 0.92, Phase.INCONCLUSIVE),
        (BOTH, 0.85, Phase.FAILED),
        (Metric("slow", success=at_most(0.4)), 0.4, Phase.SUCCESSFUL),
        (Metric("slow", success=at_most(0.4)), NAN, Phase.FAILED),
    ],
)
def test_argo_counts_an_answer_as_its_conditions_say(metric: Metric, value: float | None, phase: Phase) -> None:
    assert metric.evaluate(value) is phase


E, S, F, INC = None, 1.0, 0.0, 0.92
ROW = Metric("row", interval=60, count=4, consecutive_success_limit=2, success=at_least(0.95), failure_limit=9)


@pytest.mark.parametrize(
    ("metric", "values", "phase"),
    [
        (Metric("once", success=at_least(0.95)), [S], Phase.SUCCESSFUL),
        (Metric("once", success=at_least(0.95)), [F], Phase.FAILED),
        (GOOD, [S] * 500, Phase.RUNNING),
        (GOOD, [F], Phase.FAILED),
        (argo.DOCUMENTED[0], [F, S, F, S, F, S], Phase.RUNNING),
        (argo.DOCUMENTED[0], [F, S, F, S, F, *[S] * 90, F], Phase.FAILED),
        (GOOD, [E] * 4, Phase.RUNNING),
        (GOOD, [E] * 5, Phase.ERROR),
        (GOOD, ([E] * 4 + [S]) * 100, Phase.RUNNING),
        (BOTH, [INC], Phase.INCONCLUSIVE),
        (
            Metric("both", interval=60, success=at_least(0.95), failure=lambda v: v < 0.9, failure_limit=-1),
            [F] * 9,
            "Running",
        ),
        (Metric("count", interval=60, count=3, success=at_least(0.95)), [S, E, S], Phase.RUNNING),
        (Metric("count", interval=60, count=3, success=at_least(0.95)), [S, E, S, S], Phase.SUCCESSFUL),
        (
            Metric("row", interval=60, consecutive_success_limit=2, success=at_least(0.95), failure_limit=9),
            [S, F, S, S],
            Phase.SUCCESSFUL,
        ),
        (ROW, [S, F, S], Phase.RUNNING),
        (ROW, [S, F, S, F], Phase.INCONCLUSIVE),
        (replace(ROW, failure_limit=-1), [S, F, S, F], Phase.FAILED),
        (ROW, [F, F, S, S], Phase.SUCCESSFUL),
    ],
)
def test_argo_stands_by_its_limits(metric: Metric, values: list[float | None], phase: Phase) -> None:
    run = MetricRun(metric)
    for number, value in enumerate(values):
        run.measure(60.0 * number, value)
    assert run.phase == phase


def test_argo_pauses_instead_of_going_back_when_an_inconclusive_measurement_hides_a_failure() -> None:
    run = AnalysisRun(
        (Metric("m", 60.0, at_least(0.95), lambda value: value < 0.9, inconclusive_limit=0, failure_limit=1),)
    )
    for at, value in ((0.0, F), (60.0, INC)):
        run.metrics[0].measure(at, value)
    assert (run.phase, run.aborts) == (Phase.INCONCLUSIVE, False)


def test_argo_goes_back_when_one_of_two_metrics_fails_over_its_limit() -> None:
    run = AnalysisRun(argo.TUNED)
    for number in range(4):
        run.metrics[0].measure(60.0 * number, 1.0)
        run.metrics[1].measure(60.0 * number, 0.9)
        assert run.aborts is (number == 3)
    assert run.phase is Phase.FAILED


def test_argo_measures_again_after_ten_seconds_when_it_could_not_and_cuts_short_as_successful() -> None:
    run = AnalysisRun(argo.DOCUMENTED)
    run.metrics[0].measure(0.0, None)
    assert run.metrics[0].due == 10.0
    run.metrics[0].measure(10.0, 0.5)
    assert run.metrics[0].due == 310.0
    assert run.phase is Phase.RUNNING
    assert run.cancelled() is Phase.SUCCESSFUL


# ---------------------------------------------------------------- Flagger


def ticks(canary: flagger.Canary, values: list[float | None], every: float = 60.0) -> float | None:
    """Seconds from the first step until the canary ends; None when it does not."""
    for number, value in enumerate(values):
        canary.tick([value])
        if canary.phase is not flagger.Phase.PROGRESSING:
            return number * every
    return None


RATE = (flagger.Check("success", minimum=99.0),)
WEIGHTS = (1.0, 5.0, 25.0, 50.0, 100.0)


@pytest.mark.parametrize(
    ("threshold", "interval", "values", "phase", "seconds"),
    [
        (1, 60.0, [100.0] * 9, flagger.Phase.SUCCEEDED, 300.0),
        (1, 60.0, [0.0] * 9, flagger.Phase.FAILED, 120.0),
        (5, 60.0, [0.0] * 9, flagger.Phase.FAILED, 360.0),
        (1, 10.0, [0.0] * 9, flagger.Phase.FAILED, 20.0),
        (1, 60.0, [100.0, None, 100.0], flagger.Phase.FAILED, 120.0),
        (1, 60.0, [100.0, NAN, 100.0], flagger.Phase.FAILED, 120.0),
        (5, 60.0, [100.0, 0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0, 100.0], flagger.Phase.SUCCEEDED, 540.0),
    ],
)
def test_flagger_takes_its_time(
    threshold: int, interval: float, values: list[float | None], phase: flagger.Phase, seconds: float
) -> None:
    canary = flagger.Canary(flagger.Analysis(WEIGHTS, RATE, interval=interval, threshold=threshold))
    assert ticks(canary, values, interval) == seconds
    assert canary.phase is phase
    assert canary.weight == (100.0 if phase is flagger.Phase.SUCCEEDED else 0.0)


def test_flagger_goes_back_at_its_first_failed_check_unless_told_otherwise() -> None:
    """One tick to fail, one to act; a minute without a request is a failed check as well."""
    for bad in (98.9, None):
        canary = flagger.Canary(flagger.Analysis(WEIGHTS, RATE))
        assert ticks(canary, [100.0, 100.0, bad, 100.0, 100.0]) == 180.0
        assert canary.phase is flagger.Phase.FAILED


def test_flagger_never_forgets_a_failed_check_and_a_glitch_in_four_ticks_ends_a_long_analysis() -> None:
    weights = flagger.held([50.0], [60])
    canary = flagger.Canary(flagger.Analysis(weights, RATE, threshold=5))
    assert ticks(canary, [100.0, 100.0, 100.0, 0.0] * 20) == 60.0 * 20
    assert canary.phase is flagger.Phase.FAILED


def test_flagger_holds_the_weight_at_a_failed_check_and_shifts_at_a_good_one() -> None:
    canary = flagger.Canary(flagger.Analysis.stepping(10, 50, threshold=5, checks=RATE))
    seen = []
    for value in (None, 100.0, 98.0, 99.0, 100.0, 100.0):
        canary.tick([value])
        seen.append(canary.weight)
    assert seen == [10.0, 20.0, 20.0, 30.0, 40.0, 50.0]
    canary.tick([100.0])
    assert (canary.phase, canary.weight) == (flagger.Phase.SUCCEEDED, 100.0)


def test_flagger_promotes_at_its_highest_weight_whatever_weights_are_left() -> None:
    canary = flagger.Canary(flagger.Analysis((10.0, 50.0, 60.0, 100.0), RATE, max_weight=50.0))
    assert ticks(canary, [100.0] * 9) == 120.0
    assert (canary.phase, canary.weight) == (flagger.Phase.SUCCEEDED, 100.0)


def test_flagger_without_checks_passes_everything() -> None:
    canary = flagger.Canary(flagger.Analysis(WEIGHTS))
    for _ in range(6):
        canary.tick([])
    assert canary.phase is flagger.Phase.SUCCEEDED


# ---------------------------------------------------------------- Kayenta


def test_kayenta_s_interval_is_that_of_a_mann_whitney_test() -> None:
    random = np.random.default_rng(1)
    canary, control = random.normal(0.6, 1, 40), random.normal(0, 1, 35)
    _, low = kayenta.shift(canary, control, 0.98)
    at_low = stats.mannwhitneyu(canary - low, control, alternative="greater", method="asymptotic").pvalue
    assert at_low == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize(
    ("canary", "control", "found"),
    [
        ([1.0] * 9, [1.0] * 9, kayenta.Class.PASS),
        (range(9), range(9), kayenta.Class.PASS),
        (range(100, 115), range(15), kayenta.Class.HIGH),
        (range(15), range(100, 115), kayenta.Class.PASS),
        ([NAN] * 5, [1.0] * 5, kayenta.Class.NO_DATA),
        ([5.0, NAN, 6.0], [1.0, 2.0, 3.0], kayenta.Class.PASS),
    ],
)
def test_kayenta_judges_increases_on_what_points_there_are(
    canary: list[float], control: list[float], found: kayenta.Class
) -> None:
    assert kayenta.classify(np.array(canary, float), np.array(control, float)) is found


# ---------------------------------------------------------------- alerts and oracle


def test_an_alert_fires_after_its_time_and_any_gap_begins_it_anew() -> None:
    alert = alerts.Alert(alerts.PROTOCOL[0])
    assert [alert.evaluate(15.0 * k, 0.05) for k in range(21)] == [False] * 20 + [True]
    for gap in (NAN, 0.03):
        again = alerts.Alert(alerts.PROTOCOL[0])
        values = [0.05] * 15 + [gap] + [0.05] * 20
        assert not any(again.evaluate(15.0 * k, value) for k, value in enumerate(values))


@pytest.mark.parametrize(("rate", "requests"), [(0.005, 1136), (0.01, 331), (0.02, 111), (0.05, 31), (0.2, 5.2)])
def test_wald_s_bound_is_the_divergence_s(rate: float, requests: float) -> None:
    good, bad = np.array([0.999, 0.001]), np.array([1 - rate, rate])
    assert oracle.wald(bad, good) == pytest.approx(requests, rel=0.04)


@pytest.mark.parametrize(
    ("rate", "failed"), [(0.005, 10.6), (0.02, 3.2), (0.2, 1.4), (0.0015, math.inf), (0.001, math.inf)]
)
def test_who_tolerates_a_margin_needs_more(rate: float, failed: float) -> None:
    assert rate * oracle.with_margin(rate, 0.001, 1.5, 0.005) == pytest.approx(failed, rel=0.05)


def test_the_oracle_keeps_its_error_probability_and_sees_what_is_bad() -> None:
    random, runs, scrapes = np.random.default_rng(2), 2000, 200
    good, bad = np.array([0.999, 0.001]), np.array([0.98, 0.02])
    for truth, low, high in ((good, 0.0, 0.01), (bad, 0.99, 1.0)):
        failed = random.binomial(30, truth[1], (scrapes, runs))
        counts = np.stack([30 - failed, failed], axis=-1).astype(float)
        sure = oracle.first_sure(counts, good, bad)
        assert low <= float((sure < scrapes).mean()) <= high
