"""Between a run's start and its last signature hours may pass: what was checked before is checked again after it."""

from __future__ import annotations

from sparkrelease.api.approval import Override
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Counts
from unit.decide.signatures import CHECKLIST, check_replay, sign, wait
from unit.decide.world import World, spec
from unit.preflight.test_attempts import Preflight

BUDGET = {"metric": "http", "objective": 0.999}
SPENT, UNSPENT = (Counts(0, 0), Counts(11, 10_000)), (Counts(0, 0), Counts(0, 10_000))


def waiting(**more: object) -> Preflight:
    """A run whose items passed, and that waits for its go/no-go."""
    world = Preflight({"checklist": CHECKLIST, **more})
    world.spans["error-budget"] = UNSPENT
    world.settle_rounds()
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    return world


def sign_all(world: World) -> None:
    sign(world, "jane")
    sign(world, "bob")


def test_items_are_made_again_after_the_last_signature_and_evidence_has_both() -> None:
    world = waiting()
    before = set(world.attempts)
    sign(world, "jane")
    wait(world, 60)
    assert set(world.attempts) == before, "not before the last one"
    sign(world, "bob")
    wait(world, 3600)
    assert world.weights == [1]
    assert len(set(world.attempts) - before) == 1
    kinds = world.kinds()
    assert kinds.count(Reason.PREFLIGHT_PASSED) == 2
    assert kinds[kinds.index(Reason.APPROVED) + 1] is Reason.PREFLIGHT_PASSED
    assert not [one for one in world.status.verdicts if one.kind == "preflight"], "they are over"
    check_replay(world)


def test_an_item_that_fails_by_then_keeps_the_first_weight_back_until_it_passes() -> None:
    world = waiting()
    world.verdicts["api"] = Verdict.FAIL
    sign_all(world)
    wait(world, 60)
    assert (world.weights, world.status.phase, world.reason()) == ([], Phase.BLOCKED, Reason.PREFLIGHT_FAILED)
    assert world.why().endswith("api: api said so")
    assert world.condition(ConditionType.STALLED) == "True"
    assert world.last is not None and world.last.wake_at is not None
    wait(world, 10)
    failed = len(set(world.attempts))
    assert world.status.phase is Phase.BLOCKED, "its pause is kept"
    world.verdicts["api"] = Verdict.PASS
    wait(world, 30)
    assert world.weights == [1], world.why()
    assert len(set(world.attempts)) == failed + 1


def test_nothing_moves_while_an_item_is_under_way_again() -> None:
    world = waiting()
    world.verdicts["api"] = None
    sign_all(world)
    wait(world, 5)
    assert (world.weights, world.status.phase) == ([], Phase.PREFLIGHT)
    assert "waiting for api" in world.why()
    world.verdicts["api"] = Verdict.PASS
    wait(world, 5)
    assert world.weights == [1]


def test_what_was_found_for_signatures_that_ran_out_counts_for_no_later_ones() -> None:
    world = waiting(approvalExpires="30m")
    world.verdicts["api"] = None
    sign_all(world)
    wait(world, 5)
    looked = set(world.attempts)
    wait(world, 1800)
    assert world.status.phase is Phase.AWAITING_APPROVAL
    world.verdicts["api"] = Verdict.PASS
    sign_all(world)
    wait(world, 5)
    assert world.weights == [1]
    assert set(world.attempts) - looked


def test_a_restarted_operator_goes_on_with_the_attempt_of_the_same_signatures() -> None:
    world = waiting()
    world.verdicts["api"] = None
    sign_all(world)
    wait(world, 5)
    known = set(world.attempts)
    wait(world, 5)
    assert set(world.attempts) == known


def test_a_budget_that_was_spent_meanwhile_blocks_and_an_override_lets_it_go() -> None:
    world = waiting(errorBudget=BUDGET)
    world.spans["error-budget"] = SPENT
    sign_all(world)
    wait(world, 60)
    assert (world.weights, world.status.phase, world.reason()) == ([], Phase.BLOCKED, Reason.BUDGET_EXHAUSTED)
    run = world.status.run
    assert run is not None and f"an approval of run {run.id}" in world.why()
    sign(world, "eve", overrides=(Override.FREEZE,))
    wait(world, 60)
    assert world.weights == [1], world.why()
    (entry,) = [entry for entry in world.entries if entry.kind is Reason.BUDGET_OVERRIDDEN]
    assert "overridden by eve" in entry.message
    check_replay(world)


def test_a_run_without_items_looks_at_its_budget_again_too_and_goes_once_some_is_back() -> None:
    world = World(spec=spec(checklist=CHECKLIST, errorBudget=BUDGET))
    world.spans["error-budget"] = UNSPENT
    world.settle_rounds()
    world.spans["error-budget"] = SPENT
    sign_all(world)
    wait(world, 60)
    assert world.reason() == Reason.BUDGET_EXHAUSTED
    assert world.last is not None and world.last.wake_at is not None
    world.spans["error-budget"] = UNSPENT
    wait(world, 60)
    assert world.weights == [1], world.why()
