"""Wall clocks that jump, and commands at moments when nothing may rise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sparkrelease.api.command import Verb
from sparkrelease.decide.facts import Counts, Side
from unit.decide.world import FP1, FP2, World, promoted, spec

HOUR = timedelta(hours=1)
SLOW = [{"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "30s"}]


def contested() -> World:
    world = World()
    world.reach(25)
    for _ in range(3):
        world.edit_route(5)
        world.run_for(5)
    return world


def test_a_clock_that_goes_back_delays_no_trigger() -> None:
    world = World(spec=spec(triggers=SLOW))
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(10)
    world.now -= HOUR
    world.run_for(60)
    assert world.route.canary_weight == 0


def test_a_clock_that_goes_back_makes_blindness_no_longer() -> None:
    world = World()
    world.reach(25)
    world.blind(server=False)
    world.run_for(60)
    world.now -= HOUR
    world.run_for(400)
    assert world.route.canary_weight == 0


def test_a_clock_that_goes_back_keeps_no_contested_route() -> None:
    world = contested()
    world.now -= HOUR
    world.run_for(400)
    assert world.route.canary_weight == 0


def test_a_clock_that_goes_back_lets_the_stage_go_on() -> None:
    world = World()
    world.reach(1)
    world.now -= HOUR
    world.run_for(90)
    assert world.route.canary_weight == 25


def test_a_clock_that_goes_forward_promotes_nothing() -> None:
    world = World()
    world.reach(1)
    world.now += HOUR
    world.settle_rounds()
    assert world.route.canary_weight == 1


def test_promote_is_refused_while_stable_could_not_take_the_traffic_back() -> None:
    world = World()
    world.reach(1)
    world.stable = Side(exists=True, ready=1, fingerprints=FP1)
    world.say(Verb.PROMOTE, full=True)
    world.run_for(10)
    assert world.route.canary_weight == 1
    assert world.status.command is not None
    assert "fewer ready endpoints" in world.status.command.result


def test_promote_is_refused_while_canary_is_not_all_ready() -> None:
    world = World()
    world.reach(1)
    world.canary = replace(world.canary, not_ready=1)
    world.say(Verb.PROMOTE)
    world.run_for(10)
    assert world.route.canary_weight == 1


def test_promote_is_refused_on_a_contested_route() -> None:
    world = contested()
    world.say(Verb.PROMOTE)
    world.run_for(10)
    assert world.route.canary_weight is not None
    assert world.route.canary_weight <= 25


def test_a_pause_on_the_way_back_stops_there() -> None:
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(5)
    assert world.route.canary_weight == 50
    world.spec = spec(paused=True)
    world.run_for(300)
    assert world.route.canary_weight == 50


def test_a_retry_waits_until_the_errors_of_the_run_before_have_left_the_window() -> None:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(5)
    assert world.route.canary_weight == 0
    world.say(Verb.RETRY)
    world.run_for(50)
    assert world.route.canary_weight == 0, "the window of a minute still holds them"
    assert world.last is not None
    assert world.last.wake_at is not None
    world.reading = Counts(0, 1000)
    world.run_for(30)
    assert world.route.canary_weight == 1
