"""Windows of roles scraped at different moments: each waits for the next, and is void where stable's level moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api import status
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.apart import last_known, stands_still, tolerated
from sparkrelease.decide.counting import Setting, Test, advance, read
from sparkrelease.decide.facts import Buckets, Counts, Missing, Window
from sparkrelease.decide.stats.packing import Seen

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
EVERY = timedelta(seconds=15)
ERRORS = Test("http", Metric(name="http", bad="bad_total", total="all_total"), 1.25, 133, 3)
SLOW = Test("lat", Metric(name="lat", buckets="lat_bucket", quantile=0.95, unit="s"), 1.25, 133, 3, (0.2,))
VOID = Missing(Reason.WINDOW_VOID, "a reset")
BY = Setting(started_at=START, stage_at=START, stages=5)

Side = Counts | Buckets | Missing
Known = status.TestState | None


def window(place: int, canary: Side, stable: Side, *, apart: bool = True) -> Window:
    """The window that ends `place` windows after the start of the run."""
    return Window(START + place * EVERY, EVERY, canary, stable, apart)


def windows(*stable: Side, canary: Side | None = None) -> list[Window]:
    """Windows in a row, the first of which ends as the run starts."""
    return [window(place, canary or Counts(5, 1000), side) for place, side in enumerate(stable)]


def count(test: Test, known: Known, seen: Sequence[Window]) -> Known:
    found = advance(test, known, seen, BY)
    return known if found is None else found.kept


def stored(known: Known) -> Known:
    """As it comes back from the API server after a restart of the operator."""
    return None if known is None else status.TestState.model_validate_json(known.model_dump_json(by_alias=True))


def ends(known: Known) -> tuple[int, int]:
    assert known is not None
    return known.windows, known.voided


CALM, STORM = Counts(5, 5000), Counts(1000, 5000)


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    total = draw(st.integers(0, 2000))
    return Counts(draw(st.integers(0, total)), total)


@st.composite
def histories(draw: st.DrawFn) -> list[Window]:
    side = counts() | st.sampled_from([CALM, CALM, STORM, VOID])
    told = draw(st.lists(st.tuples(side, side, st.booleans()), min_size=2, max_size=15))
    return [window(place, *pair, apart=apart) for place, (*pair, apart) in enumerate(told)]


# ---------------------------------------------------------------- waiting


def test_a_window_waits_for_the_next_one_where_roles_are_scraped_apart() -> None:
    calm = windows(*[CALM] * 4)
    assert count(ERRORS, None, calm[:2]) is None
    known = count(ERRORS, None, calm[:3])
    assert known is not None
    assert known.counted_until == START + EVERY
    assert ends(count(ERRORS, known, calm[1:])) == (2, 0)


def test_one_of_roles_scraped_together_does_not_wait() -> None:
    calm = [replace(one, apart=False) for one in windows(CALM, CALM, STORM)]
    assert last_known(calm) is calm[-1]
    assert ends(count(ERRORS, None, calm)) == (2, 0)


@given(histories())
def test_windows_of_roles_scraped_together_need_none_beside_them(history: list[Window]) -> None:
    together = [replace(one, apart=False) for one in history]
    known: Known = None
    for one in together:
        known = count(ERRORS, known, [one])
    assert stored(known) == stored(count(ERRORS, None, together))


@given(histories(), st.data())
def test_windows_told_together_or_as_they_come_make_the_same_bytes(history: list[Window], data: st.DataObject) -> None:
    """With restarts in between: what is told begins with the last window counted, as the engine has it."""
    together = count(ERRORS, None, history)
    known: Known = None
    for number in range(1, len(history) + 1):
        until = START if known is None or known.counted_until is None else known.counted_until
        known = count(ERRORS, known, [one for one in history[:number] if one.end >= until])
        if data.draw(st.booleans()):
            known = stored(known)
    assert stored(known) == stored(together)


@given(histories())
def test_windows_that_come_again_change_nothing(history: list[Window]) -> None:
    known = count(ERRORS, None, history)
    assert count(ERRORS, known, history) is known
    assert count(ERRORS, known, history[-2:]) is known


# ---------------------------------------------------------------- void


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_window_beside_which_stable_s_level_moved_is_void(place: int) -> None:
    sides: list[Side] = [CALM] * 5
    sides[place] = STORM
    known = count(ERRORS, None, windows(*sides))
    around = {place - 1, place, place + 1} & {1, 2, 3}
    assert ends(known) == (3 - len(around), len(around))


def test_an_incident_voids_the_windows_at_its_ends_and_counts_between_them() -> None:
    known = count(ERRORS, None, windows(CALM, CALM, *[STORM] * 4, CALM, CALM, CALM))
    assert ends(known) == (3, 4), "the middle two of the incident and the last calm one"
    assert known is not None
    state = read(ERRORS, known)
    assert state is not None
    assert state.last is Seen.COUNTED


def test_a_defect_of_canary_alone_voids_nothing() -> None:
    known = count(ERRORS, None, windows(*[CALM] * 6, canary=Counts(200, 1000)))
    assert ends(known) == (4, 0)
    assert known is not None
    assert known.e >= ERRORS.limit


@pytest.mark.parametrize("unknown", [VOID, Counts(float("nan"), 10), Buckets({0.1: 5}, 10)])
@pytest.mark.parametrize("place", [0, 2])
def test_a_window_is_void_where_stable_is_unknown_beside_it(unknown: Side, place: int) -> None:
    sides: list[Side] = [CALM] * 3
    sides[place] = unknown
    assert ends(count(ERRORS, None, windows(*sides)))[0] == 0


def test_that_stable_s_level_moved_is_told_from_what_nobody_knows_and_both_are_void_in_a_row() -> None:
    moving = [CALM, STORM] * 3
    known = count(ERRORS, None, windows(*moving, VOID, CALM))
    assert ends(known) == (0, 6)
    found = [count(ERRORS, None, windows(*moving[:place])) for place in (4, 6)]
    states = [read(ERRORS, one) for one in (*found, known) if one is not None]
    assert [(state.last, state.in_a_row) for state in states if state] == [
        (Seen.MOVED, 2),
        (Seen.MOVED, 4),
        (Seen.VOID, 6),
    ]


def test_a_window_is_void_where_there_is_none_right_before_or_after_it() -> None:
    calm = windows(*[CALM] * 4)
    assert ends(count(ERRORS, None, calm[1:3])) == (0, 1), "none before it"
    assert ends(count(ERRORS, None, [calm[0], calm[1], calm[3]])) == (0, 1), "a gap after it"


def test_a_histogram_s_level_moves_at_any_of_its_edges() -> None:
    def buckets(slow: int) -> Buckets:
        return Buckets({0.1: 900, 0.2: 1000 - slow, float("inf"): 1000}, 1000)

    first = replace(windows(buckets(50))[0], end=START + EVERY, apart=False)
    told = [window(place, buckets(50), buckets(slow)) for place, slow in ((2, 50), (3, 50), (4, 50), (5, 99), (6, 99))]
    known = count(SLOW, None, [first, *told])
    assert ends(known) == (2, 2)


# ---------------------------------------------------------------- what a move is


def test_what_chance_does_is_no_move() -> None:
    assert stands_still([(5, 6, 4)], (5000, 5000, 5000), 0)
    assert stands_still([(0, 1, 0)], (50, 50, 50), 0)
    assert stands_still([(0, 0, 0)], (5000, 5000, 5000), 0)
    assert stands_still([(5, 50, 10)], (500, 5000, 1000), 0), "a share, not a count"
    assert not stands_still([(5, 5, 20)], (5000, 5000, 5000), 0)
    assert not stands_still([(0, 0, 5)], (75, 75, 75), 0)
    assert not stands_still([(5, 5, 5), (20, 60, 60)], (500, 500, 500), 0), "any question"


@pytest.mark.parametrize(("more", "still"), [(1.1, True), (1.25, False)])
def test_a_busy_service_may_wobble_within_the_margin_but_not_beyond_it(more: float, still: bool) -> None:
    """Ten thousand failed requests a window: chance alone moves them by a hundredth."""
    bad, total = (10_000, 10_000, 10_000 * more), (1e5, 1e5, 1e5)
    assert not stands_still([bad], total, 0)
    assert stands_still([bad], total, tolerated(0, 1.25)) is still


def test_what_wobbled_before_the_run_is_no_move() -> None:
    assert not stands_still([(1000, 1000, 1500)], (1e5, 1e5, 1e5), tolerated(0, 1.25))
    assert stands_still([(1000, 1000, 1500)], (1e5, 1e5, 1e5), tolerated(0.05, 1.25))
