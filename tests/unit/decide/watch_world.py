"""Worlds whose run is watched at its last weight."""

from __future__ import annotations

from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Value
from unit.decide.world import World, spec

WATCH = {"duration": "10m", "every": "2m"}
METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "dlq", "value": "max by ($by)(dlq{$sel})"},
]
THRESHOLDS = [
    {"name": "errors", "metric": "http", "max": 0.01},
    {"name": "dead-letters", "metric": "dlq", "max": 1, "at": "watch"},
]

BURN = WATCH | {"burnRates": {"objective": 0.99}}


def watched(**changes: object) -> World:
    """A world whose run is at the beginning of its watch."""
    world = World(spec=spec(**{"watch": WATCH, "metrics": METRICS, "thresholds": THRESHOLDS} | changes))
    world.readings["dlq"] = (Value(0), Value(0))
    world.run_for(400, until="Watching")
    assert world.status.phase is Phase.WATCHING, world.why()
    return world


def to_check(world: World, number: int) -> None:
    """Turns the clock until that many checks were made, or the watch is over."""
    for _ in range(400):
        if world.status.watch is None or world.status.watch.check >= number:
            return
        world.run_for(world.tick.total_seconds())
    raise AssertionError(f"check {number} never made: {world.why()}")


def burning(world: World, long: Counts, short: Counts) -> None:
    world.spans["burn/1h"] = (long, Counts(0, 1000))
    world.spans["burn/5m"] = (short, Counts(0, 1000))


def rolled_back(world: World) -> World:
    """The world once its run went back."""
    world.run_for(900, until="RolledBack")
    assert world.status.phase is Phase.ROLLED_BACK, world.why()
    return world


def not_met() -> World:
    """Errors are within their limit since the last check and over it in the whole; so are the dead letters."""
    world = watched()
    world.spans["watch/errors"] = (Counts(40, 1000), Counts(0, 1000))
    world.spans["watch/dead-letters"] = (Value(3), Value(0))
    return rolled_back(world)


def breached() -> World:
    """Errors are over their limit since the last check."""
    world = watched()
    world.spans["interval/errors"] = (Counts(30, 1000), Counts(0, 1000))
    return rolled_back(world)


def burnt() -> World:
    """The budget burns twenty times too fast over an hour and five minutes."""
    world = watched(watch=BURN)
    burning(world, Counts(200, 1000), Counts(20, 100))
    return rolled_back(world)
