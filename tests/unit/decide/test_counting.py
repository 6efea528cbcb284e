"""Windows are counted once, in order and exactly, however often the operator is restarted in between."""

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
from sparkrelease.decide.counting import Setting, Test, advance, read
from sparkrelease.decide.facts import Buckets, Counts, Missing, Window
from sparkrelease.decide.stats.packing import Seen, State

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
EVERY = timedelta(seconds=15)
ERRORS = Test("http", Metric(name="http", bad="bad_total", total="all_total"), 1.5, 200, 3)
SLOW = Test("lat", Metric(name="lat", buckets="lat_bucket", quantile=0.95, unit="s"), 1.25, 200, 3, (0.2,))
VOID = Missing(Reason.WINDOW_VOID, "a reset")
BY = Setting(started_at=START, stage_at=START, stages=5)

Side = Counts | Buckets | Missing
Known = status.TestState | None


def window(place: int, canary: Side, stable: Side) -> Window:
    """The window that ends `place` windows after the start of the run."""
    return Window(START + place * EVERY, EVERY, canary, stable)


def buckets(total: int, slow: int, slower: int) -> Buckets:
    return Buckets({0.1: total - slow, 0.2: total - slower, float("inf"): total}, total)


def count(test: Test, known: Known, windows: Sequence[Window], by: Setting) -> Known:
    """The state after these windows; the same object where none of them is new."""
    found = advance(test, known, windows, by)
    return known if found is None else found.kept


def state_of(test: Test, known: Known) -> State:
    assert known is not None
    state = read(test, known)
    assert state is not None
    return state


def stored(known: Known) -> Known:
    """As it comes back from the API server after a restart of the operator."""
    return None if known is None else status.TestState.model_validate_json(known.model_dump_json(by_alias=True))


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    total = draw(st.integers(0, 2000))
    return Counts(draw(st.integers(0, total)), total)


@st.composite
def histograms(draw: st.DrawFn) -> Buckets:
    total = draw(st.integers(0, 2000))
    slow = draw(st.integers(0, total))
    return buckets(total, slow, draw(st.integers(0, slow)))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Test, list[Window]]:
    test, side = draw(st.sampled_from([(ERRORS, counts()), (SLOW, histograms())]))
    sides = draw(st.lists(st.tuples(side | st.just(VOID), side | st.just(VOID)), min_size=1, max_size=15))
    return test, [window(place, *pair) for place, pair in enumerate(sides, start=1)]


def stage_of(place: int) -> Setting:
    """A setting in which another stage began every five windows, with a minute of warming up."""
    began = START + ((place - 1) // 5) * 5 * EVERY
    return replace(BY, stage_at=began, warm_from=began, warm_until=began + timedelta(seconds=30), spread=0.01)


# ---------------------------------------------------------------- exactness


@given(histories(), st.data())
def test_windows_counted_together_or_one_by_one_with_restarts_make_the_same_bytes(
    history: tuple[Test, list[Window]], data: st.DataObject
) -> None:
    test, windows = history
    together = count(test, None, windows, BY)
    known: Known = None
    for one in windows:
        known = count(test, known, [one], BY)
        if data.draw(st.booleans()):
            known = stored(known)
    assert stored(known) == stored(together)


@given(histories())
def test_windows_that_come_again_change_nothing(history: tuple[Test, list[Window]]) -> None:
    test, windows = history
    known = count(test, None, windows, BY)
    assert count(test, known, windows, BY) is known
    assert count(test, known, windows[-1:], BY) is known
    assert count(test, known, [], BY) is known
    more = window(len(windows) + 1, windows[0].canary, windows[0].stable)
    assert count(test, known, [*windows, more], BY) == count(test, known, [more], BY)


@given(histories())
def test_a_restart_between_stages_changes_nothing(history: tuple[Test, list[Window]]) -> None:
    test, windows = history
    one: Known = None
    other: Known = None
    for place, each in enumerate(windows, start=1):
        one = count(test, one, [each], stage_of(place))
        other = stored(count(test, other, [each], stage_of(place)))
    assert stored(one) == other


@given(histories())
def test_windows_from_before_the_run_are_not_counted(history: tuple[Test, list[Window]]) -> None:
    test, windows = history
    later = replace(BY, started_at=windows[-1].end)
    assert count(test, None, windows, later) is None


# ---------------------------------------------------------------- monotony


@given(st.lists(st.tuples(counts(), counts()), min_size=1, max_size=10), st.integers(0, 9), st.integers(1, 100))
def test_bad_events_that_move_from_stable_to_canary_never_turn_a_rejection_round(
    sides: list[tuple[Counts, Counts]], place: int, moved: int
) -> None:
    """At equal totals, in any window, with spread and stages: the evidence of that moment does not fall."""
    place %= len(sides)
    canary, stable = sides[place]
    moved = int(min(moved, stable.bad, canary.total - canary.bad))
    worse = list(sides)
    worse[place] = (replace(canary, bad=canary.bad + moved), replace(stable, bad=stable.bad - moved))

    def evidence(pairs: Sequence[tuple[Counts, Counts]]) -> float:
        known: Known = None
        for number, pair in enumerate(pairs, start=1):
            known = count(ERRORS, known, [window(number, *pair)], replace(BY, spread=0.05))
        return 1.0 if known is None else known.e

    assert evidence(worse) >= evidence(sides) * (1 - 1e-3)


# ---------------------------------------------------------------- what is left out


def test_a_void_side_voids_the_window_for_both() -> None:
    known = count(ERRORS, None, [window(1, Counts(5, 10), VOID), window(2, VOID, Counts(0, 10))], BY)
    assert known is not None
    assert (known.windows, known.voided, known.e) == (0, 2, 1)
    state = state_of(ERRORS, known)
    assert (state.last, state.in_a_row) == (Seen.VOID, 2)
    assert not any(state.requests)


@pytest.mark.parametrize(
    "odd",
    [
        Counts(-1, 10),
        Counts(11, 10),
        Counts(float("nan"), 10),
        Counts(1, float("nan")),
        Counts(1, float("inf")),
        Counts(1e300, 1e300),
        Buckets({0.1: 5}, 10),
    ],
)
def test_what_are_no_counts_of_this_metric_voids_the_window(odd: Side) -> None:
    for pair in ((odd, Counts(1, 10)), (Counts(1, 10), odd)):
        known = count(ERRORS, None, [window(1, *pair)], BY)
        assert known is not None
        assert (known.windows, known.voided) == (0, 1)


def test_a_histogram_without_a_chosen_edge_voids_the_window() -> None:
    usual = [window(place, buckets(500, 50, 25), buckets(500, 50, 25)) for place in (1, 2)]
    known = count(SLOW, None, [*usual, window(3, Buckets({0.1: 400}, 500), buckets(500, 50, 25))], BY)
    assert known is not None
    assert (known.windows, known.voided) == (1, 1)


@pytest.mark.parametrize("pair", [(Counts(0, 0), Counts(1, 100)), (Counts(3, 100), Counts(0, 0))])
def test_a_test_rests_while_one_role_has_no_requests(pair: tuple[Counts, Counts]) -> None:
    known = count(ERRORS, None, [window(place, *pair) for place in range(1, 400)], BY)
    assert known is not None
    assert (known.windows, known.voided, known.e) == (0, 0, 1)
    assert known.counted_until == START + 399 * EVERY
    assert state_of(ERRORS, known).last is Seen.RESTED


def test_windows_that_overlap_the_time_after_a_rise_are_left_out() -> None:
    rose = START + timedelta(seconds=20)
    by = replace(BY, warm_from=rose, warm_until=rose + timedelta(seconds=60))
    places = []
    known: Known = None
    for place in range(1, 9):
        before = known.windows if known else 0
        known = count(ERRORS, known, [window(place, Counts(1, 10), Counts(1, 10))], by)
        assert known is not None
        if known.windows > before:
            places.append(place)
    assert places == [1, 7, 8]  # 15 s ends before the rise; 80 s is in the window that ends at 90 s
    assert known is not None and known.voided == 0


def test_edges_are_chosen_before_anything_of_canary_is_counted() -> None:
    broken = buckets(500, 500, 500)
    known = count(SLOW, None, [window(1, broken, buckets(500, 50, 25))], BY)
    state = state_of(SLOW, known)
    assert len(state.channels) == 2
    assert known is not None and (known.windows, known.e) == (0, 1)
    other = count(SLOW, None, [window(1, buckets(500, 0, 0), buckets(500, 50, 25))], BY)
    assert other == known


def test_edges_wait_for_enough_events_of_stable() -> None:
    few = [window(place, buckets(10, 1, 1), buckets(10, 1, 1)) for place in range(1, 21)]
    for place in range(1, 20):
        assert not state_of(SLOW, count(SLOW, None, few[:place], BY)).channels
    assert state_of(SLOW, count(SLOW, None, few, BY)).channels


# ---------------------------------------------------------------- what is found


def test_a_bad_canary_is_rejected_and_the_interval_lies_above_the_margin() -> None:
    known = count(ERRORS, None, [window(place, Counts(15, 750), Counts(1, 750)) for place in (1, 2, 3)], BY)
    assert known is not None
    assert known.e >= ERRORS.limit
    assert known.ratio == pytest.approx(15)
    assert known.low is not None and known.low >= ERRORS.margin
    assert known.high is None or known.high > 15


def test_fewer_bad_canary_events_than_asked_for_cannot_reject() -> None:
    patient = replace(ERRORS, min_events=30)
    windows = [window(place, Counts(10, 10), Counts(0, 10_000)) for place in (1, 2, 3)]
    assert (count(patient, None, windows[:2], BY) or status.TestState(metric="none")).e < patient.limit
    assert (count(patient, None, windows, BY) or status.TestState(metric="none")).e >= patient.limit


def test_a_slow_canary_is_rejected_at_the_edge_where_it_shows() -> None:
    windows = [window(place, buckets(750, 80, 75), buckets(750, 75, 15)) for place in range(1, 6)]
    known = count(SLOW, None, windows, BY)
    assert known is not None
    assert known.e >= SLOW.limit
    assert known.ratio == pytest.approx(5)


def test_evidence_once_reached_stays_reached() -> None:
    bad = [window(place, Counts(15, 750), Counts(1, 750)) for place in (1, 2, 3)]
    good = [window(place, Counts(0, 750), Counts(20, 750)) for place in range(4, 100)]
    known = count(ERRORS, count(ERRORS, None, bad, BY), good, BY)
    assert known is not None and known.e >= ERRORS.limit


def test_a_state_that_cannot_be_read_begins_anew_after_the_last_window_counted() -> None:
    windows = [window(place, Counts(1, 100), Counts(1, 100)) for place in (1, 2, 3)]
    known = count(ERRORS, None, windows[:2], BY)
    assert known is not None
    again = count(ERRORS, known.model_copy(update={"state": "????"}), windows, BY)
    assert again is not None
    assert again.windows == 3
    assert list(state_of(ERRORS, again).requests) == [100, 100, 0, 0]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.just(VOID), st.builds(Counts, st.floats(), st.floats())),
            st.one_of(st.just(VOID), st.builds(Counts, st.floats(), st.floats())),
        ),
        max_size=10,
    )
)
def test_whatever_the_windows_hold_the_state_is_one_a_status_can_hold(sides: list[tuple[Side, Side]]) -> None:
    windows = [window(place, *pair) for place, pair in enumerate(sides, start=1)]
    known = count(ERRORS, None, windows, BY)
    assert (known is None) == (not windows)
    if known is not None:
        assert known.windows + known.voided <= len(windows)
        assert stored(known) == known


# ---------------------------------------------------------------- native histograms


def sparse(*buckets: tuple[float, float, int]) -> Buckets:
    """The edges of filled buckets (from, to, events) in ascending order, as a native histogram has them."""
    found, up_to = {}, 0.0
    for low, high, events in buckets:
        found[low] = up_to
        up_to += events
        found[high] = up_to
    return Buckets(found, up_to)


def test_windows_with_other_edges_each_are_counted_at_the_edges_chosen() -> None:
    choosing = window(1, sparse((0.1, 0.2, 50)), sparse((0.1, 0.2, 160), (0.2, 0.4, 40), (0.8, 1.6, 4)))
    known = count(SLOW, None, [choosing], BY)
    chosen = [round(ch.edge, 6) for ch in state_of(SLOW, known).channels]
    assert chosen == [0.2, 0.4, 0.8]
    windows = [
        window(2, sparse((0.1, 0.2, 90), (0.2, 0.4, 10)), sparse((0.1, 0.2, 100))),
        window(3, sparse((0.4, 0.8, 20)), sparse()),
        window(4, sparse((0.4, 0.8, 20)), sparse((0.05, 0.1, 70), (1.6, 3.2, 30))),
    ]
    known = count(SLOW, known, windows, BY)
    state = state_of(SLOW, known)
    assert known is not None and (known.windows, known.voided) == (2, 0), "one role had no request in the third"
    assert [(ch.stage[0], ch.stage[1]) for ch in state.channels] == [(30, 30), (20, 30), (0, 30)]


def test_a_window_at_an_edge_that_is_no_bound_any_more_is_void() -> None:
    choosing = window(1, sparse((0.1, 0.2, 50)), sparse((0.1, 0.2, 160), (0.2, 0.4, 40), (0.8, 1.6, 4)))
    known = count(SLOW, None, [choosing], BY)
    lowered = window(2, sparse((0.1, 0.2, 90)), sparse((0.1, 0.4, 100)))
    after = window(3, sparse((0.1, 0.2, 90)), sparse((0.05, 0.1, 100)))
    known = count(SLOW, known, [lowered, after], BY)
    assert known is not None and (known.windows, known.voided) == (1, 1)
