"""The error budget: spent, no new run starts; some of it back, or overridden, it does."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from sparkrelease.api.approval import Override
from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Missing, Reading
from unit.decide.signatures import signature
from unit.decide.world import World, spec

BUDGET = {"metric": "http", "objective": 0.999}


def shop(canary: Reading, stable: Reading) -> World:
    world = World(spec=spec(errorBudget=BUDGET))
    world.spans["error-budget"] = (canary, stable)
    return world


def frozen_run(world: World) -> str:
    """Name of the run that a spent budget keeps from starting, as the release says it."""
    world.run_for(10)
    assert world.status.phase is Phase.BLOCKED
    (run,) = re.findall(r"an approval of run (\S+) that overrides the freeze", world.why())
    return str(run)


def override(world: World, run: str) -> None:
    """Jane lets this run begin although the budget is spent."""
    world.approvals += (signature("jane", name=f"of-{run}", run=run, at=world.now, overrides=(Override.FREEZE,)),)


def test_a_spent_budget_blocks_the_start_and_says_so_once() -> None:
    world = shop(Counts(0, 0), Counts(11, 10_000))
    world.run_for(600)
    assert world.status.phase is Phase.BLOCKED
    assert world.reason() == "BudgetExhausted"
    assert world.condition(ConditionType.STALLED) == "True"
    assert "110 %" in world.why()
    assert world.weights == []
    assert len([e for e in world.events if e.reason is Reason.BUDGET_EXHAUSTED]) == 1
    assert world.asked_spans[0].over == timedelta(days=30)
    assert world.asked_spans[0].whole


def test_it_is_looked_at_again_while_it_waits_and_the_run_starts_once_some_is_back() -> None:
    world = shop(Counts(0, 0), Counts(11, 10_000))
    world.run_for(60)
    assert world.last is not None and world.last.wake_at is not None
    assert world.last.wake_at - world.now <= timedelta(minutes=1)
    world.spans["error-budget"] = (Counts(0, 0), Counts(9, 10_000))
    world.run_for(120, until="Progressing")
    assert world.status.phase is Phase.PROGRESSING, world.why()


def test_what_both_roles_served_counts() -> None:
    world = shop(Counts(6, 5_000), Counts(5, 5_000))
    world.run_for(30)
    assert world.reason() == "BudgetExhausted"


def test_a_canary_that_served_nothing_yet_is_no_hole() -> None:
    world = shop(Missing(Reason.NO_DATA, "no series"), Counts(5, 10_000))
    world.run_for(30)
    assert world.status.phase is Phase.PROGRESSING, world.why()


@pytest.mark.parametrize(
    "stable",
    [Missing(Reason.PROMETHEUS_ERROR, "422"), Missing(Reason.NO_DATA, "none"), Missing(Reason.STALE_DATA, "old")],
)
def test_a_budget_that_cannot_be_read_is_not_taken_for_unspent(stable: Missing) -> None:
    world = shop(Missing(Reason.NO_DATA, "no series"), stable)
    world.run_for(30)
    assert world.status.phase is Phase.BLOCKED
    assert "cannot be read" in world.why()
    assert world.weights == []


def test_an_approval_overrides_the_freeze_and_evidence_says_so() -> None:
    world = shop(Counts(0, 0), Counts(11, 10_000))
    run = frozen_run(world)
    override(world, run="v2-other")
    world.run_for(30)
    assert world.status.phase is Phase.BLOCKED, "it is for another run"
    override(world, run=run)
    world.run_for(30)
    assert world.status.phase is Phase.PROGRESSING, world.why()
    (entry,) = [entry for entry in world.entries if entry.kind is Reason.BUDGET_OVERRIDDEN]
    assert "overridden by jane" in entry.message
    assert world.status.run is not None
    assert world.status.run.id == run


def test_an_approval_does_not_override_blindness() -> None:
    world = shop(Missing(Reason.PROMETHEUS_ERROR, "422"), Missing(Reason.PROMETHEUS_ERROR, "422"))
    override(world, run=frozen_run(shop(Counts(0, 0), Counts(11, 10_000))))
    world.run_for(30)
    assert world.status.phase is Phase.BLOCKED


def test_a_run_under_way_is_not_touched_by_a_budget_that_runs_out() -> None:
    world = shop(Counts(0, 0), Counts(0, 10_000))
    world.reach(25)
    world.spans["error-budget"] = (Counts(0, 0), Counts(999, 10_000))
    world.run_for(300, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED, world.why()


def test_a_retry_waits_for_the_budget_too() -> None:
    world = shop(Counts(0, 0), Counts(0, 10_000))
    world.reach(25)
    world.reading = Counts(200, 1000)
    world.run_for(30, until="RolledBack")
    world.reading = Counts(0, 1000)
    world.spans["error-budget"] = (Counts(0, 0), Counts(999, 10_000))
    world.say(Verb.RETRY)
    world.run_for(300)
    assert world.reason() == "BudgetExhausted"
    assert world.route.canary_weight == 0
