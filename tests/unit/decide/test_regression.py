"""What entries that a status does not know are taken for, and what a run does whose state came back older."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import Facts, Regression
from sparkrelease.decide.regress import regression_of
from unit.decide.world import World

RUN = "v2-123456"


def entry(number: int, kind: Reason, **data: object) -> Entry:
    text = f"what happened at {number}"
    return Entry(number, "2026-01-05T12:00:00.000Z", "shop/shop", RUN, kind.value, text, data, "", "")


PASSED = [entry(4, Reason.GATE_PASSED), entry(5, Reason.STAGE_ENTERED)]
ENDED = [entry(6, Reason.TRIGGER_FIRED), entry(7, Reason.ROLLED_BACK, outcome="RolledBack")]


def test_nothing_and_one_decision_that_ended_nothing_are_what_a_crash_leaves() -> None:
    assert regression_of(RUN, []) is None
    assert regression_of(RUN, [PASSED]) is None


def test_more_than_one_decision_is_an_older_status() -> None:
    found = regression_of(RUN, [PASSED, [entry(6, Reason.GATE_PASSED)]])
    assert found is not None
    assert (found.run, found.outcome) == (RUN, None)
    assert found.message.endswith("goes on to entry 6 (what happened at 6)")


@pytest.mark.parametrize("ahead", [[ENDED], [PASSED, ENDED]])
def test_the_end_of_a_run_is_never_taken_for_a_crash(ahead: list[list[Entry]]) -> None:
    found = regression_of(RUN, ahead)
    assert found is not None
    assert found.outcome is Outcome.ROLLED_BACK


def test_a_long_sentence_and_an_outcome_nobody_knows_do_no_harm() -> None:
    last = replace(entry(6, Reason.GATE_PASSED, outcome=["?"]), message="x" * 10_000)
    found = regression_of(RUN, [PASSED, [last]])
    assert found is not None
    assert found.outcome is None
    assert len(found.message) < 400


class Put(World):
    """A world of which the facts tell that its state came back older."""

    regression: Regression | None = None

    def facts(self, **more: object) -> Facts:
        return replace(super().facts(**more), regression=self.regression)


def at_a_quarter() -> Put:
    world = Put()
    world.reach(25)
    return world


def told(world: Put, outcome: Outcome | None = None, *, run: str | None = None) -> None:
    """One round with the news; the engine drops them once the status has them."""
    known = world.status.run.id if world.status.run else ""
    world.regression = Regression("it was put back", known if run is None else run, outcome)
    world.round()
    world.regression = None
    world.settle_rounds()


@pytest.mark.parametrize("run", [None, ""])
def test_a_run_that_came_back_older_stays_where_it_is_until_it_is_resumed(run: str | None) -> None:
    world = at_a_quarter()
    told(world, run=run)
    world.run_for(600)
    assert world.route.canary_weight == 25
    assert world.reason(ConditionType.STALLED) == "StateRegressed"
    assert world.condition(ConditionType.STALLED) == "True"
    world.say(Verb.RESUME)
    world.reach(100)
    assert world.kinds().count(Reason.STATE_REGRESSED) == 1


def test_the_lower_of_the_two_weights_is_the_safe_one() -> None:
    world = at_a_quarter()
    world.edit_route(1)
    told(world)
    assert world.route.canary_weight == 1
    assert world.status.weight.desired == 1


def test_news_of_another_run_are_no_news() -> None:
    world = at_a_quarter()
    told(world, run="v1-abcdef")
    world.reach(100)


def test_a_person_may_promote_it_instead() -> None:
    world = at_a_quarter()
    told(world)
    world.say(Verb.PROMOTE)
    world.reach(100)


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.ROLLED_BACK])
def test_a_run_that_ended_any_other_way_ends_at_no_weight(outcome: Outcome) -> None:
    world = at_a_quarter()
    told(world, outcome)
    assert world.route.canary_weight == 0
    assert world.status.history[0].reason == "StateRegressed"
    assert world.status.refused == ()


def test_a_run_that_was_rolled_back_is_rolled_back_again() -> None:
    world = at_a_quarter()
    told(world, Outcome.ROLLED_BACK)
    world.run_for(600)
    assert world.route.canary_weight == 0
    assert [refused.version for refused in world.status.refused] == ["v2"]
