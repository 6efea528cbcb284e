"""Which edges are tested is settled by stable alone, the same way every time."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.decide.stats.edges import (
    MOST_CANDIDATES,
    MOST_CHANNELS,
    Candidates,
    add_window,
    by_edge,
    choose,
)


def single(*edges: float) -> list[float]:
    return list(by_edge(dict.fromkeys(edges, 0.0)))


def slower(**shares: float) -> Candidates:
    """Candidates of a thousand events: `e0_2=50` is the edge 0.2 with 50 slower ones."""
    edges = single(*(float(name[1:].replace("_", ".")) for name in shares))
    return Candidates(tuple(edges), tuple(shares.values()), 1000.0)


def test_edges_that_tell_something_soon_are_chosen() -> None:
    known = slower(e0_05=900, e0_1=400, e0_2=50, e0_5=5, e1=1)
    assert list(choose(known, (), 0.05)) == single(0.1, 0.2, 0.5)


def test_all_edges_are_chosen_when_none_tells_something_soon() -> None:
    assert list(choose(slower(e0_05=900, e1=1), (), 0.05)) == single(0.05, 1)


def test_edges_nearest_to_what_rules_look_at_come_first() -> None:
    known = Candidates(tuple(single(*(n / 10 for n in range(1, 21)))), (50.0,) * 20, 1000.0)
    assert list(choose(known, (1.0,), 0.05)) == single(0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    assert single(0.4)[0] in choose(known, (0.4, 1.5), 0.05)
    assert single(1.5)[0] in choose(known, (0.4, 1.5), 0.05)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.lists(st.floats(0.001, 100), max_size=4))
def test_never_more_than_the_most_nor_none_and_always_in_order(counts: list[float], wanted: list[float]) -> None:
    edges = tuple(single(*(0.01 * (n + 1) for n in range(len(counts)))))
    chosen = choose(Candidates(edges, tuple(counts), 1000.0), tuple(wanted), 0.05)
    assert 0 < len(chosen) <= MOST_CHANNELS
    assert list(chosen) == sorted(set(chosen))
    assert set(chosen) <= set(edges)


def test_windows_add_up_in_any_order_and_endless_edges_are_no_candidates() -> None:
    parts = [({0.1: 60, 0.2: 95, float("inf"): 100}, 100), ({0.1: 30, 0.2: 50}, 50), ({0.1: 0, 0.2: 0}, 0)]
    found = set()
    for order in permutations(parts):
        known = None
        for at_or_below, total in order:
            known = add_window(known, at_or_below, total)
        found.add(known)
    assert found == {Candidates(tuple(single(0.1, 0.2)), (60.0, 5.0), 150.0)}


def test_an_edge_that_is_not_in_every_window_is_left_out() -> None:
    known = add_window(add_window(None, {0.1: 1, 0.2: 2}, 3), {0.2: 2, 0.5: 3}, 3)
    assert known is not None
    assert list(known.edges) == single(0.2)


@pytest.mark.parametrize("count", [1, MOST_CANDIDATES, MOST_CANDIDATES + 1, 1000])
def test_a_fine_histogram_is_thinned_and_stays_so(count: int) -> None:
    window = {0.001 * (n + 1): float(n) for n in range(count)}
    once = add_window(None, window, 1000)
    twice = add_window(once, window, 1000)
    assert once is not None and twice is not None
    assert len(once.edges) <= MOST_CANDIDATES
    assert len(once.edges) >= min(count, MOST_CANDIDATES // 2)
    assert twice.edges == once.edges


SPARSE = [
    ({0.25: 0.0, 0.5: 3.0}, 3.0),
    ({1.0: 0.0, 2.0: 2.0}, 2.0),
    ({0.125: 0.0, 0.25: 1.0, 0.5: 1.0, 1.0: 4.0}, 4.0),
    ({}, 0.0),
]
"""Windows of a native histogram: edges of filled buckets alone."""


def test_windows_of_a_native_histogram_add_up_in_any_order() -> None:
    found = set()
    for order in permutations(SPARSE):
        known = None
        for at_or_below, total in order:
            known = add_window(known, at_or_below, total)
        found.add(known)
    slower = {0.125: 9.0, 0.25: 8.0, 0.5: 5.0, 1.0: 2.0, 2.0: 0.0}
    assert found == {Candidates(tuple(single(*slower)), tuple(slower.values()), 9.0)}


def test_an_edge_inside_a_filled_bucket_of_any_window_is_no_candidate() -> None:
    """The server's resolution was lowered, or will be."""
    fine, coarse = ({0.25: 0.0, 0.297: 1.0, 0.354: 2.0}, 2.0), ({0.25: 0.0, 0.5: 5.0}, 5.0)
    for order in permutations((fine, coarse)):
        known = None
        for at_or_below, total in order:
            known = add_window(known, at_or_below, total)
        assert known is not None
        assert list(known.edges) == single(0.25, 0.5)


def test_candidates_are_never_more_than_the_most() -> None:
    known = None
    for place in range(MOST_CANDIDATES + 50):
        known = add_window(known, {place + 1.0: 0.0, place + 2.0: 1.0}, 1.0)
    assert known is not None
    assert 0 < len(known.edges) <= MOST_CANDIDATES
