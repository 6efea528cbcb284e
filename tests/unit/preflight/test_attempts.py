"""From items to a run, or to none: attempts, their pauses, and what is said meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.api.status import Phase, SparkReleaseStatus, Verdict
from sparkrelease.decide.facts import Check, Facts, Finding, Problem
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan
from sparkrelease.decide.preflight.words import filled_item
from sparkrelease.decide.replay import replay
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.world import World, spec

ITEMS = [{"name": "api", "http": "http://$canary/x"}, {"name": "extra", "job": "check", "optional": True}]


class Preflight(World):
    """A world whose items say what they are told; `attempts` are the names of those that were looked at."""

    def __init__(self, more: Mapping[str, object] | None = None, **verdicts: Verdict | None) -> None:
        super().__init__(spec=spec(preflight=ITEMS, **(more or {})))
        self.verdicts: dict[str, Verdict | None] = {"api": Verdict.PASS, "extra": Verdict.PASS, **verdicts}
        self.attempts: list[str] = []
        self.looked_inside = 0

    def checks(self) -> tuple[Check, ...]:
        return tuple(
            Check(item.name, item.optional, self.verdicts[item.name], f"{item.name} said so", {"k": "v"})
            for item in self.spec.preflight
        )

    def round(self) -> Plan:
        facts, status = self.facts(), self.status
        current = self.frozen if status.run is not None and status.run.end is None and self.frozen else self.resolved()
        plan = decide(current, status, facts, self.now)
        for _ in range(4):
            wants = plan.wants
            if not wants.checks and not wants.preflight and wants.gate_over is None:
                break
            status = SparkReleaseStatus.model_validate_json(plan.status.model_dump_json(by_alias=True))
            facts = self._answer(facts, plan)
            plan = decide(current, status, facts, self.now)
        self.last = plan
        self._carry_out(plan, current)
        return plan

    def _answer(self, facts: Facts, plan: Plan) -> Facts:
        wants = plan.wants
        if wants.checks:
            self.attempts.append(wants.checks)
            facts = replace(facts, checks=self.checks())
        if wants.preflight:
            self.looked_inside += 1
            facts = replace(facts, preflight=self.preflight, baselines={})
        if wants.spans:
            facts = replace(facts, spans={ask.name: self._span(ask) for ask in wants.spans})
        if wants.gate_over is not None:
            facts = replace(facts, gate={t.name: self._metric(t.metric) for t in self.spec.thresholds})
        return facts

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.settle_rounds()


def numbers(world: Preflight) -> list[int]:
    return list(dict.fromkeys(int(name.rpartition(".")[2]) for name in world.attempts))


def test_traffic_moves_when_every_item_has_passed_and_evidence_holds_what_they_said() -> None:
    world = Preflight()
    world.reach(1)
    assert [entry.kind for entry in world.entries[:2]] == [Reason.RUN_STARTED, Reason.PREFLIGHT_PASSED]
    told = world.entries[1]
    assert told.message == "2/2 items of preflight passed"
    assert [one["details"] for one in told.data["items"]] == [{"k": "v"}] * 2  # type: ignore[attr-defined]  # JSON
    assert replay(world.stored()).difference is None


def test_nothing_moves_while_an_item_is_under_way_and_the_status_says_which() -> None:
    world = Preflight(api=None)
    world.run_for(60)
    assert world.weights == []
    assert world.status.phase is Phase.PREFLIGHT
    assert world.status.preflight is not None and world.status.preflight.progress == "1/2"
    assert "1/2, waiting for api" in world.why()
    assert world.last is not None and world.last.wake_at is not None
    assert len(set(world.attempts)) == 1
    assert world.looked_inside == 1, "what is built in is not asked again and again meanwhile"
    world.verdicts["api"] = Verdict.PASS
    world.reach(1)
    assert world.looked_inside == 2


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.NO_DATA, Verdict.ERROR])
def test_a_required_item_that_did_not_pass_blocks_and_is_named(verdict: Verdict) -> None:
    world = Preflight(api=verdict)
    world.run_for(20)
    assert world.weights == []
    assert (world.status.phase, world.reason()) == (Phase.BLOCKED, Reason.PREFLIGHT_FAILED)
    assert world.why().endswith("api: api said so")
    assert world.condition(ConditionType.STALLED) == "True"
    assert [event.reason for event in world.events].count(Reason.PREFLIGHT_FAILED) == 1


def test_an_optional_item_only_warns() -> None:
    world = Preflight(extra=Verdict.FAIL)
    world.reach(1)
    warned = [event for event in world.events if event.reason is Reason.PREFLIGHT_WARNING]
    assert [event.message for event in warned] == ["extra: extra said so"]
    assert world.entries[1].message == "1/2 items of preflight passed"


def test_a_failed_attempt_is_tried_again_after_pauses_that_grow_to_ten_minutes() -> None:
    world = Preflight(api=Verdict.FAIL)
    world.settle_rounds()
    begun = [world.now]
    for _ in range(8):
        while len(numbers(world)) == len(begun):
            world.turn(5)
        begun.append(world.now)
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(begun)]
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]
    assert numbers(world) == list(range(1, 10))
    world.verdicts["api"] = Verdict.PASS
    world.turn(600)
    assert world.weights == [1]


def test_an_edit_begins_anew_at_once() -> None:
    world = Preflight(api=Verdict.FAIL)
    world.run_for(200)
    before = world.attempts[-1]
    world.verdicts["api"] = Verdict.PASS
    world.spec = spec(preflight=[*ITEMS[:1], {**ITEMS[1], "timeout": "9s"}])
    world.settle_rounds()
    assert world.weights == [1]
    assert world.attempts[-1].rpartition(".")[2] == "1"
    assert world.attempts[-1] != before


def test_a_restarted_operator_goes_on_with_the_same_attempt() -> None:
    world = Preflight(api=None)
    world.run_for(20)
    again = Preflight(api=None)
    again.status, again.now = world.status, world.now
    again.run_for(20)
    assert set(again.attempts) == set(world.attempts)


def test_pods_that_are_not_ready_meanwhile_do_not_shorten_the_pause() -> None:
    world = Preflight(api=Verdict.FAIL)
    world.settle_rounds()
    ready = world.canary
    world.canary = replace(ready, ready=0, not_ready=2)
    world.turn(10)
    assert world.reason() == Reason.CANARY_NOT_READY
    world.canary = ready
    world.turn(10)
    assert (world.reason(), numbers(world)) == (Reason.PREFLIGHT_FAILED, [1])
    assert world.why().endswith("api: api said so")


def test_what_is_built_in_blocks_at_once_whatever_the_items_do() -> None:
    world = Preflight(api=None)
    world.preflight = (Finding("route", True, Problem(Reason.ROUTE_INVALID, "no rule")),)
    world.run_for(20)
    assert (world.status.phase, world.reason()) == (Phase.BLOCKED, Reason.ROUTE_INVALID)
    assert world.weights == []
    world.preflight, world.verdicts["api"] = (), Verdict.PASS
    world.run_for(40)
    assert world.weights[0] == 1


def test_a_policy_gives_items_and_a_release_replaces_them_by_name() -> None:
    policy = ReleasePolicySpec.model_validate({"preflight": ITEMS})
    own = spec(policyRef={"name": "p"}, preflight=[{"name": "api", "promql": "up", "expect": ["value == 1"]}])
    found = resolve(own, policy)
    assert isinstance(found, ResolvedSpec)
    assert [(item.name, item.asks) for item in found.preflight] == [("api", "promql"), ("extra", "job")]
    assert found.policy_preflight == ("extra",)


def test_words_stand_for_what_differs_from_release_to_release() -> None:
    found = resolve(spec(preflight=[{**ITEMS[0], "expect": ["X-Version == $version", "X has $versions"]}]), None)
    assert isinstance(found, ResolvedSpec)
    item = filled_item(found.preflight[0], found, "shop")
    assert item.http == "http://shop-canary:80/x"
    assert item.expect == ("X-Version == v2", "X has $versions")
