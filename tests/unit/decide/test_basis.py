"""What a decision is based on stands in its evidence in the open, not in the compressed inputs alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

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


# ---------------------------------------------------------------- what lets a run go on

SHORT = [{"name": "short", "weight": 25, "duration": "1m"}, {"name": "full", "weight": 100, "duration": "1m"}]
BURST = {
    "name": "burst",
    "all": [{"metric": "http", "value": 0.05}, {"metric": "http", "kind": "vsStable", "factor": 2}],
    "for": "30s",
}
OBJECTIVES = [{"name": "errors", "metric": "http", "max": 0.01}, {"name": "fast", "metric": "latency", "max": 0.5}]


def passing(**changes: object) -> World:
    """A run whose canary fails three requests of a thousand where stable fails one: no rule is true."""
    body: dict[str, object] = {"stages": SHORT, "triggers": [BURST, WORSE], "thresholds": OBJECTIVES}
    world = compared(**body | changes)
    world.reading, world.stable_reading = Counts(3, 1000), Counts(1, 1000)
    return world


def tells_every_rule(entry: Entry) -> None:
    """The legs of both triggers, and the three tests, by their own values."""
    legs: Any = entry.data["legs"]
    assert {name: [leg["verdict"] for leg in one] for name, one in legs.items()} == {
        "burst": ["Pass", "Fail"],
        "worse": ["Pass"],
    }
    assert legs["burst"][0]["value"] == "0.3% (3/1000)"
    assert legs["burst"][1]["value"].startswith("0.3% (3/1000)")
    assert "0.3% (3/1000)" in legs["burst"][1]["message"]
    tests: Any = entry.data["tests"]
    assert set(tests) == {"http", "latency", "worse/0"}
    for one in tests.values():
        assert 0 < one["eValue"] < 1 / one["alpha"] and 0 < one["p"] <= 1
        assert one["canary"]["total"] > 0 and one["stable"]["total"] > 0 and len(one["ci"]) == 2


def test_a_gate_that_passes_tells_every_leg_and_test_and_what_each_threshold_said() -> None:
    world = passing()
    see(world, Counts(3, 1000), 6)
    entry = last(world, Reason.GATE_PASSED)
    tells_every_rule(entry)
    assert entry.data["thresholds"] == {
        "errors": {
            "verdict": "Pass",
            "reason": "WithinLimit",
            "value": "0.3% (3/1000)",
            "message": "errors: http 0.3% (3/1000), within its limit",
        },
        "fast": {
            "verdict": "Pass",
            "reason": "WithinLimit",
            "value": "100% <= 0.5s",
            "message": "fast: latency 100% <= 0.5s, within its limit",
        },
    }
    assert "triggers" not in entry.data, "none is true"
    assert replay(world.stored()).difference is None


def test_a_gate_without_thresholds_tells_by_which_rules_the_run_went_on() -> None:
    world = passing(thresholds=[])
    see(world, Counts(3, 1000), 6)
    entry = last(world, Reason.GATE_PASSED)
    tells_every_rule(entry)
    assert "thresholds" not in entry.data
    assert replay(world.stored()).difference is None


def proceeding() -> World:
    """A run that goes on although its first gate has seen too little."""
    few = {"name": "errors", "metric": "http", "max": 0.01, "minRequests": 100_000}
    stages = [{**SHORT[0], "onInconclusive": "proceed"}, SHORT[1]]
    world = passing(stages=stages, thresholds=[few, OBJECTIVES[1]])
    see(world, Counts(3, 1000), 12)
    return world


def test_a_gate_that_proceeds_without_a_verdict_tells_what_was_missing_and_what_was_not() -> None:
    world = proceeding()
    entry = last(world, Reason.GATE_PROCEEDED)
    tells_every_rule(entry)
    thresholds: Any = entry.data["thresholds"]
    assert (thresholds["errors"]["verdict"], thresholds["fast"]["verdict"]) == ("Inconclusive", "Pass")
    assert thresholds["errors"]["message"] == "errors: http 0.3% (3/1000): fewer than 100000 requests"
    assert replay(world.stored()).difference is None


def failing() -> World:
    """A run whose first gate finds thrice its limit."""
    world = passing(comparison=None)
    world.over_stage = Counts(30, 1000)
    see(world, Counts(3, 1000), 6)
    return world


def test_a_gate_that_fails_tells_what_each_threshold_said() -> None:
    world = failing()
    entry = last(world, Reason.GATE_FAILED)
    thresholds: Any = entry.data["thresholds"]
    assert thresholds["errors"]["message"] == "errors: http 3% (30/1000), max 0.01"
    assert (thresholds["errors"]["verdict"], thresholds["errors"]["value"]) == ("Fail", "3% (30/1000)")
    assert replay(world.stored()).difference is None


def begun_anew() -> World:
    """A run whose first gate fails on both sides."""
    world = passing(comparison=None, thresholds=OBJECTIVES[:1], triggers=[BURST])
    world.reading = world.stable_reading = Counts(30, 1000)
    see(world, Counts(3, 1000), 6)
    return world


def test_a_stage_begun_anew_in_an_incident_tells_every_leg_and_threshold() -> None:
    world = begun_anew()
    entry = last(world, Reason.SHARED_INCIDENT)
    legs: Any = entry.data["legs"]
    thresholds: Any = entry.data["thresholds"]
    assert [leg["verdict"] for leg in legs["burst"]] == ["Pass", "Pass"]
    assert thresholds["errors"]["value"] == "3% (30/1000)"
    assert replay(world.stored()).difference is None


def watched() -> World:
    """A run that passed its gates and was looked at twice in its watch."""
    whole = {"name": "errors-all-day", "metric": "http", "max": 0.02, "at": "watch"}
    world = passing(
        watch={"duration": "4m", "every": "1m", "burnRates": {"objective": 0.999}},
        thresholds=[*OBJECTIVES, whole],
    )
    see(world, Counts(3, 1000), 20)
    assert world.kinds().count(Reason.WATCH_CHECKED) >= 2, world.why()
    return world


def test_a_check_of_the_watch_tells_every_leg_and_test_and_what_each_threshold_and_criterion_said() -> None:
    world = watched()
    entry = last(world, Reason.WATCH_CHECKED)
    tells_every_rule(entry)
    thresholds: Any = entry.data["thresholds"]
    whole: Any = entry.data["wholeWatch"]
    verdicts: Any = entry.data["verdicts"]
    assert {name: one["verdict"] for name, one in thresholds.items()} == verdicts
    assert thresholds["errors"]["value"] == "0.3% (3/1000)"
    assert thresholds["burn rate 1h"]["value"] == "3x over 1h and 3x over 5m"
    assert {name: one["verdict"] for name, one in whole.items()} == entry.data["criteria"]
    assert whole["errors-all-day"]["message"] == "errors-all-day: http 0.3% (3/1000), within its limit"
    assert replay(world.stored()).difference is None


WENT_ON = {
    watched: {Reason.GATE_PASSED, Reason.WATCH_CHECKED},
    proceeding: {Reason.GATE_PROCEEDED},
    begun_anew: {Reason.SHARED_INCIDENT},
}


@pytest.mark.parametrize("run", [*WENT_ON, failing])
def test_what_older_operators_told_of_gates_and_checks_is_replayed_by_what_it_tells(run: Callable[[], World]) -> None:
    entries = run().stored()
    older = [without(entry, "tests", "triggers", "thresholds", "wholeWatch") for entry in entries]
    without_legs = {kind.value for kind in WENT_ON.get(run, set())}
    assert without_legs <= {entry.kind for entry in entries}
    older = [without(entry, "legs") if entry.kind in without_legs else entry for entry in older]
    assert older != entries
    assert replay(older).difference is None


@pytest.mark.parametrize("part", ["legs", "tests", "thresholds", "wholeWatch"])
def test_what_a_check_tells_otherwise_than_it_was_is_a_difference(part: str) -> None:
    entries = watched().stored()
    place = next(place for place, entry in enumerate(entries) if entry.kind == Reason.WATCH_CHECKED.value)
    data = json.loads(json.dumps(entries[place].data))
    name = next(iter(data[part]))
    data[part][name] = "fine"
    entries[place] = without(entries[place], data=data)
    difference = replay(entries).difference
    assert difference is not None
    assert (difference.entry, difference.field) == (place + 1, f"data.{part}.{name}")


def without(entry: Entry, *keys: str, data: dict[str, object] | None = None) -> Entry:
    """The entry with other data, or without some of it."""
    kept = data if data is not None else {key: one for key, one in entry.data.items() if key not in keys}
    return dataclasses.replace(entry, data=kept)
