"""What a decision is based on stands in its evidence in the open, not in the compressed inputs alone."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import Baseline, Buckets, Counts, Window
from sparkrelease.decide.replay import replay
from unit.decide.world import World, spec

EVERY = timedelta(seconds=15)
METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "latency", "buckets": "seconds_bucket", "quantile": 0.95, "unit": "s"},
]
LONG = [{"name": "long", "weight": 25, "duration": "30m"}]
BOTH = {"tests": [{"metric": "http", "margin": 1.5}, {"metric": "latency"}], "warmup": "0s", "alpha": 0.01}
WORSE = {"name": "worse", "all": [{"metric": "http", "kind": "sequential", "margin": 2, "alpha": 1e-6}]}
FINE = Buckets({0.1: 900.0, 0.2: 990.0, 0.5: 1000.0}, 1000.0)


def compared(**changes: object) -> World:
    """A run under way whose baseline wobbled."""
    body: dict[str, object] = {"metrics": METRICS, "stages": LONG, "comparison": BOTH, "triggers": [WORSE]}
    world = World(spec=spec(**body | changes))
    world.readings["latency"] = (FINE, FINE)
    world.baselines = {"http": Baseline("q", world.now, timedelta(hours=1), 0.001, 0.25)}
    world.reach(25)
    return world


def see(world: World, canary: Counts, windows: int) -> None:
    for _ in range(windows):
        world.now += EVERY
        http = Window(world.now, EVERY, canary, Counts(1, 1000))
        world.windows = {"http": (http,), "latency": (Window(world.now, EVERY, FINE, FINE),)}
        world.settle_rounds()
        if world.status.phase is Phase.ROLLED_BACK:
            return


def last(world: World, kind: Reason) -> Entry:
    """The entry as it is read back."""
    return next(entry for entry in reversed(world.stored()) if entry.kind == kind.value)


def test_a_comparison_s_rollback_shows_what_the_test_knew() -> None:
    world = compared()
    see(world, Counts(1, 1000), 3)
    see(world, Counts(9, 1000), 20)
    entry = last(world, Reason.WORSE_THAN_STABLE)
    told = entry.data["tests"]
    assert isinstance(told, dict) and set(told) == {"http", "latency", "worse/0"}
    (state,) = [one for one in world.status.tests if one.metric == "http"]
    http = told["http"]
    bad = f"{http['canary']['bad']:.0f}/{http['canary']['total']:.0f}"
    assert bad in entry.message, "the counts of the sentence"
    assert f"p={http['p']:.1g}" in entry.message
    assert http["stable"]["total"] == http["canary"]["total"] == 1000 * state.windows
    assert (http["metric"], http["verdict"], http["margin"]) == ("http", "Fail", 1.5)
    assert http["alpha"] == pytest.approx(0.0075), "three parts of four"
    assert http["eValue"] == state.e >= 1 / http["alpha"] > 1
    assert http["p"] == pytest.approx(1 / state.e)
    assert (http["ratio"], http["ci"]) == (state.ratio, [state.low, state.high])
    assert http["s2"] == 0.25
    assert http["windowEnd"] == state.counted_until.isoformat() == world.now.isoformat()  # type: ignore[union-attr]
    assert (http["windowSeconds"], http["windows"], http["voided"]) == (15.0, state.windows, 0)
    assert "slowerThan" not in http


def test_tests_that_do_not_reject_are_told_of_too_each_by_its_own_terms() -> None:
    world = compared()
    see(world, Counts(1, 1000), 3)
    see(world, Counts(9, 1000), 20)
    told = last(world, Reason.WORSE_THAN_STABLE).data["tests"]
    assert isinstance(told, dict)
    latency, leg = told["latency"], told["worse/0"]
    assert (latency["verdict"], latency["margin"], latency["alpha"]) == ("Pass", 1.25, pytest.approx(0.0025))
    assert latency["slowerThan"] in {0.1, 0.2} and latency["p"] == 1.0
    assert (leg["metric"], leg["margin"], leg["alpha"]) == ("http", 2.0, pytest.approx(1e-6))


def test_a_trigger_s_rollback_shows_what_it_compares_and_how_long_that_was_true() -> None:
    legs = [{"metric": "http", "value": 0.05, "minEvents": 5}, {"metric": "http", "kind": "vsStable", "factor": 2}]
    true = {"name": "burst", "all": legs, "for": "30s"}
    never = {"name": "never", "all": [{"metric": "http", "op": ">=", "value": 0.9}], "for": "10m", "action": "hold"}
    world = compared(triggers=[true, never], comparison=None)
    world.reading, world.stable_reading = Counts(60, 1000), Counts(1, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    entry = last(world, Reason.TRIGGER_FIRED)
    assert entry.data["triggers"] == {
        "burst": {
            "action": "rollback",
            "forSeconds": 30.0,
            "heldForSeconds": 30.0,
            "all": [
                {"metric": "http", "kind": "threshold", "op": ">", "value": 0.05, "minEvents": 5},
                {"metric": "http", "kind": "vsStable", "op": ">", "factor": 2.0},
            ],
        }
    }, "the one that is true"
    assert "tests" not in entry.data
    assert replay(world.stored()).difference is None


def test_evidence_that_tells_less_than_today_is_replayed_by_what_it_tells() -> None:
    world = compared(triggers=[{"name": "slow", "all": [{"metric": "http", "value": 0.05}], "for": "20m"}])
    world.reading = Counts(90, 1000)
    see(world, Counts(90, 1000), 9)
    entries = world.stored()
    assert {"tests", "triggers"} <= last(world, Reason.WORSE_THAN_STABLE).data.keys()
    older = [without(entry, "tests", "triggers") for entry in entries]
    assert replay(entries).difference is replay(older).difference is None
    missed = replay([without(entry, "legs") for entry in entries]).difference
    assert missed is not None and missed.field == "data.legs"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (("tests", "http", "eValue"), "data.tests.http.eValue"),
        (("triggers", "slow", "heldForSeconds"), "data.triggers.slow.heldForSeconds"),
    ],
)
def test_what_is_told_otherwise_than_it_was_is_a_difference(path: tuple[str, str, str], field: str) -> None:
    world = compared(triggers=[{"name": "slow", "all": [{"metric": "http", "value": 0.05}], "for": "20m"}])
    world.reading = Counts(90, 1000)
    see(world, Counts(90, 1000), 9)
    entries = world.stored()
    place = entries.index(last(world, Reason.WORSE_THAN_STABLE))
    data = json.loads(json.dumps(entries[place].data))
    data[path[0]][path[1]][path[2]] = 1.0
    entries[place] = without(entries[place], data=data)
    difference = replay(entries).difference
    assert difference is not None
    assert (difference.entry, difference.field) == (place + 1, field)


def without(entry: Entry, *keys: str, data: dict[str, object] | None = None) -> Entry:
    """The entry with other data, or without some of it."""
    kept = data if data is not None else {key: one for key, one in entry.data.items() if key not in keys}
    return dataclasses.replace(entry, data=kept)
