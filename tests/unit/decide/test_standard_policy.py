"""`spark-standard` with its own figures, on a clock turned by hand: all of its parts take the time they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Unpack

import pytest
import yaml

from fakes.asked import Asked
from sparkrelease.adapters.kubernetes.evidence import ConfigMapEvidence
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Ask, Baseline, Buckets, Counts, Facts, History, Reading, Track, Value, Window
from sparkrelease.decide.plan import Plan
from sparkrelease.ports.api_server import Reply
from sparkrelease.ports.cluster import ObjectKey
from unit.decide.signatures import sign
from unit.decide.world import START, World, spec

FILE = Path(__file__).resolve().parents[3] / "manifests" / "policies" / "spark-standard.yaml"
POLICY: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["spec"]
TICK, OVER, REREAD = timedelta(seconds=15), timedelta(minutes=30), timedelta(minutes=2)
WINDOW = timedelta(seconds=15)
IN_THE_NIGHT = timedelta(minutes=1)
"""Between two looks in the watch: nothing in it is told apart by less."""

MIB = 1 << 20
MOST_CONFIG_MAPS, MOST_BYTES = 60, 2 * MIB
"""The budget of a standard run's evidence."""

WARMED = 60.0
"""Seconds of health before anything happens."""


def latency(fast: float, soon: float) -> Buckets:
    """Of a thousand answers, so many within 0.2 s and within 0.4 s."""
    return Buckets({0.2: fast, 0.4: soon}, 1000)


HEALTHY: Mapping[str, Reading] = {
    "http": Counts(1, 1000),
    "latency": latency(990, 999),
    "requests": Value(40),
    "cpu": Value(0.6),
    "memory": Value(200 * MIB),
    "feed-age": Value(1),
    "stream-age": Value(1),
    "stream-drops": Value(2),
    "risk-blocks": Value(0.1),
    "risk-share": Counts(1, 1000),
    "idempotency": Counts(1, 1000),
    "key-life": Value(50),
    "csp-reports": Value(5),
    "csp-share": Counts(1, 1000),
    "decimals": Counts(0, 1000),
    "outbox-age": Value(0.5),
    "connections": Value(20),
    "pool": Value(0.5),
}
BEFORE = {"csp-share": 0.005, "key-life": 50.0, "http": 0.001, "latency": 0.0}
"""What stable was before the run."""

BEFORE_TRAFFIC = frozenset({"preflight", "checklist", "approvalExpires"})
"""Parts of the policy that come before the first weight."""

BOARD = {"lena": "devops-lead", "mira": "cto", "joão": "product-owner"}

PAST = {
    Ask("requests", timedelta(minutes=5), timedelta(minutes=10)): "requests",
    Ask("connections", timedelta(minutes=1), timedelta(minutes=10)): "connections",
}


@dataclass
class Desk(World):
    """A world under the policy, its histories read anew every two minutes."""

    slopes: dict[str, float] = field(default_factory=dict)
    """By metric, what canary's history rises by a minute."""
    read_at: datetime | None = None
    batches: list[list[str]] = field(default_factory=list)
    """Evidence of the run as it is stored: what one decision leaves is one write."""

    def facts(self, **more: object) -> Facts:
        if self.read_at is None or self.now - self.read_at >= REREAD:
            self.read_at = self.now
            for metric, level in (("memory", 200.0 * MIB), ("key-life", 50.0)):
                sides = (self._past(level, self.slopes.get(metric, 0.0)), self._past(level, 0.0))
                self.history[metric] = History(metric, self.now, OVER, *sides)
        self.windows = {test["metric"]: self._new_windows(test["metric"]) for test in POLICY["comparison"]["tests"]}
        return super().facts(**more)

    def _new_windows(self, metric: str) -> tuple[Window, ...]:
        """Those that ended since the last look: a quarter of a minute each, as the policy asks."""
        seen = HEALTHY[metric]
        assert isinstance(seen, Counts | Buckets)
        last = datetime.fromtimestamp(self.now.timestamp() // WINDOW.seconds * WINDOW.seconds, UTC)
        ends = [last - back * WINDOW for back in reversed(range(self.tick // WINDOW))]
        return tuple(Window(end, WINDOW, seen, seen) for end in ends)

    def _chain(self, plan: Plan) -> None:
        if any(draft.kind is Reason.RUN_STARTED for draft in plan.entries):
            self.batches = []
        super()._chain(plan)
        if plan.entries:
            self.batches.append([one.line for one in self.chain[-len(plan.entries) :]])

    def _past(self, level: float, slope: float) -> tuple[Track, ...]:
        """Forty minutes, the last of them at the level."""
        minutes = [step / 2 for step in range(-80, 1)]
        end = self.now.timestamp()
        return (Track("pod", tuple((end + 60 * at, level + slope * at) for at in minutes)),)


def desk(without: frozenset[str] = BEFORE_TRAFFIC) -> Desk:
    resolved = spec(**{part: POLICY[part] for part in POLICY if part not in without})
    at = START - TICK
    return Desk(
        spec=resolved,
        tick=TICK,
        readings={name: (reading, reading) for name, reading in HEALTHY.items()},
        asked={ask: (HEALTHY[name], HEALTHY[name]) for ask, name in PAST.items()},
        baselines={name: Baseline(name, at, timedelta(hours=1), value) for name, value in BEFORE.items()},
    )


def scanned(failing: Mapping[str, str] | None = None) -> Desk:
    """A world under all of the policy that has made its checks."""
    world = desk(without=frozenset())
    world.failing = dict(failing or {})
    world.settle_rounds()
    return world


def signed() -> Desk:
    """The same, all nine checks passed, and a go of all three on all ten items, ten minutes later."""
    world = scanned()
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    assert world.status.preflight is not None and world.status.preflight.progress == "9/9"
    for name, group in BOARD.items():
        assert (world.status.gate_text, world.weights) == ("0/10", [])
        world.now += timedelta(minutes=10) / len(BOARD)
        sign(world, name, groups=(group,))
        world.settle_rounds()
    (entry,) = [entry for entry in world.entries if entry.kind is Reason.APPROVED]
    assert len(entry.data["items"]) == 10  # type: ignore[arg-type]  # a mapping
    assert world.weights == [1], world.why()
    return world


class Shelf:
    """An API server that takes every ConfigMap; it keeps their names and how many bytes each of them is."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    async def request(self, method: str, path: str, **rest: Unpack[Asked]) -> Reply:
        assert (method, path) == ("POST", "/api/v1/namespaces/shop/configmaps")
        body = rest["body"]
        assert isinstance(body, Mapping)
        meta = body["metadata"]
        assert isinstance(meta, Mapping) and meta["name"] not in self.sizes
        self.sizes[meta["name"]] = len(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())
        return Reply(201, body)


def on_the_shelf(world: Desk) -> dict[str, int]:
    """The run's ConfigMaps and their bytes, as the operator's own door to evidence stores them."""
    shelf = Shelf()
    run = world.status.run
    assert run is not None
    store, index = ConfigMapEvidence(shelf), 0
    for batch in world.batches:
        names = asyncio.run(store.store(ObjectKey("shop", "shop"), run.id, index, batch))
        assert isinstance(names, tuple)
        index += len(names)
    return shelf.sizes


def test_eight_of_nine_checks_are_not_enough() -> None:
    for name in [item["name"] for item in POLICY["preflight"]]:
        world = scanned({name: "it is not so"})
        assert world.status.phase is Phase.BLOCKED
        assert world.status.preflight is not None and world.status.preflight.progress == "8/9"
        assert world.why() == f"PreflightFailed: {name}: it is not so"
        assert world.weights == []


def test_two_of_three_signatures_are_not_enough() -> None:
    world = scanned()
    for name, group in list(BOARD.items())[:2]:
        sign(world, name, groups=(group,))
    world.tick = IN_THE_NIGHT
    world.run_for(timedelta(hours=3).total_seconds())
    assert (world.status.phase, world.status.gate_text, world.weights) == (Phase.AWAITING_APPROVAL, "0/10", [])


@pytest.mark.slow
@pytest.mark.timeout(600)  # a quarter of a minute of computing, and the machine may be busy with other tests
def test_a_healthy_release_takes_25_hours_and_a_half_and_is_quiet_on_all_of_the_way() -> None:
    world = signed()
    began = world.now
    entered: list[tuple[float, datetime]] = [(1, began)]
    seen: set[str] = set()
    gates: set[str] = set()
    watched: datetime | None = None
    while world.status.phase is not Phase.SUCCEEDED and world.now < began + timedelta(hours=26):
        known = len(world.weights)
        world.run_for(world.tick.total_seconds(), until=Phase.SUCCEEDED)
        if world.weights[known:]:
            assert world.route.written_at is not None
            entered.append((world.weights[-1], world.route.written_at))
        if world.status.phase is Phase.WATCHING:
            watched = watched or world.now
            world.tick = IN_THE_NIGHT
        else:
            gates.add(world.status.gate_text)
        seen |= {v.verdict.value for v in world.status.verdicts if v.kind == "trigger"}
    assert world.status.phase is Phase.SUCCEEDED, world.why()
    assert world.condition(ConditionType.PROMOTED) == "True"
    assert [weight for weight, _ in entered] == [1, 5, 25, 50, 100]
    assert watched is not None
    times = [time for _, time in entered]
    spent = [after - before for before, after in zip(times, [*times[1:], watched], strict=True)]
    for took, declared in zip(spent, (15, 15, 15, 15, 30), strict=True):
        assert timedelta(0) <= took - timedelta(minutes=declared) <= 2 * TICK
    assert timedelta(0) <= world.now - watched - timedelta(hours=24) <= 2 * IN_THE_NIGHT
    assert timedelta(0) <= world.now - began - timedelta(hours=25, minutes=30) <= timedelta(minutes=3)
    assert world.kinds().count(Reason.WATCH_CHECKED) == 24
    assert gates == {"", "6/6"}
    assert world.kinds().count(Reason.GATE_PASSED) == 5
    assert seen == {Verdict.PASS.value}
    assert world.status.rollback is None
    assert [test.windows > 6000 for test in world.status.tests] == [True, True]
    stored = on_the_shelf(world)
    assert sum(map(len, world.batches)) == len(world.chain)
    print(f"\n{len(world.chain)} entries, {len(stored)} ConfigMaps, {sum(stored.values()) / 1024:.0f} KiB")
    assert len(stored) <= MOST_CONFIG_MAPS
    assert sum(stored.values()) <= MOST_BYTES


def test_a_defect_that_shows_at_a_quarter_of_the_traffic_goes_back_after_the_five_minutes_of_its_trigger() -> None:
    world = signed()
    world.reach(25)
    since = world.now
    world.readings["http"] = (Counts(50, 1000), HEALTHY["http"])
    world.run_for(minutes(10).total_seconds(), until=Phase.ROLLED_BACK)
    rollback = world.status.rollback
    assert world.status.phase is Phase.ROLLED_BACK and rollback is not None, world.why()
    assert (rollback.trigger, rollback.stage, rollback.from_weight) == ("http-5xx", "quarter", 25)
    assert world.weights == [1, 5, 25, 0]
    decided = rollback.decided_at
    assert decided is not None and timedelta(0) <= decided - since - minutes(5) <= 2 * TICK
    assert world.condition(ConditionType.PROMOTED) != "True"


@dataclass(frozen=True)
class Breach:
    """What makes one trigger true, what is just within its limits, and how long it has to be true."""

    trigger: str
    over: Mapping[str, Reading | tuple[Reading, Reading]]
    within: Mapping[str, Reading | tuple[Reading, Reading]]
    lasts: timedelta
    slopes: tuple[float, float] = (0.0, 0.0)
    """Of the histories beside them: over, and within."""


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


BREACHES = (
    Breach("api-p95", {"latency": latency(100, 949)}, {"latency": latency(951, 951)}, minutes(5)),
    Breach("http-5xx", {"http": Counts(31, 1000)}, {"http": Counts(30, 1000)}, minutes(5)),
    Breach("feed-staleness", {"feed-age": Value(121)}, {"feed-age": Value(120)}, minutes(3)),
    Breach("csp-violations", {"csp-reports": Value(51)}, {"csp-reports": Value(50)}, minutes(0)),
    Breach("idempotency-conflicts", {"idempotency": Counts(51, 1000)}, {"idempotency": Counts(50, 1000)}, minutes(3)),
    Breach("pool-saturation", {"pool": Value(0.91)}, {"pool": Value(0.9)}, minutes(3)),
    Breach(
        "correlated-degradation",
        {"risk-share": (Counts(21, 1000), Counts(10, 1000)), "http": Counts(11, 1000)},
        {"risk-share": (Counts(20, 1000), Counts(10, 1000)), "http": Counts(11, 1000)},
        minutes(3),
    ),
    Breach(
        "non-improving-latency",
        {"latency": latency(949, 1000), "cpu": Value(0.29)},
        {"latency": latency(949, 1000), "cpu": Value(0.3)},
        minutes(10),
    ),
    Breach(
        "memory-leak",
        {"memory": (Value(261 * MIB), Value(200 * MIB))},
        {"memory": (Value(261 * MIB), Value(200 * MIB))},
        minutes(0),
        slopes=(1.01 * MIB, 1.0 * MIB),
    ),
    Breach("connection-leak", {"connections": Value(31)}, {"connections": Value(30)}, minutes(3)),
    Breach("outbox-lag", {"outbox-age": Value(10.1)}, {"outbox-age": Value(10)}, minutes(1)),
    Breach("key-buildup", {"key-life": Value(75.1)}, {"key-life": Value(75)}, minutes(3), slopes=(0.5, 0.5)),
    Breach(
        "disconnect-storm",
        {"stream-drops": (Value(10.1), Value(2))},
        {"stream-drops": (Value(10), Value(2))},
        minutes(1),
    ),
    Breach("decimal-precision", {"decimals": Counts(1, 1000)}, {"decimals": Counts(0, 1000)}, minutes(0)),
)


def begun(readings: Mapping[str, Reading | tuple[Reading, Reading]], slope: float) -> Desk:
    """A run of a minute in its first stage, and from now on these readings."""
    world = desk()
    world.run_for(WARMED)
    assert world.weights == [1], world.why()
    for name, both in readings.items():
        world.readings[name] = both if isinstance(both, tuple) else (both, HEALTHY[name])
    world.slopes = {"memory": slope, "key-life": slope}
    world.read_at = None
    return world


def test_every_trigger_is_tried() -> None:
    assert [breach.trigger for breach in BREACHES] == [one["name"] for one in POLICY["triggers"]]


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.trigger)
def test_a_trigger_rolls_back_once_it_was_true_for_its_time_and_no_sooner(breach: Breach) -> None:
    world = begun(breach.over, breach.slopes[0])
    world.now += TICK
    first = world.now
    world.settle_rounds()
    if breach.lasts:
        world.run_for((breach.lasts - TICK).total_seconds())
        assert world.status.phase is Phase.PROGRESSING, world.why()
        assert world.route.canary_weight == 1
    world.run_for(2 * TICK.total_seconds(), until=Phase.ROLLED_BACK)
    assert world.status.rollback is not None, world.why()
    assert world.status.rollback.trigger == breach.trigger
    assert world.route.canary_weight == 0
    decided = world.status.rollback.decided_at
    assert decided is not None and timedelta(0) <= decided - first - breach.lasts <= TICK


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.trigger)
def test_a_trigger_is_quiet_at_its_limit(breach: Breach) -> None:
    world = begun(breach.within, breach.slopes[1])
    world.run_for((breach.lasts + 4 * TICK).total_seconds())
    verdict = next(v for v in world.status.verdicts if v.kind == "trigger" and v.rule == breach.trigger)
    assert verdict.verdict is Verdict.PASS, verdict
    assert world.status.rollback is None


def test_outside_the_exchange_s_hours_a_silent_feed_is_right() -> None:
    world = begun({"feed-age": Value(50_000)}, 0.0)
    evening = timedelta(hours=6)
    world.now += evening
    world.run_for(minutes(10).total_seconds())
    assert world.status.rollback is None
