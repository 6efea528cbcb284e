"""What a gate asks for before it passes, how its doubts end, what it shows, and what leaves a control group."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Baseline, Buckets, Counts, Missing, Reading, Value
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.decide.stages import effective_weight
from sparkrelease.decide.thresholds import BY_CHANCE, judge_threshold, least_events
from unit.decide.world import START, World, spec

HTTP = Metric.model_validate({"name": "http", "bad": "bad_total", "total": "all_total"})
LAG = Metric.model_validate({"name": "lag", "value": "lag"})
LATENCY = Metric.model_validate({"name": "latency", "buckets": "latency_bucket", "quantile": 0.95, "unit": "s"})
PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def threshold(**limits: object) -> Threshold:
    return Threshold.model_validate({"name": "limit", "metric": "any"} | limits)


# ---------------------------------------------------------------- the rule of three


@pytest.mark.parametrize(
    ("metric", "limits", "baseline", "least"),
    [
        (HTTP, {"max": 0.01}, None, 300),
        (HTTP, {"max": 0.001}, None, 3000),
        (HTTP, {"max": 0.007}, None, 429),
        (HTTP, {"max": 1}, None, 3),
        (HTTP, {"max": 5}, None, 1),
        (HTTP, {"max": 0}, None, 1),
        (HTTP, {"min": 0.5}, None, 1),
        (HTTP, {"max": 0.01, "minRequests": 7}, None, 7),
        (HTTP, {"maxVsBaseline": 2}, 0.005, 300),
        (HTTP, {"maxVsBaseline": 2}, 0.0, 1),
        (HTTP, {"maxVsBaseline": 2}, None, 1),
        (HTTP, {"maxVsBaseline": 2, "max": 0.001}, 0.005, 3000),
        (LATENCY, {"max": 0.2}, None, 60),
        (LATENCY, {"max": 0.2, "minRequests": 500}, None, 500),
        (LATENCY.model_copy(update={"quantile": 0.9}), {"max": 0.2}, None, 30),
        (LAG, {"max": 30}, None, 1),
        (LAG, {"max": 0.01}, None, 1),
    ],
)
def test_how_many_events_a_stage_needs_to_show_that_it_is_within_its_limit(
    metric: Metric, limits: dict[str, object], baseline: float | None, least: int
) -> None:
    assert least_events(threshold(**limits), metric, baseline) == least


@pytest.mark.parametrize(
    ("reading", "verdict"),
    [
        (Counts(0, 299), UNSURE),
        (Counts(0, 300), PASS),
        (Counts(3, 300), PASS),
        (Counts(4, 300), UNSURE),
        (Counts(9, 300), FAIL),
        (Counts(299, 299), UNSURE),
        (Counts(0, 0), UNSURE),
        (Counts(float("nan"), 1000), Verdict.NO_DATA),
        (Counts(0, float("inf")), Verdict.NO_DATA),
        (Missing(Reason.NO_DATA, "gone"), Verdict.NO_DATA),
        (Missing(Reason.AMBIGUOUS_RESULT, "two"), Verdict.ERROR),
    ],
)
def test_a_gate_claims_nothing_of_too_few_events(reading: Reading, verdict: Verdict) -> None:
    assert judge_threshold(threshold(max=0.01), HTTP, reading).verdict is verdict


@pytest.mark.parametrize(
    ("metric", "limits", "reading", "baseline", "verdict"),
    [
        (LAG, {"maxVsBaseline": 1.1}, Value(11), 10.0, PASS),
        (LAG, {"maxVsBaseline": 1.1}, Value(11.5), 10.0, FAIL),
        (LAG, {"maxVsBaseline": 1.1}, Value(11.5), None, UNSURE),
        (LAG, {"maxVsBaseline": 1.1, "max": 11}, Value(12), None, FAIL),
        (LAG, {"maxVsBaseline": 1.1, "max": 50}, Value(12), None, UNSURE),
        (HTTP, {"maxVsBaseline": 2}, Counts(10, 1000), 0.005, PASS),
        (HTTP, {"maxVsBaseline": 2}, Counts(11, 1000), 0.005, UNSURE),
        (HTTP, {"maxVsBaseline": 2}, Counts(20, 1000), 0.005, FAIL),
        (HTTP, {"maxVsBaseline": 2}, Counts(1, 299), 0.005, UNSURE),
        (HTTP, {"max": 0.03, "maxVsBaseline": 2}, Counts(64, 2000), 0.001, FAIL),
        (HTTP, {"max": 0.03, "maxVsBaseline": 2}, Counts(32, 1000), 0.015, UNSURE),
        (LAG, {"max": 30}, Value(float("nan")), None, Verdict.NO_DATA),
        (LATENCY, {"max": 0.2}, Buckets({0.2: 95}, 100), None, PASS),
        (LATENCY, {"max": 0.2}, Buckets({0.2: 94}, 100), None, UNSURE),
        (LATENCY, {"max": 0.2}, Buckets({0.2: 80}, 100), None, FAIL),
        (LATENCY, {"max": 0.2}, Buckets({0.2: 59}, 59), None, UNSURE),
        (LATENCY, {"max": 0.3}, Buckets({0.2: 95}, 100), None, Verdict.ERROR),
    ],
)
def test_a_threshold_is_judged_by_every_limit_it_has(
    metric: Metric, limits: dict[str, object], reading: Reading, baseline: float | None, verdict: Verdict
) -> None:
    assert judge_threshold(threshold(**limits), metric, reading, baseline).verdict is verdict


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 2000), st.sampled_from([0.001, 0.01, 0.5]))
def test_more_bad_events_of_as_many_never_turn_a_gate_s_fail_into_a_pass(
    bad: int, more: int, total: int, limit: float
) -> None:
    first, second = (
        judge_threshold(threshold(max=limit), HTTP, Counts(min(n, total), total)).verdict for n in (bad, bad + more)
    )
    assert not (first is FAIL and second is not FAIL)


@given(st.integers(1, 400), st.sampled_from([0.001, 0.01, 0.05, 0.5, 0.9]))
def test_events_whose_true_share_is_the_limit_fail_a_gate_by_chance_in_a_twentieth_of_all_cases_at_most(
    total: int, limit: float
) -> None:
    chance = 0.0
    for bad in range(total + 1):
        judged = judge_threshold(threshold(max=limit, minRequests=1), HTTP, Counts(bad, total)).verdict
        if judged is FAIL:
            chance += math.comb(total, bad) * limit**bad * (1 - limit) ** (total - bad)
    assert chance <= BY_CHANCE


def test_a_breach_that_may_be_chance_says_so_and_how_likely() -> None:
    said = judge_threshold(threshold(max=0.2), LATENCY, Buckets({0.2: 56}, 60))
    assert said.verdict is UNSURE
    assert said.message == (
        "limit: latency 93.33% <= 0.2s, max 0.2s, which may be chance (p <= 0.85): more requests are needed"
    )


@given(st.floats(0.001, 0.9), st.integers(1, 10_000))
def test_a_share_far_above_its_limit_fails_with_enough_events(limit: float, times: int) -> None:
    total = math.ceil(60 / limit) * times
    judged = judge_threshold(threshold(max=limit), HTTP, Counts(min(2 * limit, 1.0) * total, total))
    assert judged.verdict is FAIL


def test_a_limit_from_below_is_broken_beyond_chance_too() -> None:
    assert judge_threshold(threshold(min=0.5), HTTP, Counts(4, 10)).verdict is UNSURE
    assert judge_threshold(threshold(min=0.5), HTTP, Counts(4000, 10_000)).verdict is FAIL


# ---------------------------------------------------------------- doubts


def test_a_gate_that_was_unlucky_early_passes_once_more_requests_say_so() -> None:
    world = staged("hold")
    world.over_stage = Counts(4, 300)
    world.run_for(70)
    assert world.route.canary_weight == 1
    assert world.reason() == Reason.GATE_INCONCLUSIVE
    world.over_stage = Counts(4, 500)
    world.run_for(10)
    assert world.route.canary_weight == 100


def staged(end: str, **changes: object) -> World:
    stages = [
        {"name": "one", "weight": 1, "duration": "1m", "onInconclusive": end},
        {"name": "full", "weight": 100, "duration": "1m"},
    ]
    return World(spec=spec(stages=stages, **changes))


def test_too_few_requests_extend_the_stage_to_twice_its_time_and_proceed_says_so_in_evidence() -> None:
    world = staged("proceed")
    world.reading = Counts(0, 100)
    world.run_for(115)
    assert world.route.canary_weight == 1
    assert world.reason() == Reason.GATE_INCONCLUSIVE
    world.run_for(20)
    assert world.route.canary_weight == 100
    (told,) = [e for e in world.entries if e.kind is Reason.GATE_PROCEEDED]
    assert told.data["verdicts"] == {"errors": "Inconclusive"}
    assert "without a verdict" in told.message
    assert not [e for e in world.entries if e.kind is Reason.GATE_PASSED]
    assert world.status.run is not None and world.status.run.gates_passed == 0


@pytest.mark.parametrize(
    "reading",
    [Missing(Reason.NO_DATA, "gone"), Missing(Reason.AMBIGUOUS_RESULT, "two"), Missing(Reason.STALE_DATA, "old")],
)
def test_proceed_forgives_no_missing_data(reading: Missing) -> None:
    world = staged("proceed")
    world.over_stage = reading
    world.run_for(600)
    assert world.route.canary_weight == 1
    assert world.reason() == Reason.GATE_INCONCLUSIVE


@pytest.mark.parametrize(("end", "phase"), [("hold", Phase.PROGRESSING), ("rollback", Phase.ROLLED_BACK)])
def test_other_ends_of_a_doubt_raise_nothing(end: str, phase: Phase) -> None:
    world = staged(end)
    world.reading = Counts(0, 100)
    world.run_for(300)
    assert world.status.phase is phase
    assert (world.route.canary_weight or 0) <= 1


# ---------------------------------------------------------------- what people see


def test_the_gate_says_how_many_thresholds_pass_now() -> None:
    limits = [{"name": "errors", "metric": "http", "max": 0.01}, {"name": "few", "metric": "http", "max": 0.5}]
    world = World(spec=spec(thresholds=limits, triggers=[]))
    world.reach(1)
    world.run_for(10)
    assert world.status.gate_text == "2/2"
    world.reading = Counts(20, 1000)
    world.run_for(5)
    assert world.status.gate_text == "1/2"
    world.blind()
    world.run_for(5)
    assert world.status.gate_text == "0/2"


def test_without_thresholds_there_is_no_gate_to_show() -> None:
    world = World(spec=spec(thresholds=[]))
    world.reach(25)
    assert world.status.gate_text == ""


# ---------------------------------------------------------------- control group

CONTROLLED = {"comparison": {"keepControl": 1}}


def resolved(**changes: object) -> ResolvedSpec:
    found = resolve(spec(**changes), None)
    assert isinstance(found, ResolvedSpec), found
    return found


@pytest.mark.parametrize(
    ("weight", "control", "given"),
    [(100, 1, 99), (99.5, 1, 99), (99, 1, 99), (50, 1, 50), (100, 0, 100), (100, 0.001, 99.999), (100, 33.333, 66.667)],
)
def test_a_stage_leaves_the_control_group_on_stable(weight: float, control: float, given: float) -> None:
    stages = [{"name": "last", "weight": weight, "duration": "1m"}]
    found = resolved(stages=stages, comparison={"keepControl": control})
    assert effective_weight(found, found.stages[-1]) == given


def test_the_last_stage_keeps_a_control_group_and_the_promotion_takes_it_too() -> None:
    world = World(spec=spec(**CONTROLLED))
    world.reach(99)
    assert world.status.stage is not None and world.status.stage.name == "full"
    world.run_for(65)
    assert world.status.run is not None and world.status.run.promoted_at is not None
    assert world.weights == [1, 25, 99, 100]
    (told,) = [e for e in world.entries if e.kind is Reason.PROMOTED]
    assert told.data["weight"] == 100


def test_with_a_control_group_traffic_walks_back_from_all_of_it() -> None:
    world = World(spec=spec(**CONTROLLED))
    world.reach(100)
    world.stable = world.canary
    world.reach(50)
    world.reach(0)
    assert world.status.settled is not None


# ---------------------------------------------------------------- baselines


def looked(value: float | None, spread: float = 0.0) -> Baseline:
    return Baseline("q", START, timedelta(hours=1), value, spread, 100)


def test_baselines_are_frozen_when_the_run_starts() -> None:
    limits = [{"name": "errors", "metric": "http", "maxVsBaseline": 2}]
    world = World(spec=spec(thresholds=limits))
    world.baselines = {"http": looked(0.004, 0.2)}
    world.reach(1)
    world.baselines = {"http": looked(0.4)}
    world.run_for(10)
    (kept,) = world.status.baselines
    assert (kept.metric, kept.value, kept.spread) == ("http", 0.004, 0.2)
    (told,) = [e for e in world.entries if e.kind is Reason.RUN_STARTED]
    baselines = told.data["baselines"]
    assert isinstance(baselines, dict) and baselines["http"]["value"] == 0.004
    world.reading = Counts(20, 1000)
    world.run_for(70)
    assert world.status.phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("baselines", [None, {}, {"http": looked(None)}, {"http": looked(float("nan"))}])
def test_without_a_baseline_nothing_that_needs_one_passes(baselines: dict[str, Baseline] | None) -> None:
    limits = [{"name": "errors", "metric": "http", "maxVsBaseline": 2}]
    world = World(spec=spec(thresholds=limits))
    world.baselines = baselines
    world.run_for(300)
    assert world.route.canary_weight == 1
    assert world.reason() == Reason.GATE_INCONCLUSIVE
    (said,) = [v for v in world.status.verdicts if v.kind == "threshold"]
    assert (said.verdict, said.reason) == (UNSURE, Reason.NO_BASELINE)


def test_a_new_run_forgets_what_the_run_before_knew() -> None:
    world = World(spec=spec())
    world.baselines = {"http": looked(0.004)}
    world.reach(25)
    world.baselines = {}
    world.spec = world.spec.model_copy(update={"version": "v3"})
    world.canary = world.canary.__class__(exists=True, ready=2, fingerprints=frozenset({"fp3"}))
    world.run_for(90)
    assert world.status.run is not None and world.status.run.version == "v3"
    assert world.status.baselines == ()
    assert world.status.tests == ()


# ---------------------------------------------------------------- without thresholds

FEW = {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05, "minEvents": 100}], "for": "0s"}


def test_without_thresholds_rules_that_all_saw_too_few_requests_let_nothing_pass() -> None:
    world = World(spec=spec(thresholds=[], triggers=[FEW]))
    world.reading = Counts(3, 3)
    world.run_for(600)
    assert world.weights == [1]
    assert "no rule has seen enough requests" in world.why()
    world.reading = Counts(0, 500)
    world.run_for(600)
    assert 100 in world.weights


def test_without_thresholds_one_rule_that_has_enough_to_say_is_enough() -> None:
    lag = {"name": "lag", "all": [{"metric": "lag", "op": ">", "value": 9}], "for": "0s"}
    metrics = [{"name": "http", "bad": "bad_total", "total": "all_total"}, {"name": "lag", "value": "lag"}]
    world = World(spec=spec(thresholds=[], triggers=[FEW, lag], metrics=metrics))
    world.reading, world.readings["lag"] = Counts(0, 3), (Value(1), Value(1))
    world.run_for(600)
    assert 100 in world.weights


def test_without_thresholds_and_rules_that_act_the_clock_alone_leads_on() -> None:
    world = World(spec=spec(thresholds=[], triggers=[{**FEW, "action": "notify"}]))
    world.reading = Counts(3, 3)
    world.run_for(600)
    assert 100 in world.weights
