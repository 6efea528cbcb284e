"""What failed a watch is said: in the status, in the entry of the rollback, and to whoever is told of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict, Verdict
from sparkrelease.decide.facts import Counts, Missing, Value
from sparkrelease.decide.notices import RuleSaid, Subject, closing_event, notice_of
from sparkrelease.decide.replay import replay
from unit.decide.watch_world import BURN, THRESHOLDS, breached, burnt, not_met, rolled_back, to_check, watched
from unit.decide.world import World

SHOP = Subject("shop", "shop", "uid-1")


def verdict(world: World, rule: str) -> RuleVerdict:
    return next(one for one in world.status.verdicts if (one.kind, one.rule) == ("threshold", rule))


def told(world: World) -> tuple[RuleSaid, ...]:
    """The rules of the message of the end, as it is told from the status alone."""
    ended = world.status.history[0]
    event = closing_event(ended, world.status)
    return notice_of(event, SHOP, world.frozen, world.status, world.now, ended=ended).rules


def failed(world: World) -> list[dict[str, object]]:
    """What the entry of the rollback says of the rules that failed."""
    entry = next(entry for entry in world.entries if {"trigger", "fromWeight"} <= entry.data.keys())
    found = entry.data["failed"]
    assert isinstance(found, list)
    return found


def test_a_criterion_that_is_not_met_is_told_with_its_value_and_limit() -> None:
    world = not_met()
    assert world.status.rollback is not None and world.status.rollback.reason == "CriteriaNotMet"
    assert [(one.rule, one.verdict, one.value, one.limit) for one in told(world)] == [
        ("errors", Verdict.FAIL, "4% (40/1000)", "at most 1%"),
        ("dead-letters", Verdict.FAIL, "3", "at most 1"),
    ]


def test_a_burn_rate_that_is_too_fast_is_told_with_its_rates_and_factor() -> None:
    assert [(one.rule, one.verdict, one.value, one.limit) for one in told(burnt())] == [
        ("burn rate 1h", Verdict.FAIL, "20x over 1h and 20x over 5m", "at most 14.4x")
    ]


def test_a_threshold_that_fails_since_the_last_check_is_told() -> None:
    assert [(one.rule, one.value, one.limit) for one in told(breached())] == [("errors", "3% (30/1000)", "at most 1%")]


def test_the_rollback_entry_names_the_rules_that_failed_and_no_other() -> None:
    assert [(one["rule"], one["value"], one["limit"]) for one in failed(not_met())] == [
        ("errors", "4% (40/1000)", "at most 1%"),
        ("dead-letters", "3", "at most 1"),
    ]
    assert [one["rule"] for one in failed(breached())] == ["errors"]
    assert [(one["rule"], one["limit"]) for one in failed(burnt())] == [("burn rate 1h", "at most 14.4x")]


def test_a_rule_says_fail_in_the_status_whichever_part_of_a_check_fails() -> None:
    world = watched()
    world.spans["watch/errors"] = (Counts(40, 1000), Counts(0, 1000))
    to_check(world, 1)
    assert (verdict(world, "errors").verdict, world.status.gate_text) == (Verdict.FAIL, "1/2")
    world.spans = {"interval/errors": (Counts(30, 1000), Counts(0, 1000))}
    to_check(world, 2)
    assert verdict(world, "errors").verdict is Verdict.FAIL


def test_a_criterion_that_is_not_known_is_no_pass_in_the_status() -> None:
    world = watched()
    world.spans["watch/errors"] = (Missing(Reason.NO_DATA, "no series"), Counts(0, 1000))
    to_check(world, 1)
    assert verdict(world, "errors").verdict is Verdict.NO_DATA


def test_burn_rates_are_rules_of_the_status_while_the_run_is_watched() -> None:
    world = watched(watch=BURN)
    to_check(world, 1)
    assert [verdict(world, f"burn rate {long}").verdict for long in ("1h", "6h")] == [Verdict.PASS, Verdict.PASS]


def test_a_step_back_takes_the_words_of_the_watch_away() -> None:
    trigger = {"name": "slow", "all": [{"metric": "dlq", "value": 5}], "action": "stepBack", "stage": "one"}
    world = watched(watch=BURN, triggers=[trigger])
    to_check(world, 1)
    world.readings["dlq"] = (Value(9), Value(0))
    world.run_for(10)
    assert world.route.canary_weight == 1
    assert [one.rule for one in world.status.verdicts if one.kind == "threshold"] == []


@pytest.mark.parametrize("ended", [not_met, breached, burnt])
def test_a_watch_that_failed_can_be_replayed(ended: Callable[[], World]) -> None:
    world = ended()
    found = replay(world.stored())
    assert (found.difference, found.entries) == (None, len(world.chain))


def test_a_rollback_of_an_operator_that_did_not_name_the_rules_can_be_replayed() -> None:
    entries = breached().stored()
    older = [
        dataclasses.replace(entry, data={key: one for key, one in entry.data.items() if key != "failed"})
        for entry in entries
    ]
    assert older != entries
    assert replay(older).difference is None


def test_a_rule_that_did_not_fail_the_check_is_not_told_as_its_cause() -> None:
    world = watched(thresholds=[*THRESHOLDS, {"name": "other", "metric": "http", "max": 0.01, "at": "gates"}])
    world.spans["watch/dead-letters"] = (Value(3), Value(0))
    world.spans["interval/other"] = (Counts(30, 1000), Counts(0, 1000))
    rolled_back(world)
    assert [one.rule for one in told(world)] == ["other"]
