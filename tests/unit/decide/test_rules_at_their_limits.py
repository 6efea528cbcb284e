"""Rules exactly at their limits: counts, edges, times, and which of several verdicts speaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, SparkReleaseStatus, Verdict
from sparkrelease.decide.datahealth import assess, blind_limit
from sparkrelease.decide.facts import Buckets, Counts, Missing, Problem, Role
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.rules import missing_verdict
from unit.decide.world import FP2, START, World, promoted, spec

QUANTILE = {
    "metrics": [{"name": "http", "buckets": "lat_bucket", "quantile": 0.95}],
    "thresholds": [{"name": "p95", "metric": "http", "max": 0.2}],
}


def slow(**more: object) -> dict[str, object]:
    return {"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "30s", **more}


# ---------------------------------------------------------------- limits


def test_a_quantile_whose_share_is_exactly_at_the_edge_is_within_its_limit() -> None:
    world = World(spec=spec(**QUANTILE, triggers=[]), reading=Buckets({0.2: 950}, 1000))
    world.reach(25)


def test_exactly_as_many_events_as_asked_for_are_enough() -> None:
    leg = {"metric": "http", "op": ">", "value": 0.05, "minEvents": 500}
    limits = {
        "triggers": [{"name": "burst", "all": [leg], "for": "0s"}],
        "thresholds": [{"name": "errors", "metric": "http", "max": 0.01, "minRequests": 500}],
    }
    world = World(spec=spec(**limits), reading=Counts(0, 500))
    world.reach(25)
    world.reading = Counts(499, 499)
    world.run_for(30)
    assert world.route.canary_weight == 25
    world.reading = Counts(500, 500)
    world.run_for(5)
    assert world.route.canary_weight == 0


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        (Reason.AMBIGUOUS_RESULT, Verdict.ERROR),
        (Reason.INVALID_QUERY, Verdict.ERROR),
        (Reason.BUCKET_EDGE, Verdict.ERROR),
        (Reason.ANSWER_TOO_LARGE, Verdict.ERROR),
        (Reason.NO_DATA, Verdict.NO_DATA),
        (Reason.NOT_A_NUMBER, Verdict.NO_DATA),
        (Reason.PROMETHEUS_UNREACHABLE, Verdict.NO_DATA),
    ],
)
def test_what_is_wrong_in_itself_is_told_from_what_is_not_there(reason: Reason, verdict: Verdict) -> None:
    assert missing_verdict(Missing(reason, "gone")) is verdict


# ---------------------------------------------------------------- which verdict speaks


def two_thresholds(**second: object) -> World:
    limits = [{"name": "errors", "metric": "http", "max": 0.01}, {"metric": "http", "max": 0.01, **second}]
    return World(spec=spec(thresholds=limits, triggers=[]))


def test_a_gate_with_one_threshold_that_cannot_be_judged_does_not_pass() -> None:
    world = two_thresholds(name="many", minRequests=5000)
    world.run_for(300)
    assert world.route.canary_weight == 1
    assert world.status.verdict is Verdict.INCONCLUSIVE


def test_a_failed_threshold_speaks_louder_than_one_that_cannot_be_judged() -> None:
    world = two_thresholds(name="many", minRequests=5000)
    world.reading = Counts(20, 1000)
    world.run_for(90)
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_failed_threshold_speaks_louder_than_one_in_error() -> None:
    limits = [{"name": "p95", "metric": "http", "max": 0.2}, {"name": "odd", "metric": "http", "max": 0.15}]
    world = World(spec=spec(**QUANTILE | {"thresholds": limits}, triggers=[]), reading=Buckets({0.2: 900}, 1000))
    world.run_for(90)
    assert world.status.phase is Phase.ROLLED_BACK


def test_of_several_true_triggers_the_first_declared_one_is_named() -> None:
    leg = {"metric": "http", "op": ">", "value": 0.05}
    world = World(spec=spec(triggers=[{"name": name, "all": [leg], "for": "0s"} for name in ("first", "second")]))
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert world.status.rollback is not None
    assert world.status.rollback.trigger == "first"


# ---------------------------------------------------------------- time


def test_a_blind_gap_does_not_end_a_breach() -> None:
    world = World(spec=spec(triggers=[slow()]))
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(15)
    world.blind(server=False)
    world.run_for(10)
    world.reading, world.stable_reading = Counts(500, 1000), Counts(0, 1000)
    world.run_for(10)
    assert world.route.canary_weight == 0


def test_a_short_blind_gap_is_no_observation_either() -> None:
    world = World()
    world.reach(1)
    for _ in range(3):
        world.run_for(10)
        world.blind()
        world.run_for(10)
        world.reading = world.stable_reading = Counts(0, 1000)
    world.reach(25)
    assert world.now - START >= timedelta(seconds=60 + 3 * 10)


def test_a_clock_that_goes_back_takes_no_observation_away() -> None:
    world = World()
    world.reach(1)
    world.run_for(30)
    assert world.status.stage is not None
    before = world.status.stage.observed
    world.now -= timedelta(seconds=20)
    world.settle_rounds()
    assert world.status.stage.observed >= before


def test_a_stage_may_stand_still_for_ten_minutes_at_least() -> None:
    world = World()
    world.reach(1)
    world.reading, world.stable_reading = Missing(Reason.NO_DATA, "no series"), Counts(0, 100)
    world.run_for(570)
    assert world.condition(ConditionType.STALLED) is None
    world.run_for(60)
    assert world.reason(ConditionType.PROGRESSING) == Reason.PROGRESS_DEADLINE_EXCEEDED


def test_a_clock_that_goes_back_keeps_no_stage_from_its_deadline() -> None:
    world = World()
    world.reach(1)
    world.reading, world.stable_reading = Missing(Reason.NO_DATA, "no series"), Counts(0, 100)
    world.run_for(60)
    world.now -= timedelta(hours=1)
    world.run_for(660)
    assert world.reason(ConditionType.PROGRESSING) == Reason.PROGRESS_DEADLINE_EXCEEDED


def test_a_clock_that_goes_back_keeps_no_retry_waiting() -> None:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(5)
    world.reading = Counts(0, 1000)
    world.now -= timedelta(hours=1)
    world.say(Verb.RETRY)
    world.run_for(10)
    assert world.route.canary_weight == 1


def test_checkpoints_are_ten_minutes_apart_not_ten_minutes_from_the_start() -> None:
    world = World(spec=spec(stages=[{"name": "long", "weight": 10, "duration": "60m"}]))
    world.reach(10)
    world.run_for(660)
    world.run_for(60)
    assert sum(e.kind is Reason.CHECKPOINT for e in world.entries) == 1


# ---------------------------------------------------------------- data health


def test_an_answer_that_is_three_ticks_old_is_used_and_an_older_one_is_not() -> None:
    world = World(tick=timedelta(seconds=10))
    resolved = world.resolved()
    assert resolved is not None
    facts = world.facts()
    young = assess(resolved, facts, Role.CANARY, 25, world.now + timedelta(seconds=30))
    assert young.fresh
    old = assess(resolved, facts, Role.CANARY, 25, world.now + timedelta(seconds=31))
    assert old.blind is not None
    assert old.blind.reason is Reason.STALE_DATA


def test_an_answer_may_be_twenty_seconds_old_however_short_the_tick() -> None:
    world = World(tick=timedelta(milliseconds=250))
    resolved = world.resolved()
    assert resolved is not None
    assert assess(resolved, world.facts(), Role.CANARY, 25, world.now + timedelta(seconds=20)).fresh
    assert not assess(resolved, world.facts(), Role.CANARY, 25, world.now + timedelta(seconds=21)).fresh


def test_silence_of_a_canary_with_all_the_traffic_is_missing_data() -> None:
    world = World(spec=spec(stages=[{"name": "full", "weight": 100, "duration": "30m"}]))
    world.reach(100)
    world.reading, world.stable_reading = Missing(Reason.NO_DATA, "no series"), Counts(0, 0)
    world.run_for(10)
    assert world.condition(ConditionType.METRICS_AVAILABLE) == "False"


def test_a_blind_server_rolls_its_releases_back_one_after_the_other() -> None:
    world = World()
    resolved = world.resolved()
    assert resolved is not None
    blind = Missing(Reason.PROMETHEUS_UNREACHABLE, "gone", server_wide=True)
    limits = set()
    for number in range(50):
        limit = blind_limit(resolved, replace(world.facts(), uid=f"uid-{number}"), blind, passed=False)
        assert limit is not None
        assert timedelta(minutes=15) <= limit <= timedelta(minutes=18)
        limits.add(limit)
    assert len(limits) == 50


# ---------------------------------------------------------------- plans


def test_a_step_down_that_is_planned_waits_for_its_evidence() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    world.evidence_works = False
    world.run_for(60)
    assert world.route.canary_weight == 100


def test_a_mark_that_is_missing_is_written_even_when_the_weight_is_right() -> None:
    world = World()
    world.reach(25)
    world.route = replace(world.route, mark=None)
    world.run_for(5)
    assert world.route.mark is not None
    assert world.route.mark.weight == 25


def test_generation_and_epoch_of_the_status_never_go_back() -> None:
    world = World(generation=7, epoch=5)
    world.run_for(5)
    world.generation, world.epoch = 3, 2
    world.run_for(5)
    assert world.status.observed_generation == 7
    assert world.status.epoch == 5


def test_an_unresolved_release_that_is_deleted_is_let_go() -> None:
    world = World(spec_problem=Problem(Reason.POLICY_NOT_FOUND, "no such policy"), deleting=True, finalizer=True)
    plan = decide(None, SparkReleaseStatus(), world.facts(), world.now)
    assert plan.finalizer is False


def test_a_new_run_starts_with_an_uncontested_route() -> None:
    world = World()
    world.reach(25)
    for _ in range(3):
        world.edit_route(5)
        world.run_for(5)
    world.run_for(600, until=Phase.ROLLED_BACK)
    assert world.status.contested is None
