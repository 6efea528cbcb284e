"""What takes a canary's traffic away, and what happens to the version afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Counts, Missing, Side
from unit.decide.world import FP1, FP3, World, promoted, spec

# ---------------------------------------------------------------- going back


def test_a_breach_rolls_back_in_the_round_that_sees_it() -> None:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    plan = world.round()
    assert plan.urgent
    assert world.route.canary_weight == 0
    world.round()
    assert world.status.phase is Phase.ROLLED_BACK
    record = world.status.rollback
    assert record is not None
    assert (record.trigger, record.from_weight, record.seconds) == ("burst", 25, 0.0)
    assert "50%" in record.message


def test_a_rollback_does_not_wait_for_evidence() -> None:
    world = World()
    world.reach(25)
    world.evidence_works = False
    world.reading = Counts(500, 1000)
    world.run_for(10)
    assert world.route.canary_weight == 0
    assert world.condition(ConditionType.EVIDENCE_COMPLETE) == "False"


def test_a_trigger_acts_only_after_its_time_and_nothing_is_raised_meanwhile() -> None:
    world = World(
        spec=spec(triggers=[{"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "30s"}])
    )
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(25)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.PROGRESSING) == Reason.TRIGGER_HOLDS
    world.run_for(10)
    assert world.route.canary_weight == 0


def test_a_breach_that_ends_in_time_is_forgotten() -> None:
    world = World(
        spec=spec(triggers=[{"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "30s"}])
    )
    world.reach(25)
    for bad in (500, 0, 500):
        world.reading = Counts(bad, 1000)
        world.run_for(20)
    assert world.route.canary_weight == 25


def test_a_trigger_that_holds_stops_the_clock_and_moves_nothing() -> None:
    hold = [{"name": "hot", "all": [{"metric": "http", "op": ">", "value": 0.05}], "action": "hold"}]
    world = World(spec=spec(triggers=hold))
    world.reach(1)
    world.reading = Counts(500, 1000)
    world.run_for(300)
    assert world.route.canary_weight == 1
    world.reading = Counts(0, 1000)
    world.reach(25)


def test_legs_must_all_be_true() -> None:
    both = [
        {
            "name": "both",
            "all": [{"metric": "http", "op": ">", "value": 0.05}, {"metric": "http", "op": ">", "value": 0.9}],
        }
    ]
    world = World(spec=spec(triggers=both))
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(10)
    assert world.route.canary_weight == 25
    world.reading = Counts(950, 1000)
    world.run_for(10)
    assert world.route.canary_weight == 0


def test_a_failed_gate_goes_back() -> None:
    world = World(spec=spec(triggers=[]))
    world.reach(1)
    world.reading = Counts(20, 1000)
    world.run_for(90)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.rollback and world.status.rollback.reason == Reason.GATE_FAILED


def test_a_rolled_back_version_gets_no_traffic_until_a_recorded_retry() -> None:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(5)
    world.reading = Counts(0, 1000)
    world.generation += 1
    world.run_for(600)
    assert world.route.canary_weight == 0
    assert world.status.phase is Phase.ROLLED_BACK
    first = world.status.run
    world.say(Verb.RETRY)
    world.reach(1)
    assert first and world.status.run and world.status.run.id != first.id
    assert world.status.command and world.status.command.user == "jane"


def test_a_new_version_with_the_pods_of_the_rolled_back_one_waits_for_its_own_pods() -> None:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(5)
    world.reading = Counts(0, 1000)
    world.spec = spec(version="v3")
    world.run_for(60)
    assert world.route.canary_weight == 0
    assert world.reason() == Reason.CANARY_NOT_READY
    world.canary = replace(world.canary, fingerprints=FP3)
    world.reach(1)


def test_a_rollback_goes_on_from_the_mark_when_the_operator_died_before_writing_status() -> None:
    world = World()
    world.reach(25)
    survived = world.status
    world.reading = Counts(500, 1000)
    world.round()
    world.status = survived
    world.reading = Counts(0, 1000)
    world.run_for(10)
    assert world.route.canary_weight == 0
    assert world.status.phase is Phase.ROLLED_BACK


def test_with_no_stable_endpoint_the_flip_waits_for_the_first_one_loudly() -> None:
    world = World()
    world.reach(25)
    world.stable = Side(exists=True, ready=0)
    world.reading = Counts(500, 1000)
    world.run_for(15)
    assert world.route.canary_weight == 25
    assert world.reason() == Reason.STABLE_UNAVAILABLE
    assert [e.reason for e in world.events].count(Reason.STABLE_UNAVAILABLE) == 1
    world.stable = Side(exists=True, ready=1, fingerprints=FP1)
    world.run_for(5)
    assert world.route.canary_weight == 0
    assert "1 ready endpoints, 2 at the start" in world.why()


def test_a_canary_without_endpoints_is_rolled_back() -> None:
    world = World()
    world.reach(25)
    world.canary = Side(exists=True, ready=0, not_ready=2)
    world.run_for(5)
    assert world.route.canary_weight == 0
    assert world.status.rollback and world.status.rollback.reason == Reason.CANARY_NOT_READY


# ---------------------------------------------------------------- missing data


@pytest.mark.parametrize(
    "reason", [Reason.NO_DATA, Reason.NOT_A_NUMBER, Reason.STALE_DATA, Reason.AMBIGUOUS_RESULT, Reason.PARTIAL_ANSWER]
)
def test_missing_data_holds_at_once_and_goes_back_after_its_limit(reason: Reason) -> None:
    world = World()
    world.reach(25)
    world.blind(reason, server=False)
    world.run_for(290)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.METRICS_AVAILABLE) == reason
    world.run_for(20)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.rollback and world.status.rollback.reason == Reason.DATA_MISSING_TOO_LONG


def test_a_blind_server_is_borne_longer_and_a_promoted_run_is_not_rolled_back_for_it() -> None:
    world = World()
    world.reach(25)
    world.blind()
    world.run_for(14 * 60)
    assert world.route.canary_weight == 25
    world.run_for(6 * 60)
    assert world.status.phase is Phase.ROLLED_BACK
    world = promoted()
    world.blind()
    world.run_for(3600)
    assert world.route.canary_weight == 100
    assert world.condition(ConditionType.METRICS_AVAILABLE) == "False"


def test_a_blind_minute_is_not_observation() -> None:
    world = World()
    world.reach(1)
    world.run_for(30)
    world.blind()
    world.run_for(120)
    world.reading = world.stable_reading = Counts(0, 1000)
    world.run_for(20)
    assert world.route.canary_weight == 1
    world.reach(25)


def test_a_silent_canary_that_should_have_no_requests_yet_is_not_missing_data() -> None:
    world = World()
    world.stable_reading = Counts(0, 100)
    world.reading = Missing(Reason.NO_DATA, "no series")
    world.run_for(1200)
    assert world.route.canary_weight == 1
    assert world.reason(ConditionType.PROGRESSING) in {Reason.INSUFFICIENT_TRAFFIC, Reason.PROGRESS_DEADLINE_EXCEEDED}
    assert world.status.rollback is None


def test_nothing_measured_is_not_a_pass() -> None:
    world = World()
    world.reading = Counts(0, 0)
    world.run_for(1200)
    assert world.route.canary_weight == 1
    assert world.status.verdict is Verdict.INCONCLUSIVE


def test_an_inconclusive_gate_extends_the_stage_and_then_does_what_is_declared() -> None:
    stages = [{"name": "one", "weight": 10, "duration": "1m", "onInconclusive": "rollback"}]
    world = World(spec=spec(stages=stages))
    world.reading = Counts(0, 0)
    world.run_for(110)
    assert world.route.canary_weight == 10
    world.run_for(30)
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_hold_is_told_once_in_evidence_with_what_it_was_based_on() -> None:
    world = World()
    world.reach(25)
    world.blind()
    world.run_for(60)
    told = [e for e in world.entries if e.kind is Reason.PROMETHEUS_UNREACHABLE]
    assert len(told) == 1
    readings = told[0].data["readings"]
    assert isinstance(readings, dict)
    assert "http" in readings


def test_a_release_that_flaps_does_not_fill_its_evidence() -> None:
    world = World()
    world.reach(25)
    for _ in range(100):
        world.blind()
        world.run_for(5)
        world.reading = world.stable_reading = Counts(0, 1000)
        world.run_for(5)
        world.spec = spec(paused=True)
    assert sum(e.kind is Reason.PROMETHEUS_UNREACHABLE for e in world.entries) <= 20


def test_a_long_stage_keeps_its_readings_every_ten_minutes() -> None:
    stages = [{"name": "long", "weight": 10, "duration": "60m"}]
    world = World(spec=spec(stages=stages))
    world.reach(10)
    world.run_for(3500)
    assert sum(e.kind is Reason.CHECKPOINT for e in world.entries) == 5
