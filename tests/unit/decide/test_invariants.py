"""Whatever happens, in whatever order: the promises that hold after every round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparkrelease.api.command import Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome
from sparkrelease.decide.asks import asks_of
from sparkrelease.decide.evidence import Link, parse_entry
from sparkrelease.decide.facts import (
    Baseline,
    Buckets,
    Counts,
    History,
    Missing,
    Problem,
    Reading,
    Role,
    Route,
    Side,
    Track,
    Value,
    Verification,
    Window,
)
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan, SetWeight
from sparkrelease.decide.replay import replay
from unit.decide.world import START, World, spec

MISSING = [
    Reason.PROMETHEUS_UNREACHABLE,
    Reason.NO_DATA,
    Reason.NOT_A_NUMBER,
    Reason.STALE_DATA,
    Reason.AMBIGUOUS_RESULT,
    Reason.PARTIAL_ANSWER,
]
numbers = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 20.0, 500.0, 1000.0, 1e300]))
readings: st.SearchStrategy[Reading] = st.one_of(
    st.builds(Counts, numbers, numbers),
    st.builds(Value, numbers),
    st.builds(Buckets, st.dictionaries(numbers, numbers, max_size=4), numbers),
    st.builds(Missing, st.sampled_from(MISSING), st.just("gone"), st.booleans()),
)
tracks = st.builds(
    Track,
    st.sampled_from(["pod-a", "pod-b"]),
    st.lists(st.tuples(st.floats(1.767e9, 1.768e9), numbers), max_size=10).map(lambda points: tuple(sorted(points))),
)
series = st.one_of(
    st.lists(tracks, max_size=2).map(tuple),
    st.builds(Missing, st.sampled_from(MISSING), st.just("gone"), st.booleans()),
)
good = st.just(Counts(0, 1000))
bad = st.just(Counts(500, 1000))
prints = st.sampled_from(["fp1", "fp2", "fp3"])
sides = st.builds(
    Side,
    exists=st.booleans(),
    ready=st.integers(0, 3),
    not_ready=st.integers(0, 2),
    fingerprints=st.frozensets(prints, max_size=2),
)

events = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("canary reads"), st.one_of(good, good, bad, readings)),
    st.tuples(st.just("stable reads"), st.one_of(good, readings)),
    st.tuples(st.just("both read"), readings),
    st.tuples(st.just("lag"), st.one_of(st.builds(Value, st.sampled_from([1.0, 100.0])), readings)),
    st.tuples(st.just("asked"), st.one_of(good, bad, readings)),
    st.tuples(st.just("history"), series),
    st.tuples(st.just("window"), st.tuples(st.integers(0, 500), st.integers(0, 500))),
    st.tuples(st.just("scraped"), st.integers(0, 3)),
    st.tuples(st.just("canary"), sides),
    st.tuples(st.just("stable"), sides),
    st.tuples(st.just("version"), st.sampled_from(["v1", "v2", "v3"])),
    st.tuples(st.just("say"), st.sampled_from(list(Verb))),
    st.tuples(st.just("paused"), st.booleans()),
    st.tuples(st.just("edit"), st.sampled_from([0.0, 1.0, 50.0, 100.0])),
    st.tuples(st.just("edit mirror"), st.sampled_from([0.0, 10.0, 100.0, None])),
    st.tuples(st.just("verification"), st.sampled_from(list(Verification))),
    st.tuples(st.just("evidence"), st.booleans()),
    st.tuples(st.just("writable"), st.booleans()),
    st.tuples(st.just("delete"), st.booleans()),
    st.tuples(st.just("route gone"), st.booleans()),
)


def measured(world: World, what: str, value: object) -> bool:
    """Something is measured; False when that is not what happens."""
    match what, value:
        case "canary reads", Counts() | Value() | Buckets() | Missing() as reading:
            world.reading = reading
        case "stable reads", Counts() | Value() | Buckets() | Missing() as reading:
            world.stable_reading = reading
        case "both read", Counts() | Value() | Buckets() | Missing() as reading:
            world.reading = world.stable_reading = reading
        case "lag", Counts() | Value() | Buckets() | Missing() as reading:
            world.readings["lag"] = (reading, Value(1))
        case "asked", Counts() | Value() | Buckets() | Missing() as reading:
            world.asked = dict.fromkeys(world.asked, (reading, Counts(0, 1000)))
        case "history", tuple() | Missing() as found:
            world.history["lag"] = History("q", START, timedelta(minutes=30), found, found)
        case "window", (int(bad_ones), int(all_ones)):
            end = datetime.fromtimestamp(world.now.timestamp() // 15 * 15, UTC)
            seen = Counts(min(bad_ones, all_ones), all_ones)
            world.windows = {"http": (Window(end, timedelta(seconds=15), seen, Counts(1, 1000)),)}
        case "scraped", int(pods):
            world.scraped = {Role.CANARY: pods}
        case _:
            return False
    return True


def happen(world: World, what: str, value: object) -> None:
    if measured(world, what, value):
        return
    match what, value:
        case "canary", Side() as side:
            world.canary = side
        case "stable", Side() as side:
            world.stable = side
        case "version", str(version):
            world.spec = world.spec.model_copy(update={"version": version})
            world.generation += 1
        case "say", Verb() as verb:
            world.say(verb, full=True) if verb is Verb.PROMOTE else world.say(verb)
        case "paused", bool(paused):
            world.spec = world.spec.model_copy(update={"paused": paused})
        case "edit", float(weight):
            if world.route.exists:
                world.edit_route(weight)
        case "edit mirror", float() | None as mirror:
            if world.route.exists:
                world.route = replace(
                    world.route, mirror=mirror, manager="argocd", generation=world.route.generation + 1
                )
        case "verification", Verification() as verification:
            world.route = replace(world.route, verification=verification)
        case "evidence", bool(works):
            world.evidence_works = works
        case "writable", bool(writable):
            world.route_writable = writable
        case "delete", bool(deleting):
            world.deleting = deleting
        case "route gone", bool(gone):
            lost = Route(problem=Problem(Reason.ROUTE_NOT_FOUND, "gone"))
            world.route = lost if gone else Route(exists=True, canary_weight=0.0, verification=Verification.VERIFIED)
        case "wait", int():
            pass
        case _:
            raise AssertionError(what)


WEIGHTED = {
    Reason.STAGE_ENTERED,
    Reason.PROMOTED,
    Reason.SETTLING,
    Reason.SETTLE_BREACHED,
}
"""Entries that say which weight is aimed at; a step back says from which stage, too."""

FIRST = {0.0, 1.0}
"""Weights of first stages, which may be entered again after a rest without traffic."""


def mixed() -> World:
    """A release with a rule of every kind, every action, a comparison and a control group."""
    leg = {"metric": "lag", "value": 30}
    rules: list[dict[str, object]] = [
        {"name": "burst", "all": [{"metric": "http", "value": 0.05}], "for": "0s"},
        {"name": "back", "all": [leg], "for": "5s", "action": "stepBack"},
        {"name": "hold", "all": [{"metric": "lag", "kind": "vsStable", "factor": 90}], "action": "hold"},
        {"name": "tell", "all": [leg | {"not": True}], "action": "notify"},
        {"name": "base", "all": [{"metric": "http", "kind": "vsBaseline", "factor": 900}]},
        {"name": "grow", "all": [{"metric": "http", "kind": "growth", "over": "10m", "factor": 9, "floor": 0.5}]},
        {"name": "leak", "all": [{"metric": "lag", "kind": "trend", "over": "5m", "slopePerMinute": 5}]},
        {"name": "burn", "all": [{"metric": "http", "kind": "burnRate", "objective": 0.99, "minEvents": 5}]},
        {"name": "worse", "all": [{"metric": "http", "kind": "sequential", "minEvents": 5}]},
        {"name": "hours", "all": [leg], "activeWhen": {"schedule": "0 12 * * *", "duration": "1m"}, "action": "hold"},
    ]
    metrics = [{"name": "http", "bad": "b", "total": "t"}, {"name": "lag", "value": "lag"}]
    compared = {"tests": [{"metric": "http"}], "keepControl": 1, "warmup": "10s"}
    world = World(spec=spec(metrics=metrics, triggers=rules, comparison=compared, sharedRollbackAfter="1m"))
    world.readings["lag"] = (Value(1), Value(1))
    resolved = world.resolved()
    assert resolved is not None
    world.asked = dict.fromkeys(asks_of(resolved), (Counts(0, 1000), Counts(0, 1000)))
    world.history["lag"] = History("q", START, timedelta(minutes=30), (), ())
    world.baselines = {"http": Baseline("q", START, timedelta(hours=1), 0.001)}
    return world


def shadow() -> World:
    """The same with two stages that mirror before the first weight."""
    world = mixed()
    mirrors = [{"name": f"mirror-{mirror}", "weight": 0, "mirror": mirror, "duration": "20s"} for mirror in (10, 100)]
    changed = spec(
        stages=[
            *mirrors,
            {"name": "one", "weight": 1, "duration": "20s"},
            {"name": "all", "weight": 100, "duration": "20s"},
        ]
    )
    world.spec = world.spec.model_copy(update={"stages": changed.stages})
    return world


worlds = st.sampled_from([lambda: World(spec=spec()), mixed, mixed, shadow, shadow])


class Watcher:
    """Decides through the world and checks every plan against what was promised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.earned = 0.0
        """Highest weight that recorded evidence of this run allows."""
        self.copied = 0.0
        """Mirror that it allows."""

    def round(self) -> None:
        world = self.world
        before, route, generation = world.status, world.route, world.status.observed_generation
        entries, chain = len(world.entries), world.chain
        plan = world.round()
        if world.chain is not chain:
            self.check_chain(chain)
        self.check_weight(plan, entries, route, before.weight.desired)
        assert world.status.observed_generation >= generation
        run = plan.status.run
        if run is not None and before.run is not None and before.run.end is not None and before.run.id == run.id:
            assert run.end is before.run.end, "an ended run does not come back"

    def check_replay(self) -> None:
        """Each run's evidence, when it is complete, bears every one of its decisions out."""
        self.check_chain(self.world.chain)

    def check_chain(self, chain: list[Link]) -> None:
        entries = [entry for entry in (parse_entry(one.line) for one in chain) if entry is not None]
        if entries:
            found = replay(entries)
            assert (found.difference, found.entries) == (None, len(chain))

    def check_weight(self, plan: Plan, entries: int, route: Route, wanted: float) -> None:
        world = self.world
        carried = len(world.entries) > entries or not plan.entries
        for entry in world.entries[entries:]:
            weight = entry.data.get("weight")
            if entry.kind is Reason.RUN_STARTED:
                self.earned = self.copied = 0.0
            aimed = entry.kind in WEIGHTED or "fromStage" in entry.data
            if aimed and isinstance(weight, float):
                mirror = entry.data.get("mirror", 0.0)
                self.earned, self.copied = weight, mirror if isinstance(mirror, float) else 0.0
            if entry.kind is Reason.STAGE_ENTERED:
                kinds = {e.kind for e in world.entries[entries:]}
                rested = wanted == 0 and weight in FIRST
                assert rested or kinds & {Reason.RUN_STARTED, Reason.GATE_PASSED, Reason.GATE_SKIPPED}
        if not isinstance(plan.route, SetWeight) or not carried:
            return
        assert plan.route.canary <= self.earned + 1e-9, "a weight nobody recorded a reason for"
        assert plan.route.mirror in {0.0, self.copied}, "a mirror nobody recorded a reason for"
        assert not (plan.route.mirror and plan.route.canary), "users and copies at once"
        run = plan.status.run
        if run is not None and run.end is None and run.promoted_at is None and plan.status.stage is not None:
            assert plan.route.canary in {0.0, self.earned}
        live = route.canary_weight
        raises = live is not None and plan.route.canary > live
        if world.spec.paused and raises:
            assert plan.route.canary <= wanted + 1e-9, "paused: only the frozen weight is set again"
        refused = {r.version for r in plan.status.refused}
        if run is not None and run.version in refused and run.end is Outcome.ROLLED_BACK:
            assert (plan.route.canary, plan.route.mirror) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(worlds, st.lists(events, max_size=25))
@example(
    lambda: World(spec=spec()),
    [("route gone", False), ("wait", 20), ("version", "v1"), ("wait", 1), ("say", Verb.RETRY)],
)
def test_no_history_breaks_a_promise(begin: Callable[[], World], history: list[tuple[str, object]]) -> None:
    world = begin()
    watcher = Watcher(world)
    for what, value in history:
        happen(world, what, value)
        for _ in range(value if what == "wait" and isinstance(value, int) else 2):
            world.now += world.tick
            watcher.round()
            watcher.round()
    watcher.check_replay()


@settings(max_examples=60, deadline=None)
@given(worlds, st.lists(events, max_size=15))
def test_the_same_inputs_give_the_same_plan(begin: Callable[[], World], history: list[tuple[str, object]]) -> None:
    world = begin()
    for what, value in history:
        happen(world, what, value)
        world.now += world.tick
        first = decide(world.resolved(), world.status, world.facts(), world.now)
        assert first == decide(world.resolved(), world.status, world.facts(), world.now)
        world.round()


def goes_missing(world: World, gap: str, gone: Missing) -> None:
    """No more data of one kind, or none at all."""
    if gap == "gate":
        world.over_stage = gone
        return
    world.reading = world.stable_reading = gone
    if gap == "everything":
        world.readings.clear()
        world.asked = dict.fromkeys(world.asked, (gone, gone))
        world.history = {name: replace(seen, canary=gone, stable=gone) for name, seen in world.history.items()}
        world.windows = {}


def bare() -> World:
    """Stages without an objective: a gate has nothing to ask, and the clock alone leads to the next weight."""
    return World(spec=spec(thresholds=[]))


@pytest.mark.slow
@pytest.mark.timeout(400)
@settings(max_examples=30, deadline=None)
@given(
    st.one_of(worlds, st.just(bare)),
    st.lists(events, max_size=12),
    st.builds(Missing, st.sampled_from(MISSING), st.just("gone"), st.booleans()),
    st.sampled_from(["readings", "everything", "gate"]),
)
@example(bare, [("wait", 20)], Missing(Reason.NO_DATA, "gone"), "readings")
@example(bare, [("wait", 20)], Missing(Reason.PROMETHEUS_UNREACHABLE, "gone", server_wide=True), "everything")
@example(lambda: World(spec=spec()), [("wait", 20)], Missing(Reason.NO_DATA, "gone"), "gate")
@example(mixed, [("wait", 20)], Missing(Reason.PARTIAL_ANSWER, "gone"), "everything")
@example(shadow, [("wait", 10)], Missing(Reason.STALE_DATA, "gone"), "gate")
def test_no_data_never_raises_a_weight(
    begin: Callable[[], World], history: list[tuple[str, object]], gone: Missing, gap: str
) -> None:
    """A command is a person's word and a new run's first weight needs no data; all else that raises a weight does."""
    world = begin()
    for what, value in history:
        happen(world, what, value)
        world.run_for(value if what == "wait" and isinstance(value, int) else 5)
    world.command = None
    before, highest, entries = world.status.run, world.status.weight.desired, len(world.entries)
    passed = [e for e in world.entries if e.kind in {Reason.GATE_PASSED, Reason.GATE_SKIPPED}]
    clock = world.status.stage.observed if world.status.stage is not None else None
    gap = gap if world.spec.thresholds else "everything"
    goes_missing(world, gap, gone)
    for _ in range(60):
        world.now += world.tick
        for _ in range(3):
            wanted, run = world.status.weight, world.status.run
            plan = world.round()
            same = run is not None and before is not None and run.id == before.id
            rests = not wanted.desired and not wanted.mirror
            if any(e.kind is Reason.SETTLE_BREACHED for e in world.entries[entries:]):
                break  # stable was measured to be bad: gates and other metrics may be there
            allowed = highest if same and not rests else max(highest, *FIRST)
            assert world.status.weight.desired <= allowed
            assert not isinstance(plan.route, SetWeight) or plan.route.canary <= allowed
            stage = world.status.stage
            if gap != "gate" and same and clock is not None and stage is not None and before.promoted_at is None:
                assert stage.observed <= clock, "time without data is not observed"
    assert [e for e in world.entries if e.kind in {Reason.GATE_PASSED, Reason.GATE_SKIPPED}] == passed


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(worlds, st.lists(events, max_size=15))
def test_when_faults_stop_a_bad_canary_always_ends_without_traffic(
    begin: Callable[[], World], history: list[tuple[str, object]]
) -> None:
    world = begin()
    for what, value in history:
        happen(world, what, value)
        world.run_for(value if what == "wait" and isinstance(value, int) else 5)
    world.deleting = False
    world.evidence_works = world.route_writable = True
    world.stable = Side(exists=True, ready=2, fingerprints=frozenset({"fp1"}))
    world.stable_reading = Counts(0, 1000)
    world.reading = Counts(900, 1000)
    world.canary = Side(exists=True, ready=2, fingerprints=frozenset({"fp3"}))
    world.run_for(60)
    if world.status.run is not None and world.route.mark is not None:
        assert (world.route.canary_weight, world.route.mirror) == (0, 0)
