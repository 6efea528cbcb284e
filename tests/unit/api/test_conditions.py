"""Conditions as metav1 and kstatus want them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.conditions import (
    ABNORMAL_TRUE,
    ConditionType,
    Status,
    clear_condition,
    find,
    is_true,
    set_condition,
)
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Condition
from unit.api.strategies import modest

NOW = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=3)

kinds = st.sampled_from(ConditionType)
values: st.SearchStrategy[Status] = st.sampled_from(["True", "False", "Unknown"])
said = st.lists(st.tuples(kinds, values, st.integers(0, 3600)), max_size=30)


def say(
    conditions: tuple[Condition, ...],
    kind: ConditionType,
    status: Status,
    now: datetime = NOW,
    *,
    reason: Reason = Reason.PROGRESSING,
    message: str = "",
    generation: int = 1,
) -> tuple[Condition, ...]:
    return set_condition(conditions, kind, status, reason, message, generation=generation, now=now)


def test_the_transition_time_moves_only_when_the_status_flips() -> None:
    first = say((), ConditionType.READY, "False")
    again = say(first, ConditionType.READY, "False", LATER, reason=Reason.PAUSED, message="other words", generation=2)
    flipped = say(again, ConditionType.READY, "True", LATER)
    assert again[0].last_transition_time == first[0].last_transition_time == NOW.replace(microsecond=0)
    assert (again[0].reason, again[0].message, again[0].observed_generation) == ("Paused", "other words", 2)
    assert flipped[0].last_transition_time == LATER.replace(microsecond=0)


def test_unknown_is_a_status_of_its_own() -> None:
    known = say((), ConditionType.PROGRESSING, "True")
    unknown = say(known, ConditionType.PROGRESSING, "Unknown", LATER)
    assert unknown[0].last_transition_time == LATER.replace(microsecond=0)
    assert not is_true(unknown, ConditionType.PROGRESSING)


def test_reconciling_and_stalled_are_there_only_while_true() -> None:
    for kind in ABNORMAL_TRUE:
        present = say((), kind, "True")
        assert is_true(present, kind)
        assert say(present, kind, "False") == ()
        assert say(present, kind, "Unknown") == ()
        assert say((), kind, "False") == ()


@modest
@given(said)
def test_a_type_occurs_once_and_the_order_is_always_the_same(steps: list[tuple[ConditionType, Status, int]]) -> None:
    conditions: tuple[Condition, ...] = ()
    for kind, status, seconds in steps:
        conditions = say(conditions, kind, status, NOW + timedelta(seconds=seconds))
    types = [c.type for c in conditions]
    assert types == [kind.value for kind in ConditionType if kind.value in types]


@modest
@given(said, kinds, values)
def test_saying_the_same_again_changes_nothing(
    steps: list[tuple[ConditionType, Status, int]], kind: ConditionType, status: Status
) -> None:
    conditions: tuple[Condition, ...] = ()
    for other, value, seconds in steps:
        conditions = say(conditions, other, value, NOW + timedelta(seconds=seconds))
    once = say(conditions, kind, status)
    assert say(once, kind, status, LATER) == once


def test_a_type_that_another_release_of_the_operator_wrote_stays_behind_ours() -> None:
    foreign = Condition(type="FromTheFuture", status="True", last_transition_time=NOW, reason="Whatever")
    conditions = say((foreign,), ConditionType.ROLLED_BACK, "True")
    assert [c.type for c in conditions] == ["RolledBack", "FromTheFuture"]


def test_a_message_is_cut_before_the_api_server_would_refuse_it() -> None:
    assert len(say((), ConditionType.READY, "True", message="x" * 10_000)[0].message) == 4096


def test_clearing_takes_one_condition_away() -> None:
    both = say(say((), ConditionType.READY, "True"), ConditionType.PROMOTED, "True")
    left = clear_condition(both, ConditionType.READY)
    assert find(left, ConditionType.READY) is None
    assert is_true(left, ConditionType.PROMOTED)
