"""What a weight must not do at the edges of a run that ends, walks back to stable, or is over."""

from __future__ import annotations

from dataclasses import replace

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Finding, Missing, Problem, Route, RouteMark, Side, Verification
from sparkrelease.decide.plan import ReleaseRoute
from unit.decide.world import FP1, FP2, FP3, World, promoted, settled, spec


def breached() -> World:
    """A world with a quarter of the traffic on a canary that has just gone bad."""
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    return world


# ---------------------------------------------------------------- ends


def test_going_back_to_the_settled_version_is_a_cancelled_run() -> None:
    world = settled()
    world.spec, world.canary = spec(version="v3"), Side(exists=True, ready=2, fingerprints=FP3)
    world.reach(25)
    world.spec = spec(version="v2")
    world.run_for(5)
    assert world.status.history[0].outcome is Outcome.CANCELLED


def test_other_pods_behind_a_promoted_canary_do_not_settle_what_stable_does_not_run() -> None:
    world = promoted()
    world.canary = replace(world.canary, fingerprints=FP3)
    world.run_for(90)
    assert world.status.history[0].outcome is Outcome.SUPERSEDED
    assert world.status.settled is None
    assert world.weights[-2:] == [100, 0]
    assert world.reason() == Reason.NOT_SETTLED


def test_a_dry_run_needs_no_traffic_to_come_to_its_end() -> None:
    world = World(spec=spec(dryRun=True), reading=Counts(0, 0))
    world.run_for(600)
    assert world.status.history[0].reason == Reason.DRY_RUN


def test_a_dry_run_comes_to_its_end_where_canary_has_no_series_for_want_of_requests() -> None:
    world = World(spec=spec(dryRun=True), reading=Counts(0, 0), stable_reading=Counts(1, 1000))
    world.over_stage = Missing(Reason.NO_SERIES, "no series of Service shop-canary")
    world.run_for(600)
    assert world.status.history[0].reason == Reason.DRY_RUN
    assert world.weights == []


def test_a_dry_run_waits_while_the_server_is_away() -> None:
    world = World(spec=spec(dryRun=True))
    world.run_for(10)
    world.blind()
    world.run_for(600)
    assert world.status.history == ()


def test_stable_that_runs_something_else_does_not_get_the_traffic_back() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP3)
    world.run_for(120)
    assert world.route.canary_weight == 100


def test_traffic_walks_back_only_while_nothing_holds() -> None:
    world = promoted()
    world.route = replace(world.route, verification=Verification.PENDING)
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(60)
    assert world.route.canary_weight == 100


def test_a_settle_command_walks_back_to_whatever_stable_runs() -> None:
    world = promoted()
    world.say(Verb.SETTLE)
    world.run_for(60)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.SETTLED


def test_a_run_is_settled_only_when_the_last_step_is_verified() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    while world.route.canary_weight != 0:
        world.now += world.tick
        world.round()
    world.route = replace(world.route, verification=Verification.PENDING)
    world.run_for(30)
    assert world.status.settled is None
    world.route = replace(world.route, verification=Verification.VERIFIED)
    world.run_for(10)
    assert world.status.settled is not None


def test_a_breach_of_stable_at_the_last_step_gives_traffic_to_canary_again() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    while world.route.canary_weight != 0:
        world.now += world.tick
        world.round()
    world.stable_reading = Counts(500, 1000)
    world.now += world.tick
    world.round()
    assert world.route.canary_weight == 100


def test_a_blind_walk_back_stays_where_it_is() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(5)
    world.blind(server=False)
    world.run_for(1200)
    assert world.route.canary_weight == 50
    assert world.status.rollback is None


def test_the_walk_back_leaves_out_what_canary_has_already() -> None:
    stages = [{"name": "half", "weight": 50, "duration": "1m"}]
    world = World(spec=spec(stages=stages, settle={"steps": [50, 20, 0], "interval": "10s"}))
    world.run_for(600, until=Phase.SUCCEEDED)
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(60)
    assert world.weights == [50, 20, 0]
    assert [e.message for e in world.entries if e.kind is Reason.SETTLING] == [
        "settling: canary weight 20, the rest on stable",
        "settling: canary weight 0, the rest on stable",
    ]


def test_a_settle_command_takes_back_the_hold_of_the_breach() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(5)
    world.stable_reading = Counts(500, 1000)
    world.run_for(5)
    world.stable_reading = Counts(0, 1000)
    world.say(Verb.SETTLE)
    world.round()
    assert world.status.run is not None
    assert not world.status.run.settle_held
    assert world.reason(ConditionType.SETTLED) == Reason.SETTLING


# ---------------------------------------------------------------- at rest


def test_a_retry_lets_the_pods_of_a_superseded_run_try_again() -> None:
    world = World()
    world.reach(25)
    world.spec = spec(version="v3")
    world.run_for(120)
    assert world.route.canary_weight == 0
    assert world.reason() == Reason.CANARY_NOT_READY
    world.say(Verb.RETRY)
    world.reach(1)
    assert world.status.run is not None
    assert world.status.run.version == "v3"


def test_an_ended_run_leaves_a_route_alone_whose_rules_are_no_longer_its_own() -> None:
    world = World()
    world.reach(25)
    mark = world.route.mark
    world.say(Verb.ROLLBACK)
    world.run_for(10)
    broken = Problem(Reason.ROUTE_INVALID, "no rule names both Services")
    world.route = replace(world.route, mark=mark, canary_weight=None, problem=broken)
    writes = len(world.weights)
    world.run_for(30)
    assert len(world.weights) == writes


def test_the_version_to_go_back_to_is_the_one_seen_last_on_both_sides() -> None:
    world = World(canary=Side(exists=True, ready=2, fingerprints=FP1))
    world.run_for(5)
    world.stable = world.canary = Side(exists=True, ready=2, fingerprints=FP3)
    world.run_for(5)
    assert world.status.settled is not None
    assert world.status.settled.fingerprint == "fp3"


def owned(**changes: object) -> World:
    traffic = spec().traffic.model_dump(by_alias=True, exclude_none=True)
    traffic["gatewayAPI"] = {"owned": {"parentRefs": [{"name": "public"}], "rules": [{"name": "main"}]}}
    return World(spec=spec(traffic=traffic, **changes))


def test_an_owned_route_that_cannot_be_written_is_tried_again() -> None:
    world = owned()
    world.route = Route(write_problem=Problem(Reason.ROUTE_WRITE_FAILED, "403"))
    plan = world.round()
    assert plan.route is not None
    assert plan.wake_at is not None
    assert plan.wake_at > world.now


def test_a_deletion_that_is_to_remove_the_owned_route_does_so_also_after_the_run() -> None:
    world = owned(deletionPolicy="Delete")
    world.reach(1)
    world.say(Verb.ROLLBACK)
    world.run_for(20)
    assert world.route.mark is None
    world.deleting = True
    plan = world.round()
    assert isinstance(plan.route, ReleaseRoute)
    assert plan.route.remove


def test_a_route_with_the_mark_of_another_run_is_not_brought_to_rest() -> None:
    world = settled()
    mark = RouteMark(run="other-000000", epoch=1, weight=30)
    world.route = replace(world.route, canary_weight=30.0, mark=mark)
    world.run_for(30)
    assert world.route.mark == mark


def test_a_version_waits_while_canary_runs_pods_that_any_run_was_rolled_back_with() -> None:
    world = breached()
    world.run_for(5)
    world.reading = Counts(0, 1000)
    world.spec, world.canary = spec(version="v3"), Side(exists=True, ready=2, fingerprints=FP3)
    world.reach(25)
    world.spec = spec(version="v4")
    world.run_for(30)
    world.canary = Side(exists=True, ready=2, fingerprints=FP2)
    world.run_for(120)
    assert world.route.canary_weight == 0
    assert world.reason() == Reason.CANARY_NOT_READY


def test_a_failed_preflight_says_when_it_is_tried_again() -> None:
    world = World(preflight=(Finding("route", True, Problem(Reason.ROUTE_INVALID, "no rule")),))
    world.run_for(5)
    assert world.last is not None
    assert world.last.wake_at is not None
    assert world.last.wake_at > world.now


def test_the_weights_a_referenced_route_had_are_what_it_gets_back() -> None:
    world = World()
    world.reach(1)
    assert world.status.original_route is not None
    assert world.status.original_route.state == "{}"
    world.say(Verb.ROLLBACK)
    world.now += world.tick
    released = None
    for _ in range(5):
        plan = world.round()
        released = plan.route if isinstance(plan.route, ReleaseRoute) else released
    assert released == ReleaseRoute(original="{}")


def test_deleting_leaves_a_route_alone_that_another_run_has_marked() -> None:
    world = World()
    world.reach(25)
    mark = RouteMark(run="other-000000", epoch=1, weight=30)
    world.say(Verb.ROLLBACK)
    world.run_for(10)
    world.route = replace(world.route, canary_weight=30.0, mark=mark)
    world.deleting = True
    world.run_for(10)
    assert world.route.mark == mark
    assert world.route.canary_weight == 30
    assert not world.finalizer
