"""Looks find their way behind the scrapes, and keep their pace where there is no common beat."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.engine.rhythm import EARLIEST, Rhythm

DELAY = 0.06
"""Seconds from a scrape's begin until its samples can be queried."""

Scrapes = Callable[[float], float]
"""Time of the newest sample that can be queried at a time."""


def every(interval: float, phase: float, delay: float = DELAY) -> Scrapes:
    def newest(now: float) -> float:
        return (now - delay - phase) // interval * interval + phase

    return newest


def looks(rhythm: Rhythm, newest: Scrapes, tick: float, count: int, *, begin: float = 1000.0) -> Iterator[float]:
    """The times of looks, each of which hears what can be queried then."""
    now = begin
    for _ in range(count):
        rhythm.heard(now, newest(now))
        yield now
        now = rhythm.next(now, now + tick)


def lags(newest: Scrapes, times: list[float]) -> list[float]:
    """How old new samples were when they were first seen."""
    seen: list[float] = []
    before = newest(times[0])
    for now in times[1:]:
        if newest(now) > before + 0.001:
            seen.append(now - newest(now))
            before = newest(now)
    return seen


@pytest.mark.parametrize("phase", [0.0, 0.21, 0.5, 0.77, 0.99])
@pytest.mark.parametrize(
    ("tick", "interval"), [(1.0, 1.0), (1.013, 1.0), (0.25, 1.0), (0.253, 1.0), (5.0, 15.0), (5.0, 30.0), (1.0, 15.0)]
)
def test_new_samples_are_looked_at_soon_after_they_can_be_queried(tick: float, interval: float, phase: float) -> None:
    newest = every(interval, phase)
    times = list(looks(Rhythm(), newest, tick, 400))
    settled = lags(newest, times)[-5:]
    assert max(settled) < DELAY + 0.1


@given(
    st.floats(0.25, 10),
    st.floats(0.25, 60),
    st.floats(0, 1),
    st.floats(0.001, 0.2),
)
def test_no_look_comes_later_than_a_tick_nor_are_there_many_more_than_ticks(
    tick: float, interval: float, phase: float, delay: float
) -> None:
    times = list(looks(Rhythm(), every(interval, phase * interval, delay), tick, 200))
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) <= tick + 0.0101
    regular = [gap for gap in gaps if gap >= EARLIEST * tick - 1e-6]
    assert len(gaps) - len(regular) <= 3 * (len(regular) + 1), "those between are second tries of a look too early"
    assert (times[-1] - times[0]) >= 0.15 * tick * len(gaps)


@pytest.mark.parametrize("tick", [0.25, 1.0, 5.0])
def test_targets_scraped_at_all_moments_leave_the_pace_as_it_is(tick: float) -> None:
    chance = random.Random(1)
    targets = [every(15.0, chance.uniform(0, 15)) for _ in range(200)]
    times = list(looks(Rhythm(), lambda now: max(one(now) for one in targets), tick, 100))
    gaps = [after - before for before, after in pairwise(times)]
    assert sum(gaps) / len(gaps) > 0.9 * tick


def test_a_scrape_that_takes_longer_from_now_on_is_found_again() -> None:
    rhythm, slow = Rhythm(), every(1.0, 0.3, 0.25)
    begin = list(looks(rhythm, every(1.0, 0.3), 1.0, 50))[-1]
    times = list(looks(rhythm, slow, 1.0, 100, begin=begin + 1.0))
    assert max(lags(slow, times)[-20:]) < 0.25 + 0.15
    assert rhythm.margin >= 0.25 * 0.8


def test_a_server_that_goes_back_in_time_is_learned_anew() -> None:
    rhythm = Rhythm()
    list(looks(rhythm, every(1.0, 0.3), 1.0, 50))
    assert rhythm.interval is not None
    rhythm.heard(2000.0, 10.0)
    assert rhythm.interval is None
    assert rhythm.next(2000.0, 2001.0) == 2001.0


def test_answers_without_samples_leave_the_pace_as_it_is() -> None:
    rhythm = Rhythm()
    list(looks(rhythm, every(1.0, 0.3), 1.0, 50))
    rhythm.missing()
    assert rhythm.next(2000.0, 2001.0) == 2001.0
