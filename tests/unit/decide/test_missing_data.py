"""Each way in which data can be missing: its own reason, a hold at once, and how long it is borne."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.api.triggers import TriggerAction
from sparkrelease.decide.answers import asked_of
from sparkrelease.decide.asks import asks_of
from sparkrelease.decide.facts import (
    Counts,
    History,
    MetricFacts,
    Missing,
    Reading,
    Role,
    Side,
    Track,
    Value,
    Window,
)
from unit.decide.world import START, World, spec

METRICS = [{"name": "http", "bad": "bad_total", "total": "all_total"}, {"name": "lag", "value": "lag"}]
LIMITS = {"rollbackAfter": "2m", "serverRollbackAfter": "10m"}
OWN, SERVER = 120, 600


def world(*legs: dict[str, object], **changes: object) -> World:
    rules = [{"name": "burst", "all": [{"metric": "http", "value": 0.05}], "for": "0s"}]
    rules += [{"name": "more", "all": list(legs), "for": "0s"}] if legs else []
    made = World(spec=spec(metrics=METRICS, triggers=rules, noData=LIMITS, **changes))
    made.readings["lag"] = (Value(1), Value(1))
    return made


def held(made: World, reason: Reason) -> None:
    """At once, with its reason, at the weight it had, and without a rollback in the first minute."""
    weight = made.route.canary_weight
    observed = made.status.stage.observed if made.status.stage else None
    made.run_for(5)
    assert made.reason(ConditionType.METRICS_AVAILABLE) == reason
    assert made.reason() == reason
    made.run_for(60)
    assert made.route.canary_weight == weight
    assert made.status.stage is not None and made.status.stage.observed == observed


def goes_back_after(made: World, seconds: int) -> None:
    """Not before the limit, counted from the first blind round; the minute of `held` has passed."""
    made.run_for(seconds - 75)
    assert made.status.phase is Phase.PROGRESSING
    made.run_for(seconds * 0.25 + 20)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None
    assert made.status.rollback.reason == Reason.DATA_MISSING_TOO_LONG


# ---------------------------------------------------------------- (a) the server does not answer, or with an error


@pytest.mark.parametrize("reason", [Reason.PROMETHEUS_UNREACHABLE, Reason.PROMETHEUS_ERROR])
def test_a_server_that_does_not_answer_is_borne_longer_than_a_release_s_own_silence(reason: Reason) -> None:
    made = world()
    made.reach(25)
    made.blind(reason)
    made.readings.clear()
    held(made, reason)
    goes_back_after(made, SERVER)


def test_a_query_the_server_refuses_is_the_release_s_own_blindness() -> None:
    made = world()
    made.reach(25)
    made.readings["http"] = (Missing(Reason.PROMETHEUS_ERROR, "422"), Missing(Reason.PROMETHEUS_ERROR, "422"))
    held(made, Reason.PROMETHEUS_ERROR)
    goes_back_after(made, OWN)


def test_answers_that_stay_away_are_a_blind_server() -> None:
    made = world()
    made.reach(25)
    facts = made.facts().metrics
    made._metric = facts.__getitem__  # type: ignore[method-assign]  # the answers of before, again and again
    made.run_for(60)
    assert made.reason() == Reason.STALE_DATA
    made.run_for(SERVER)
    made.run_for(SERVER * 0.2 + 20)
    assert made.status.phase is Phase.ROLLED_BACK


# ---------------------------------------------------------------- (b) and (c) nothing, where something was expected


def test_a_canary_silent_where_requests_were_to_be_expected_is_missing_data() -> None:
    made = world()
    made.reach(25)
    made.readings["http"] = (Missing(Reason.NO_DATA, "no series"), Counts(0, 1000))
    held(made, Reason.NO_DATA)
    goes_back_after(made, OWN)


def test_a_value_that_is_no_number_is_missing_data() -> None:
    made = world({"metric": "lag", "value": 30})
    made.reach(25)
    made.readings["lag"] = (Missing(Reason.NOT_A_NUMBER, "the value is NaN"), Value(1))
    held(made, Reason.NOT_A_NUMBER)
    goes_back_after(made, OWN)


def test_a_canary_silent_where_none_were_to_be_expected_is_too_little_traffic() -> None:
    made = world()
    made.reach(1)
    made.readings["http"] = (Missing(Reason.NO_DATA, "no series"), Counts(0, 100))
    made.run_for(SERVER)
    assert made.status.rollback is None
    assert made.route.canary_weight == 1
    assert made.reason(ConditionType.METRICS_AVAILABLE) == Reason.INSUFFICIENT_TRAFFIC
    (said,) = [v for v in made.status.verdicts if v.rule == "burst"]
    assert (said.verdict, said.reason) == (Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC)


@pytest.mark.parametrize(("requests", "missing"), [(59, False), (60, True)])
def test_twenty_requests_are_expected_before_silence_is_missing_data(requests: int, missing: bool) -> None:
    """A quarter of the traffic is a third of what stable got."""
    made = world()
    made.reach(25)
    made.readings["http"] = (Missing(Reason.NO_DATA, "no series"), Counts(0, requests))
    made.run_for(5)
    reason = Reason.NO_DATA if missing else Reason.INSUFFICIENT_TRAFFIC
    assert made.reason(ConditionType.METRICS_AVAILABLE) == reason


# ---------------------------------------------------------------- (d) stale


def test_an_old_sample_is_missing_data() -> None:
    made = world()
    made.reach(25)
    made.readings["http"] = (Missing(Reason.STALE_DATA, "the newest sample is 90 s old"), Counts(0, 1000))
    held(made, Reason.STALE_DATA)
    goes_back_after(made, OWN)


# ---------------------------------------------------------------- (e) no bad events yet


def test_no_bad_series_beside_requests_is_none_bad_and_goes_on() -> None:
    """The reading itself is made in `readings`; here it is an ordinary count."""
    made = world()
    made.reading = Counts(0, 1000)
    made.reach(100)


# ---------------------------------------------------------------- (f) several series where one is meant


def test_duplicates_are_an_error_and_never_one_of_them() -> None:
    made = world()
    made.reach(25)
    made.readings["http"] = (Missing(Reason.AMBIGUOUS_RESULT, "several series"), Counts(0, 1000))
    held(made, Reason.AMBIGUOUS_RESULT)
    (said,) = [v for v in made.status.verdicts if v.rule == "burst"]
    assert said.verdict is Verdict.ERROR
    goes_back_after(made, OWN)


# ---------------------------------------------------------------- (g) pods that are not scraped


def test_readings_of_some_of_the_pods_are_missing_data() -> None:
    made = world()
    made.canary = Side(exists=True, ready=3, fingerprints=frozenset({"fp2"}))
    made.scraped = {Role.CANARY: 3, Role.STABLE: 0}
    made.reach(25)
    made.scraped = {Role.CANARY: 2}
    held(made, Reason.TARGETS_MISSING)
    goes_back_after(made, OWN)


# ---------------------------------------------------------------- answers that are not all


@pytest.mark.parametrize("reason", [Reason.PARTIAL_ANSWER, Reason.ANSWER_TOO_LARGE, Reason.INCONSISTENT_COUNTS])
def test_an_answer_that_is_not_all_of_it_is_missing_data(reason: Reason) -> None:
    made = world()
    made.reach(25)
    made.readings["http"] = (Missing(reason, "said so itself"), Counts(0, 1000))
    held(made, reason)
    goes_back_after(made, OWN)


# ---------------------------------------------------------------- other windows, the past, histories

GROWTH: dict[str, object] = {"metric": "lag", "kind": "growth", "over": "10m", "factor": 2}
BURN: dict[str, object] = {"metric": "http", "kind": "burnRate", "objective": 0.999}
TREND: dict[str, object] = {"metric": "lag", "kind": "trend", "over": "30m", "slopePerMinute": 1}
SHORT = Missing(Reason.NO_DATA, "no series then")


def answer(made: World, reading: Reading) -> None:
    """The same answer to everything that is asked beyond a metric's own window."""
    resolved = made.resolved()
    assert resolved is not None
    made.asked = dict.fromkeys(asks_of(resolved), (reading, reading))
    tracks = reading if isinstance(reading, Missing) else (Track("pod", ((START.timestamp(), 1.0),)),)
    made.history = {"lag": History("q", START, timedelta(minutes=30), tracks, tracks)}


@pytest.mark.parametrize("leg", [GROWTH, BURN, TREND], ids=lambda leg: str(leg["kind"]))
def test_a_past_too_short_to_judge_is_inconclusive_and_holds_nothing(leg: dict[str, object]) -> None:
    made = world(leg)
    answer(made, SHORT)
    made.reach(25)
    (said,) = [v for v in made.status.verdicts if v.rule == "more"]
    assert (said.verdict, said.reason) == (Verdict.INCONCLUSIVE, Reason.TOO_FEW_POINTS)


@pytest.mark.parametrize("leg", [GROWTH, BURN, TREND], ids=lambda leg: str(leg["kind"]))
def test_a_past_that_cannot_be_asked_is_blindness(leg: dict[str, object]) -> None:
    made = world(leg)
    answer(made, SHORT)
    made.reach(25)
    answer(made, Missing(Reason.PROMETHEUS_ERROR, "query too heavy"))
    held(made, Reason.PROMETHEUS_ERROR)
    goes_back_after(made, OWN)


@pytest.mark.parametrize("leg", [GROWTH, BURN, TREND], ids=lambda leg: str(leg["kind"]))
def test_what_was_never_asked_raises_nothing(leg: dict[str, object]) -> None:
    made = world(leg)
    made.run_for(300)
    assert made.route.canary_weight == 1
    assert made.reason() == Reason.NO_DATA
    answer(made, SHORT)
    made.reach(25)


def test_a_trend_needs_no_reading_of_its_metric_s_own_window() -> None:
    """Its query may have a series per pod, which is ambiguous as a single value."""
    made = world(TREND)
    answer(made, SHORT)
    made.readings["lag"] = (Missing(Reason.AMBIGUOUS_RESULT, "a series per pod"),) * 2
    made.reach(25)


@pytest.mark.parametrize(
    ("minutes", "fresh"), [(0, True), (0.5, True), (5, False), (10, True), (10.5, True), (15, False)]
)
def test_an_answer_about_the_past_is_dated_by_then_or_by_when_it_was_asked(minutes: float, fresh: bool) -> None:
    made = world(GROWTH)
    resolved = made.resolved()
    assert resolved is not None
    (ask,) = asks_of(resolved)
    seen = MetricFacts("q", START - timedelta(minutes=minutes), ask.window, Value(1), Value(1))
    answered = asked_of(resolved, replace(made.facts(), asked={ask: seen}), ask, Role.CANARY, START)
    assert (answered == Value(1)) is fresh


# ---------------------------------------------------------------- windows of a comparison

EVERY = timedelta(seconds=15)
COMPARED = {"tests": [{"metric": "http"}], "warmup": "0s"}
VOID = Missing(Reason.WINDOW_VOID, "a series was not scraped in the window")


def with_windows(made: World, side: Counts | Missing | None, seconds: int) -> World:
    """Runs on while windows with these counts end, or none comes at all."""
    for _ in range(seconds // made.tick.seconds):
        end = made.now + made.tick
        end -= (end - START) % EVERY
        made.windows = {"http": (Window(end, EVERY, side, side),)} if side is not None and end > START else {}
        made.run_for(made.tick.seconds)
    return made


@pytest.mark.parametrize("side", [VOID, None], ids=["void", "none"])
@pytest.mark.parametrize(
    "thresholds", [[], [{"name": "errors", "metric": "http", "max": 0.01}]], ids=["bare", "limits"]
)
def test_a_comparison_that_never_counts_a_window_raises_no_weight(
    side: Missing | None, thresholds: list[dict[str, object]]
) -> None:
    made = with_windows(world(comparison=COMPARED, thresholds=thresholds), side, 600)
    assert made.weights == [1]
    assert made.status.phase is Phase.PROGRESSING
    assert made.reason() == Reason.WINDOW_VOID


@pytest.mark.parametrize("side", [VOID, None], ids=["void", "none"])
def test_windows_that_stay_away_hold_and_the_next_that_counts_goes_on(side: Missing | None) -> None:
    stages = [{"name": "long", "weight": 25, "duration": "1h"}, {"name": "full", "weight": 100, "duration": "1m"}]
    made = with_windows(world(comparison=COMPARED, stages=stages), Counts(0, 500), 90)
    assert made.reason() == Reason.PROGRESSING
    with_windows(made, side, 100)
    assert made.reason() == Reason.WINDOW_VOID
    with_windows(made, Counts(0, 500), 40)
    assert made.reason() == Reason.PROGRESSING


@pytest.mark.parametrize("legs", [(), ({"metric": "http", "kind": "sequential"},)], ids=["test", "leg"])
def test_the_first_windows_of_a_canary_that_just_got_requests_hold_nothing(legs: tuple[dict[str, object], ...]) -> None:
    made = with_windows(world(*legs, comparison=COMPARED), VOID, 40)
    assert made.reason() == Reason.PROGRESSING
    assert made.weights == [1]
    with_windows(made, VOID, 40)
    assert made.reason() == Reason.WINDOW_VOID


def test_a_sequential_leg_without_windows_holds_too() -> None:
    leg = {"metric": "http", "kind": "sequential"}
    made = with_windows(world(leg, thresholds=[]), None, 600)
    assert made.reason() == Reason.WINDOW_VOID
    assert 100 not in made.weights


def test_a_rule_that_only_tells_people_holds_nothing_when_it_cannot_be_judged() -> None:
    leg = {"metric": "http", "kind": "sequential"}
    made = world(leg, thresholds=[])
    rules = [rule.model_copy(update={"action": TriggerAction.NOTIFY}) for rule in made.spec.triggers or ()]
    made = World(spec=made.spec.model_copy(update={"triggers": (made.spec.triggers[0], rules[1])}))
    made.readings["lag"] = (Value(1), Value(1))
    assert 100 in with_windows(made, None, 600).weights
