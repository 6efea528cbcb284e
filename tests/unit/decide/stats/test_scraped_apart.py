"""Simulated releases whose roles are scraped at different moments: what both suffer is not canary's, what it does is.

Every event is drawn in a cell of time; a window of a role holds the cells between the newest scrapes at its ends, of
each pod its own. Seeds are fixed, so figures are too. Everything that decides is the product's own code.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sparkrelease.api.metrics import Metric
from sparkrelease.decide.comparison import MARGIN
from sparkrelease.decide.counting import Counted, Setting, Test, advance
from sparkrelease.decide.facts import Counts, Window

SECONDS, CELLS = 15, 20
EVERY = timedelta(seconds=SECONDS)
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
BY = Setting(START, START, 5)
TEST = Test("http", Metric(name="http", bad="bad_total", total="all_total"), MARGIN, 400 / 3, 3)

Shares = np.ndarray
"""Of bad requests, per cell."""


def seen(rng: np.random.Generator, rps: float, shares: Shares, lags: np.ndarray) -> list[Counts]:
    """What windows hold of a role whose pods were last scraped so many cells before each window's end."""
    windows = len(shares) // CELLS - 1
    bad, total = np.zeros(windows, int), np.zeros(windows, int)
    for lag in lags:
        requests = rng.poisson(rps / len(lags) * SECONDS / CELLS, len(shares))
        failed = rng.binomial(requests, shares)
        held = slice(CELLS - lag, CELLS - lag + windows * CELLS)
        total += requests[held].reshape(windows, CELLS).sum(axis=1)
        bad += failed[held].reshape(windows, CELLS).sum(axis=1)
    return [Counts(float(one), float(all_)) for one, all_ in zip(bad, total, strict=True)]


def run(
    rng: np.random.Generator,
    rps: float,
    weight: float,
    canary: Shares,
    stable: Shares,
    *,
    pods: int = 1,
    together: bool = False,
) -> list[Window]:
    """Windows of a release; the first one is from before it and is not counted."""
    ours = rng.integers(0, CELLS, pods)
    theirs = ours if together else rng.integers(0, CELLS, pods)
    sides = zip(seen(rng, rps * weight, canary, ours), seen(rng, rps * (1 - weight), stable, theirs), strict=True)
    return [Window(START + place * EVERY, EVERY, *pair, apart=True) for place, pair in enumerate(sides)]


def follow(windows: list[Window], test: Test = TEST) -> Counted:
    found = advance(test, None, windows, BY)
    assert found is not None
    return found


def blamed(windows: list[Window]) -> bool:
    return follow(windows).kept.e >= TEST.limit


def incident(rng: np.random.Generator, windows: int, level: float, lasts: float) -> Shares:
    """0.1 % everywhere but for so many seconds from a moment of the eleventh window on."""
    shares = np.full((windows + 1) * CELLS, 0.001)
    first = 11 * CELLS + int(rng.integers(0, CELLS))
    shares[first : first + round(lasts / SECONDS * CELLS)] = level
    return shares


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("rps", "weight"), [(50, 0.25), (50, 0.5), (500, 0.05), (500, 0.25), (500, 0.5)])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_what_both_suffer_is_not_canary_s_though_it_was_scraped_first(rps: float, weight: float, level: float) -> None:
    """Roles that are the same at every instant: an incident of ten minutes, and one of seven seconds."""
    runs, told = 150, []
    for lasts in (600, 7):
        for pods in (1, 3, 10):
            rng = np.random.default_rng(5)
            counts = np.zeros(2)
            for _ in range(runs):
                shares = incident(rng, 30, level, lasts)
                windows = run(rng, rps, weight, shares, shares, pods=pods)
                counts += (blamed([replace(one, apart=False) for one in windows]), blamed(windows))
            told.append(f"{pods} pods, {lasts} s: {counts[0] / runs:.0%} -> {counts[1] / runs:.1%}")
            assert counts[1] <= 0.02 * runs, told
    print(f"\n{rps}/s, {weight:.0%}, incident {level:.0%}: {'; '.join(told)}")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rps", [5, 50, 500])
@pytest.mark.parametrize("lasting", [1.0, 5.0, math.inf], ids=["a window", "five windows", "for ever"])
def test_a_healthy_release_whose_roles_are_scraped_apart_is_rejected_no_more_often_than_said(
    rps: float, lasting: float
) -> None:
    """Canary exactly at its margin, the shared level jumping between 0.05 and 5 % after so many windows on average."""
    rng, runs, windows = np.random.default_rng(20261128), 500, 200
    cells = (windows + 1) * CELLS
    sups, counted = [], 0
    for number in range(runs):
        jumps = np.cumsum(rng.random(cells) < 1 / (lasting * CELLS))
        stable = np.exp(rng.uniform(math.log(0.0005), math.log(0.05), cells))[jumps]
        weight = (0.05, 0.25, 0.5, 0.99)[number % 4]
        found = follow(run(rng, rps, weight, MARGIN * stable, stable), replace(TEST, min_events=0))
        sups.append(found.kept.e)
        counted += found.kept.windows
    weak, strong = (sum(sup >= limit for sup in sups) / runs for limit in (20, 200))
    part = counted / runs / (windows - 2)
    print(f"\n{rps}/s, {lasting} windows a level: P(E >= 20) = {weak:.2%}, 200: {strong:.2%}; {part:.0%} counted")
    assert weak <= 0.05
    assert strong <= 0.005


def median_windows(rps: float, bad: float, *, apart: bool) -> float:
    """Windows that have ended when the operator can know of a canary that fails alone, in the median run."""
    rng, found = np.random.default_rng(11), []
    for _ in range(60):
        shares = np.full(41 * CELLS, 0.001)
        windows = run(rng, rps, 0.25, np.full(41 * CELLS, bad), shares)
        known = [replace(one, apart=apart) for one in windows]
        found.append(
            next((n for n in range(2, 41) if (c := advance(TEST, None, known[:n], BY)) and rejects(c)), 41) - 1
        )
    return float(np.median(found))


def rejects(counted: Counted) -> bool:
    return counted.kept.e >= TEST.limit


@pytest.mark.slow
@pytest.mark.parametrize("rps", [50, 500])
@pytest.mark.parametrize("bad", [0.02, 0.2])
def test_a_canary_that_fails_alone_is_rejected_a_window_later_where_roles_are_scraped_apart(
    rps: float, bad: float
) -> None:
    together, apart = (median_windows(rps, bad, apart=apart) for apart in (False, True))
    print(f"\n{rps}/s, canary alone {bad:.0%}: {together:g} windows scraped together, {apart:g} apart")
    assert apart - together <= 1
