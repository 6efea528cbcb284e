"""Runs that wait for people before a stage: the weight stays, and everything that goes back still goes back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Value
from sparkrelease.decide.lifecycle import decide
from unit.decide.signatures import APPROVED_STAGE, at_the_stage, check_replay, refuse, sign, wait
from unit.decide.world import World, spec


@pytest.mark.slow
def test_the_weight_stays_at_the_stage_before_until_the_next_one_is_signed() -> None:
    world = at_the_stage()
    assert world.route.canary_weight == 1
    assert world.condition(ConditionType.AWAITING_APPROVAL) == "True"
    assert world.status.gate_text == "0/1"
    assert "stage half: 0 of 1 signed" in world.why()
    world.run_for(3600)
    assert world.weights == [1]
    assert world.kinds().count(Reason.GATE_PASSED) == 1, "judged once, not at every tick"
    assert world.last is not None and world.last.active, "its triggers act"
    assert world.condition(ConditionType.STALLED) is None, "people may take their time"
    sign(world, "cto", stage="half")
    world.run_for(10)
    assert world.route.canary_weight == 50
    assert world.condition(ConditionType.AWAITING_APPROVAL) is None
    (signed,) = [entry for entry in world.entries if entry.kind is Reason.APPROVED]
    assert signed.message == "stage half: GO by cto"
    assert world.status.run and world.status.run.gates_passed == 1
    world.run_for(300, until=Phase.SUCCEEDED)
    assert world.weights == [1, 50, 100]
    check_replay(world)


def test_a_stage_signed_for_in_advance_keeps_nobody_waiting() -> None:
    world = World(spec=spec(stages=APPROVED_STAGE))
    world.reach(1)
    sign(world, "cto", stage="half")
    world.run_for(80)
    assert world.route.canary_weight == 50


def test_a_go_no_go_signature_opens_no_stage() -> None:
    world = at_the_stage()
    sign(world, "cto")
    world.run_for(60)
    assert world.route.canary_weight == 1


def test_a_breach_while_people_are_waited_for_goes_back_at_once() -> None:
    world = at_the_stage()
    world.reading = Counts(200, 1000)
    world.run_for(5)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.route.canary_weight == 0
    assert world.condition(ConditionType.AWAITING_APPROVAL) is None
    check_replay(world)


def test_missing_data_while_people_are_waited_for_goes_back_as_at_any_time() -> None:
    world = at_the_stage()
    world.blind(server=False)
    world.run_for(400)
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_no_go_at_a_stage_rolls_back_and_refuses_the_version() -> None:
    world = at_the_stage()
    refuse(world, "cto", "not on a Friday", stage="half")
    world.run_for(5)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.rollback and world.status.rollback.reason == Reason.NO_GO
    assert "NO-GO by cto: not on a Friday" in world.status.rollback.message
    assert [refused.version for refused in world.status.refused] == ["v2"]
    check_replay(world)


def test_a_no_go_under_way_acts_at_once_whichever_stage_it_names() -> None:
    world = World(spec=spec(stages=APPROVED_STAGE))
    world.reach(1)
    refuse(world, "cto", "too early", stage="full")
    world.run_for(5)
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_no_go_after_the_promotion_changes_nothing() -> None:
    world = World()
    world.run_for(600, until=Phase.SUCCEEDED)
    refuse(world, "cto", "too late")
    world.run_for(30)
    assert world.route.canary_weight == 100


def test_a_gate_that_passed_is_looked_at_again_when_the_signature_comes() -> None:
    world = at_the_stage()
    world.over_stage = Counts(30, 1000)
    sign(world, "cto", stage="half")
    world.run_for(10)
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.rollback and world.status.rollback.reason == Reason.GATE_FAILED


def test_a_quiet_night_between_gate_and_signature_does_not_undo_the_gate() -> None:
    world = at_the_stage()
    world.over_stage = Counts(0, 3)
    sign(world, "cto", stage="half")
    world.run_for(10)
    assert world.route.canary_weight == 50


@pytest.mark.slow
def test_the_second_look_is_over_the_stage_s_own_time_not_over_the_night() -> None:
    world = at_the_stage()
    world.run_for(7200)
    sign(world, "cto", stage="half")
    world.now += world.tick
    plan = decide(world.frozen, world.status, world.facts(), world.now)
    assert plan.wants.gate_over == timedelta(minutes=1)


def test_a_hold_while_people_are_waited_for_leaves_the_phase_as_it_is() -> None:
    trigger = {"name": "slow", "all": [{"metric": "lag", "op": ">", "value": 5}], "action": "hold"}
    metrics = [{"name": "http", "bad": "bad_total", "total": "all_total"}, {"name": "lag", "value": "lag"}]
    world = World(spec=spec(stages=APPROVED_STAGE, metrics=metrics, triggers=[trigger]))
    world.readings["lag"] = (Value(1), Value(1))
    world.run_for(300, until=Phase.AWAITING_APPROVAL)
    world.readings["lag"] = (Value(9), Value(1))
    world.run_for(10)
    assert world.status.phase is Phase.AWAITING_APPROVAL
    assert world.reason() == Reason.TRIGGER_HOLDS
    sign(world, "cto", stage="half")
    world.run_for(10)
    assert (world.route.canary_weight, world.status.phase) == (1, Phase.PROGRESSING)
    world.readings["lag"] = (Value(1), Value(1))
    world.run_for(10)
    assert world.route.canary_weight == 50


def test_a_promote_command_skips_gates_and_no_signature() -> None:
    world = World(spec=spec(stages=APPROVED_STAGE))
    world.reach(1)
    world.say(Verb.PROMOTE)
    world.run_for(5)
    assert world.route.canary_weight == 1
    assert world.status.command and "stage half: 0 of 1 signed" in world.status.command.result
    sign(world, "cto", stage="half")
    world.say(Verb.PROMOTE, full=True)
    world.run_for(5)
    assert world.route.canary_weight == 100
    assert Reason.APPROVED in world.kinds()
    check_replay(world)


def test_a_stage_left_and_entered_again_is_signed_for_once() -> None:
    trigger = {"name": "slow", "all": [{"metric": "lag", "op": ">", "value": 5}], "action": "stepBack"}
    metrics = [{"name": "http", "bad": "bad_total", "total": "all_total"}, {"name": "lag", "value": "lag"}]
    world = World(spec=spec(stages=APPROVED_STAGE, metrics=metrics, triggers=[trigger]))
    world.readings["lag"] = (Value(1), Value(1))
    world.run_for(300, until=Phase.AWAITING_APPROVAL)
    sign(world, "cto", stage="half")
    world.reach(50)
    world.readings["lag"] = (Value(9), Value(1))
    world.reach(1)
    world.readings["lag"] = (Value(1), Value(1))
    world.reach(50)
    assert world.kinds().count(Reason.APPROVED) == 2


def test_a_first_stage_with_signatures_of_its_own_waits_before_any_weight() -> None:
    world = World(spec=spec(stages=APPROVED_STAGE[1:]))
    world.run_for(30)
    assert (world.status.phase, world.weights) == (Phase.AWAITING_APPROVAL, [])
    sign(world, "cto", stage="half")
    wait(world, 5)
    assert world.weights == [50]
