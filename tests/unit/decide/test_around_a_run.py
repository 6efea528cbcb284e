"""Before a run, after it, and its release's end: what starts, settles and restores."""

from __future__ import annotations

from dataclasses import replace

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Finding, Problem, Route, Side, Verification
from unit.decide.world import FP1, FP2, World, promoted, spec

# ---------------------------------------------------------------- what keeps a run from starting


def test_a_failed_preflight_shifts_nothing_and_is_tried_again() -> None:
    world = World(preflight=(Finding("route", True, Problem(Reason.ROUTE_INVALID, "no rule")),))
    world.run_for(120)
    assert world.weights == []
    assert world.condition(ConditionType.STALLED) == "True"
    assert [e.reason for e in world.events].count(Reason.PREFLIGHT_FAILED) == 1
    world.preflight = ()
    world.reach(1)


def test_checks_that_failed_are_made_again_after_a_tick_and_then_ever_more_rarely() -> None:
    world = World(preflight=(Finding("metrics/errors", True, Problem(Reason.NO_SERIES, "not yet scraped")),))
    pauses = []
    for _ in range(7):
        world.settle_rounds()
        assert world.last is not None
        assert world.last.wake_at is not None
        pauses.append((world.last.wake_at - world.now).total_seconds())
        world.now = world.last.wake_at
    tick = world.tick.total_seconds()
    assert pauses[:3] == [tick, tick, 2 * tick]
    assert pauses[-1] == 30


def test_traffic_must_be_on_stable_before_a_run() -> None:
    world = World(route=Route(exists=True, canary_weight=50.0, verification=Verification.VERIFIED))
    world.run_for(60)
    assert world.weights == []
    assert world.reason() == Reason.TRAFFIC_NOT_ON_STABLE


def test_unready_pods_of_either_side_wait() -> None:
    world = World(stable=Side(exists=True, ready=1, not_ready=1, fingerprints=FP1))
    world.run_for(10)
    assert world.reason() == Reason.STABLE_NOT_READY
    world.stable = Side(exists=True, ready=2, fingerprints=FP1)
    world.canary = Side(exists=True)
    world.run_for(10)
    assert world.reason() == Reason.CANARY_NOT_READY
    assert world.weights == []


def test_evidence_that_cannot_be_stored_keeps_the_weight() -> None:
    world = World()
    world.reach(1)
    world.evidence_works = False
    world.run_for(300)
    assert world.route.canary_weight == 1
    world.evidence_works = True
    world.reach(25)


def test_a_lost_stable_endpoint_stops_the_clock() -> None:
    world = World()
    world.reach(25)
    world.stable = Side(exists=True, ready=1, fingerprints=FP1)
    world.run_for(300)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.PROGRESSING) == Reason.STABLE_CAPACITY_LOW


def test_a_dry_run_decides_everything_and_moves_no_traffic() -> None:
    world = World(spec=spec(dryRun=True))
    world.run_for(600)
    assert world.weights == []
    assert Reason.GATE_PASSED in world.kinds()
    assert world.status.history[0].reason == Reason.DRY_RUN
    assert len(world.status.history) == 1, "a finished dry run is not repeated"
    world.spec = spec()
    world.reach(1)


# ---------------------------------------------------------------- settling


def test_a_new_version_before_stable_caught_up_is_blocked() -> None:
    world = promoted()
    world.spec = spec(version="v3")
    world.run_for(60)
    assert world.status.phase is Phase.BLOCKED
    assert world.reason() == Reason.NOT_SETTLED
    assert world.route.canary_weight == 100


def test_a_breach_of_stable_on_the_way_back_gives_traffic_to_canary_again() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(5)
    assert world.route.canary_weight == 50
    world.stable_reading = Counts(500, 1000)
    world.run_for(5)
    assert world.route.canary_weight == 100
    assert world.reason(ConditionType.SETTLED) == Reason.SETTLE_BREACHED
    world.stable_reading = Counts(0, 1000)
    world.run_for(300)
    assert world.route.canary_weight == 100
    world.say(Verb.SETTLE)
    world.run_for(60)
    assert world.route.canary_weight == 0
    assert world.status.settled is not None


def test_stable_with_fewer_endpoints_than_canary_does_not_get_the_traffic_back() -> None:
    world = promoted()
    world.stable = Side(exists=True, ready=1, fingerprints=FP2)
    world.run_for(60)
    assert world.route.canary_weight == 100
    world.stable = Side(exists=True, ready=2, fingerprints=FP2)
    world.run_for(60)
    assert world.route.canary_weight == 0


def test_triggers_still_act_on_a_promoted_unsettled_release() -> None:
    world = promoted()
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert world.route.canary_weight == 0
    assert world.condition(ConditionType.ROLLED_BACK) == "True"
    assert world.condition(ConditionType.PROMOTED) == "False"


# ---------------------------------------------------------------- deletion


def test_deleting_mid_run_restores_stable_and_lets_the_object_go() -> None:
    world = World()
    world.reach(25)
    assert world.finalizer
    world.deleting = True
    world.run_for(10)
    assert world.route.canary_weight == 0
    assert world.route.mark is None
    assert not world.finalizer


def test_orphan_leaves_the_weights() -> None:
    world = World(spec=spec(deletionPolicy="Orphan"))
    world.reach(25)
    world.deleting = True
    world.run_for(10)
    assert world.route.canary_weight == 25
    assert not world.finalizer


def test_deleting_lets_go_when_the_route_is_gone_already() -> None:
    world = World()
    world.reach(25)
    world.route = Route(problem=Problem(Reason.ROUTE_NOT_FOUND, "gone"))
    world.deleting = True
    world.run_for(5)
    assert not world.finalizer


def test_there_is_no_finalizer_without_weight() -> None:
    world = World(preflight=(Finding("route", True, Problem(Reason.ROUTE_INVALID, "no rule")),))
    world.run_for(60)
    assert not world.finalizer
    assert world.status.phase is Phase.BLOCKED
