"""What a weight must not do at the edges: when something is half known, half written, paused or contested."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Problem, Route, RouteMark, Share, Side, Verification
from sparkrelease.decide.lifecycle import decide
from unit.decide.world import FP1, FP2, FP3, World, spec

UNKNOWN = Problem(Reason.PODS_UNKNOWN, "pods cannot be listed")
FROM_NOTHING = [{"name": "dark", "weight": 0, "duration": "30m"}, {"name": "full", "weight": 100, "duration": "1m"}]


def breached() -> World:
    """A world with a quarter of the traffic on a canary that has just gone bad."""
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    return world


def unwritten() -> World:
    """A world whose operator died between the status that wants a quarter and the route that still says one."""
    world = World()
    world.reach(1)
    world.route_writable = False
    while world.status.weight.desired < 25:
        world.run_for(5)
    world.route_writable = True
    return world


# ---------------------------------------------------------------- going back


def test_a_rollback_goes_on_when_nobody_can_say_which_pods_stable_has() -> None:
    world = breached()
    world.stable = Side(exists=True, problem=UNKNOWN)
    world.run_for(5)
    assert world.route.canary_weight == 0


def test_the_rollback_mark_of_another_run_rolls_nothing_back() -> None:
    world = World()
    world.reach(25)
    world.route = replace(world.route, mark=RouteMark(run="v1-000000", epoch=1, weight=25, rollback="burst"))
    world.run_for(10)
    assert world.status.rollback is None
    assert world.route.mark is not None
    assert world.status.run is not None
    assert world.route.mark.run == world.status.run.id


def test_a_full_stable_is_no_shortfall() -> None:
    world = breached()
    world.run_for(5)
    assert "at the start of the run" not in world.why()


def test_a_rollback_ends_when_its_route_is_gone() -> None:
    world = breached()
    world.route = Route(problem=Problem(Reason.ROUTE_NOT_FOUND, "gone"))
    world.run_for(10)
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_route_that_was_lowered_before_the_decision_took_no_negative_time() -> None:
    world = breached()
    world.route = replace(world.route, canary_weight=0.0, written_at=world.now - timedelta(minutes=5))
    world.run_for(5)
    world.say(Verb.ROLLBACK)
    world.run_for(5)
    record = world.status.rollback
    assert record is not None
    assert record.seconds is not None
    assert record.seconds >= 0


def test_pods_nobody_can_name_are_neither_other_pods_nor_none() -> None:
    world = World()
    world.reach(25)
    run = world.status.run
    world.canary = Side(exists=True, ready=0, fingerprints=FP3, problem=UNKNOWN)
    world.run_for(60)
    assert world.route.canary_weight == 25
    assert world.status.run is not None
    assert run is not None
    assert world.status.run.id == run.id


def test_a_contested_route_without_weight_has_nothing_to_roll_back() -> None:
    world = World(spec=spec(stages=FROM_NOTHING))
    world.run_for(10)
    for weight in (5, 0, 5, 0, 5, 0):
        world.edit_route(weight)
        world.run_for(5)
    world.run_for(500)
    assert world.condition(ConditionType.TRAFFIC_CONTESTED) == "True"
    assert world.status.rollback is None


def test_a_blind_canary_without_weight_is_not_rolled_back() -> None:
    world = World(spec=spec(stages=FROM_NOTHING))
    world.run_for(10)
    world.blind(server=False)
    world.run_for(1200)
    assert world.status.rollback is None


def test_promote_is_refused_while_traffic_goes_back() -> None:
    world = breached()
    world.stable = Side(exists=True, ready=0)
    world.run_for(5)
    world.say(Verb.PROMOTE, full=True)
    world.run_for(5)
    assert world.status.command is not None
    assert world.status.command.result.startswith("refused")


def test_what_canary_still_holds_is_of_the_run_that_was_rolled_back_and_of_no_other() -> None:
    world = breached()
    world.run_for(10)
    resolved = world.resolved()
    assert resolved is not None
    plan = decide(resolved, world.status, world.facts(connections=3), world.now)
    assert plan.status.rollback is not None
    assert (plan.status.rollback.connections, plan.status.rollback.connections_at) == (3, world.now)
    later = decide(resolved, plan.status, world.facts(connections=3), world.now + world.tick)
    assert later.status.rollback == plan.status.rollback, "the same number is no news"
    assert not later.active
    world.spec, world.canary = spec(version="v3"), Side(exists=True, ready=2, fingerprints=FP3)
    world.reading = Counts(0, 1000)
    world.reach(1)
    plan = decide(world.resolved(), world.status, world.facts(connections=5), world.now)
    assert plan.status.rollback is not None
    assert plan.status.rollback.connections is None


def test_promote_is_refused_while_the_route_refuses_to_go_back() -> None:
    world = breached()
    world.route_writable = False
    world.run_for(5)
    world.say(Verb.PROMOTE, full=True)
    world.run_for(5)
    assert world.status.command is not None
    assert world.status.command.result == "refused: no stage is under way"


# ---------------------------------------------------------------- what was decided and not written


def test_a_paused_release_is_not_raised_to_what_was_wanted_before() -> None:
    world = unwritten()
    world.spec = spec(paused=True)
    world.run_for(60)
    assert world.route.canary_weight == 1


@pytest.mark.parametrize("side", ["stable", "canary"])
def test_a_weight_that_was_not_written_waits_for_the_pods_of_both_sides(side: str) -> None:
    world = unwritten()
    if side == "stable":
        world.stable = Side(exists=True, ready=1, fingerprints=FP1)
    else:
        world.canary = Side(exists=True, ready=2, not_ready=1, fingerprints=FP2)
    world.run_for(60)
    assert world.route.canary_weight == 1
    world.stable, world.canary = Side(exists=True, ready=2, fingerprints=FP1), replace(world.canary, not_ready=0)
    world.reach(25)


def test_promote_is_refused_while_paused() -> None:
    world = World()
    world.reach(1)
    world.spec = spec(paused=True)
    world.say(Verb.PROMOTE)
    world.run_for(10)
    assert world.route.canary_weight == 1
    assert world.status.command is not None
    assert world.status.command.result.startswith("refused")


def test_a_gate_does_not_pass_while_canary_is_not_all_ready() -> None:
    world = World()
    world.reach(1)
    world.canary = replace(world.canary, not_ready=1)
    world.run_for(200)
    assert world.route.canary_weight == 1
    assert Reason.GATE_PASSED not in world.kinds()


# ---------------------------------------------------------------- verification and contest


@pytest.mark.parametrize("answer", [Verification.PENDING, Verification.CONTESTED, Verification.UNSUPPORTED])
def test_only_verified_is_verified(answer: Verification) -> None:
    world = World()
    world.route = replace(world.route, verification=answer)
    world.run_for(300)
    assert world.route.canary_weight == 1
    assert not world.status.weight.verified


def test_one_revert_is_one_however_long_the_route_refuses() -> None:
    world = World()
    world.reach(25)
    world.route_writable = False
    world.edit_route(5)
    world.run_for(60)
    assert world.status.contested is not None
    assert world.status.contested.total == 1
    assert world.condition(ConditionType.TRAFFIC_CONTESTED) == "False"


def test_a_contested_route_stays_at_the_lower_weight_for_ten_quiet_minutes() -> None:
    gateway = spec().traffic.model_dump(by_alias=True, exclude_none=True)
    world = World(spec=spec(traffic=gateway | {"contested": {"rollbackAfter": "1h"}}))
    world.reach(25)
    for _ in range(3):
        world.edit_route(5)
        world.run_for(5)
    for _ in range(9):
        world.run_for(60)
        assert world.route.canary_weight == 5
        assert world.condition(ConditionType.TRAFFIC_CONTESTED) == "True"
    world.run_for(75)
    assert world.condition(ConditionType.TRAFFIC_CONTESTED) == "False"
    assert world.route.canary_weight == 25


def test_a_share_is_judged_only_of_enough_requests_at_a_weight_that_has_been_in_force_for_the_whole_window() -> None:
    world = World()
    world.reach(25)

    def measure(total: int) -> int:
        world.now += world.tick
        share = Share(stable=0, canary=total, window=timedelta(seconds=60), at=world.now, judged=True)
        world.share = share
        world.round()
        return world.status.weight.mismatches

    assert measure(1000) == 0, "half of the window is from before the change"
    changed = world.status.weight.changed_at
    assert changed is not None
    world.share = None
    world.now = changed + timedelta(seconds=80)
    assert measure(19) == 0
    assert measure(1000) == 1
    world.route_writable = False
    world.edit_route(5)
    assert measure(1000) == 0, "the weight is not in force"
