"""The limits of the ready-made policies as they are written: each is kept at its figure, and not kept just over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Buckets, Counts, Reading, Value
from unit.decide import test_flag_policy, test_standard_policy
from unit.decide.watch_world import to_check
from unit.decide.world import World

LOOKS = 15
"""At a stage: nothing in it is told apart by less."""

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Limit:
    """One limit of a policy's threshold: a reading at it, one just over it, and for events one that no chance explains.

    Of a thousand events one too many may be chance: a gate does not pass for it, and waits for more of them.
    """

    threshold: str
    metric: str
    at: Reading
    over: Reading
    beyond_chance: Reading | None = None

    @property
    def told(self) -> tuple[tuple[Reading, Verdict], ...]:
        """Each reading with what is to be said of it."""
        if self.beyond_chance is None:
            return (self.at, PASS), (self.over, FAIL)
        return (self.at, PASS), (self.over, UNSURE), (self.beyond_chance, FAIL)


def within(edge: float, soon: int) -> Buckets:
    """Of a thousand answers, so many within an edge, and all of them within the next one."""
    return Buckets({edge: soon, {0.2: 0.4, 1.0: 1.5}[edge]: 1000}, 1000)


STANDARD = (
    Limit("api-p95", "latency", within(0.2, 950), within(0.2, 949), within(0.2, 900)),
    Limit("errors", "http", Counts(10, 1000), Counts(11, 1000), Counts(25, 1000)),
    Limit("stream-staleness", "stream-age", Value(30), Value(30.1)),
    Limit("risk-blocks", "risk-blocks", Value(0.5), Value(0.51)),
    Limit("idempotency-conflicts", "idempotency", Counts(10, 1000), Counts(11, 1000), Counts(25, 1000)),
    # A tenth more than the 0.5 % that stable had before the run.
    Limit("csp-violations", "csp-share", Counts(55, 10_000), Counts(56, 10_000), Counts(100, 10_000)),
)
FLAG = (
    Limit("api-p95", "latency", within(1.0, 950), within(1.0, 949), within(1.0, 900)),
    Limit("stream-staleness", "stream-age", Value(30), Value(30.1)),
    Limit("errors", "http", Counts(10, 1000), Counts(11, 1000), Counts(20, 1000)),
    Limit("score-rate", "scores", Value(10), Value(9.9)),
    Limit("confidence", "confidence", Value(0.55), Value(0.54)),
    Limit("breaches", "breaches", Value(4), Value(5)),
    Limit("dead-letters", "dead-letters", Value(1), Value(2)),
    Limit("bucket-balance", "balance", Value(0.5), Value(0.49)),
    Limit("bucket-balance", "balance", Value(0.8), Value(0.81)),
)


@dataclass(frozen=True)
class Tried:
    """A policy with all of its limits, and a world under it."""

    policy: Mapping[str, Any]
    healthy: Mapping[str, Reading]
    limits: tuple[Limit, ...]
    desk: Callable[[], World]
    first: timedelta
    """How long its first stage lasts."""

    @property
    def thresholds(self) -> list[str]:
        """By name, as they are written."""
        return [one["name"] for one in self.policy["thresholds"]]

    def gate(self, limit: Limit, reading: Reading) -> World:
        """A world whose first gate was judged by that reading of the metric, all others being healthy."""
        world = self.desk()
        world.tick = self.first / LOOKS
        world.readings[limit.metric] = (reading, self.healthy[limit.metric])
        world.run_for((self.first + 3 * world.tick).total_seconds())
        return world


POLICIES = {
    "standard": Tried(
        test_standard_policy.POLICY,
        test_standard_policy.HEALTHY,
        STANDARD,
        test_standard_policy.desk,
        timedelta(minutes=15),
    ),
    "flag": Tried(test_flag_policy.POLICY, test_flag_policy.HEALTHY, FLAG, test_flag_policy.desk, timedelta(hours=4)),
}
CASES = [
    pytest.param(tried, limit, reading, verdict, id=f"{name}-{limit.threshold}-{verdict}-{place}")
    for name, tried in POLICIES.items()
    for place, limit in enumerate(tried.limits)
    for reading, verdict in limit.told
]


@pytest.mark.parametrize("tried", POLICIES.values(), ids=POLICIES)
def test_every_limit_of_every_threshold_is_tried(tried: Tried) -> None:
    bounds = [
        one["name"] for one in tried.policy["thresholds"] for bound in ("max", "min", "maxVsBaseline") if bound in one
    ]
    assert [limit.threshold for limit in tried.limits] == bounds


@pytest.mark.parametrize(("tried", "limit", "reading", "verdict"), CASES)
def test_a_gate_passes_at_a_limit_and_does_not_just_over_it(
    tried: Tried, limit: Limit, reading: Reading, verdict: Verdict
) -> None:
    world = tried.gate(limit, reading)
    first, second = (stage["weight"] for stage in tried.policy["stages"][:2])
    said = dict.fromkeys(tried.thresholds, PASS.value) | {limit.threshold: verdict.value}
    if verdict is PASS:
        (passed,) = [entry for entry in world.entries if entry.kind is Reason.GATE_PASSED]
        assert (passed.data["verdicts"], world.weights) == (said, [first, second])
        return
    assert {v.rule: v.verdict.value for v in world.status.verdicts if v.kind == "threshold"} == said
    if verdict is UNSURE:
        assert (world.status.phase, world.weights) == (Phase.PROGRESSING, [first]), world.why()
        return
    rollback = world.status.rollback
    assert rollback is not None and rollback.reason == Reason.GATE_FAILED.value, world.why()
    assert rollback.message.startswith(f"{limit.threshold}: ")
    assert world.weights == [first, 0]


def test_each_box_of_the_day_is_ticked_at_its_limit_and_not_just_over_it() -> None:
    """What a check says of the whole day so far: before the last one, a box that is not ticked decides nothing."""
    tried = POLICIES["flag"]
    world = tried.desk()
    world.tick = timedelta(minutes=15)
    world.run_for(timedelta(hours=8).total_seconds(), until=Phase.WATCHING)
    told = [(limit, reading, verdict) for limit in tried.limits for reading, verdict in limit.told]
    assert len(told) < 24, "before the last check"
    for number, (limit, reading, verdict) in enumerate(told, start=1):
        world.spans = {f"watch/{limit.threshold}": (reading, tried.healthy[limit.metric])}
        to_check(world, number)
        (*_, check) = [entry for entry in world.entries if entry.kind is Reason.WATCH_CHECKED]
        said = dict.fromkeys(tried.thresholds, PASS.value) | {limit.threshold: verdict.value}
        assert (check.data["criteria"], check.data["check"]) == (said, number)
        assert world.status.gate_text == ("8/8" if verdict is PASS else "7/8")
    assert world.status.phase is Phase.WATCHING
