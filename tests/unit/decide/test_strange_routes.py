"""Routes whose weights cannot be told: rules that disagree, and rules that are not ours to write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Problem, Route, RouteMark, Verification
from sparkrelease.decide.plan import SetWeight
from unit.decide.world import FOREIGN, World, spec

BROKEN = Problem(Reason.ROUTE_INVALID, "no rule names both Services")


def muddle(world: World, problem: Problem | None = None) -> None:
    """Somebody edits one of several rules, or leaves none that can be read."""
    number = world.route.generation + 1
    world.route = replace(world.route, canary_weight=None, manager=FOREIGN, generation=number, problem=problem)


def quarter(**changes: object) -> World:
    world = World(spec=spec(**changes))
    world.reach(25)
    world.run_for(5)
    return world


@pytest.mark.parametrize("paused", [False, True])
def test_rules_that_disagree_are_set_again_at_once_whatever_evidence_does(paused: bool) -> None:
    world = quarter()
    world.spec = world.spec.model_copy(update={"paused": paused})
    world.evidence_works = False
    muddle(world)
    plan = world.round()
    assert plan.urgent
    assert world.route.canary_weight == 25


def test_an_edit_of_one_of_several_rules_is_counted_and_told_with_its_author() -> None:
    world = quarter()
    muddle(world)
    world.run_for(5)
    assert world.status.contested is not None
    assert (world.status.contested.total, world.status.contested.manager) == (1, FOREIGN)
    told = next(event for event in world.events if event.reason is Reason.TRAFFIC_REVERTED)
    assert told.message == f"{FOREIGN} changed the canary weight to no one weight; 25 % is wanted"


def test_rules_that_somebody_keeps_apart_are_contested_kept_together_and_in_the_end_rolled_back() -> None:
    world = quarter()
    for _ in range(3):
        muddle(world)
        world.run_for(5)
    assert world.condition(ConditionType.TRAFFIC_CONTESTED) == "True"
    assert world.route.canary_weight == 25
    for _ in range(70):
        muddle(world)
        world.run_for(5)
    assert world.status.phase is Phase.ROLLED_BACK
    assert Reason.ROUTE_CONTESTED in world.kinds()


def test_rules_that_are_not_ours_to_write_hold_and_are_not_written_until_they_are() -> None:
    world = quarter()
    writes = len(world.weights)
    muddle(world, BROKEN)
    world.run_for(300)
    assert len(world.weights) == writes
    assert world.reason() in {Reason.ROUTE_INVALID, Reason.PROGRESS_DEADLINE_EXCEEDED}
    assert "no rule names both Services" in world.why()
    world.route = replace(world.route, canary_weight=25.0, problem=None)
    world.reach(100)


def test_a_rollback_of_a_route_that_cannot_be_read_is_tried_until_it_says_0() -> None:
    world = quarter()
    muddle(world, BROKEN)
    world.canary = replace(world.canary, ready=0, fingerprints=frozenset())
    world.route_writable = False
    world.run_for(30)
    assert world.status.phase is Phase.ROLLING_BACK
    world.route_writable = True
    world.run_for(5)
    assert world.weights[-1] == 0


# ---------------------------------------------------------------- the front door


def owned() -> dict[str, object]:
    traffic = spec().traffic.model_dump(by_alias=True, exclude_none=True)
    traffic["gatewayAPI"] = {"owned": {"parentRefs": [{"name": "public"}], "rules": [{"name": "main"}]}}
    return traffic


def deleted(world: World) -> None:
    world.route = Route()


def turned_to_canary(world: World) -> None:
    world.route = replace(world.route, canary_weight=50.0)


@pytest.mark.parametrize("strike", [deleted, turned_to_canary])
def test_an_owned_route_is_put_right_after_a_rollback(strike: Callable[[World], None]) -> None:
    world = quarter(traffic=owned())
    world.say(Verb.ROLLBACK)
    world.run_for(10)
    strike(world)
    plan = world.round()
    assert plan.urgent
    assert plan.route == SetWeight(0, RouteMark(epoch=world.epoch))
    world.route = replace(world.route, exists=True, canary_weight=0.0)
    world.run_for(5)
    assert world.reason() == Reason.ROLLED_BACK


@pytest.mark.parametrize("strike", [deleted, turned_to_canary])
def test_an_owned_route_is_put_right_while_people_sign(strike: Callable[[World], None]) -> None:
    world = World(spec=spec(traffic=owned(), checklist=[{"name": "backups"}]))
    world.run_for(30)
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    strike(world)
    plan = world.round()
    assert plan.urgent
    assert plan.route == SetWeight(0, RouteMark(epoch=world.epoch))
    assert world.status.phase is Phase.AWAITING_APPROVAL


def test_an_owned_route_that_is_gone_is_made_again_in_a_paused_release_too() -> None:
    world = quarter(traffic=owned())
    world.spec = world.spec.model_copy(update={"paused": True})
    deleted(world)
    world.now += timedelta(seconds=5)
    plan = world.round()
    assert plan.route is not None


def unanswered(world: World) -> World:
    """Its gateway has said nothing of the route's present generation yet."""
    world.route = replace(
        world.route, verification=Verification.PENDING, reason=Reason.ROUTE_PENDING, message="seen 2, not yet 3"
    )
    return world


def touches(world: World, seconds: int) -> list[int]:
    """After how many seconds each write came."""
    begin, found = world.now, []
    for _ in range(seconds // 5):
        world.now += world.tick
        plan = world.round()
        if plan.route is not None:
            assert isinstance(plan.route, SetWeight) and not plan.urgent
            assert (plan.route.canary, plan.entries) == (25, ()), "the weight is as it was, and nothing was decided"
            found.append(int((world.now - begin).total_seconds()))
    return found


def test_a_gateway_that_does_not_answer_is_asked_again_ever_more_seldom() -> None:
    """A controller that lost what it wanted to say, as in an outage of the API server, says it at the next change."""
    world = unanswered(quarter())
    world.round()
    assert touches(world, 1000) == pytest.approx([30, 60, 120, 240, 480, 960], abs=6)
    assert "seen 2, not yet 3" in world.why()
    mark = world.route.mark
    assert mark is not None and mark.asked == 6
    world.route = replace(world.route, verification=Verification.VERIFIED, reason=Reason.TRAFFIC_IN_SYNC)
    assert touches(world, 30) == [], "the mark stays until the next weight"
    world.reach(100)
    assert world.route.mark is not None and world.route.mark.asked == 0


def test_a_gateway_that_refuses_a_route_is_not_asked_again() -> None:
    world = quarter()
    refused = Reason.ROUTE_NOT_ACCEPTED
    world.route = replace(world.route, verification=Verification.PENDING, reason=refused, message="Accepted=False")
    assert touches(world, 300) == []


def test_a_gateway_is_not_asked_again_while_evidence_cannot_be_stored() -> None:
    """Such a write is kept back like a raise, and must not keep back what else was decided."""
    world = quarter()
    world.evidence_works = False
    unanswered(world).round()
    assert touches(world, 300) == []
    world.evidence_works = True
    assert len(touches(world, 10)) == 1


def test_a_new_leader_goes_on_asking_where_the_one_before_ended() -> None:
    world = unanswered(quarter())
    world.round()
    assert touches(world, 70) == pytest.approx([30, 60], abs=6)
    world.epoch += 1
    assert touches(world, 40) == []
    assert touches(world, 60) == pytest.approx([20], abs=11)
