"""Simulated releases: how often a healthy one is rejected, and how soon a bad one. Seeds are fixed, so figures are too.

Windows are drawn by numpy; everything that decides is the product's own code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pytest

from sparkrelease.decide.comparison import MARGIN
from sparkrelease.decide.stats.eprocess import (
    FAILING,
    SLOW,
    begin_again,
    channel,
    hypotheses,
    idle_weight,
    later_weight,
    log_evidence,
    observe,
    stratum,
)

SECONDS = 15
WEIGHTS = (1.0, 5.0, 25.0, 50.0, 99.0)
"""The standard stages; 1 % of stable is kept to the end, so that there is something to compare in every window."""

MINUTES = (15, 15, 15, 15, 30)
PER_STAGE = [minutes * 60 // SECONDS for minutes in MINUTES]
STARTS = list(accumulate(PER_STAGE, initial=0))[:-1]
WINDOWS = sum(PER_STAGE)
SHARES = np.repeat(WEIGHTS, PER_STAGE) / 100

Drawn = tuple[list[int], list[int], list[int], list[int]]


@dataclass(frozen=True)
class Outcome:
    """The strongest evidence of a run, and the canary's bad events and minutes until it reached the limit."""

    sup: float
    bad: int
    minutes: float


def draw(
    rng: np.random.Generator, rps: float, canary: np.ndarray | float, stable: np.ndarray | float, runs: int
) -> Iterator[Drawn]:
    """Windows of so many runs: Poisson arrivals, binomial bad ones at the shares given for each window."""
    for _ in range(runs):
        n_c = rng.poisson(rps * SECONDS * SHARES)
        n_s = rng.poisson(rps * SECONDS * (1 - SHARES))
        b_c = rng.binomial(n_c, canary() if callable(canary) else canary)
        b_s = rng.binomial(n_s, stable() if callable(stable) else stable)
        yield n_c.tolist(), n_s.tolist(), b_c.tolist(), b_s.tolist()


def follow(
    run: Drawn,
    margin: float,
    *,
    spread: float = 0.0,
    limit: float = math.inf,
    least: int = 0,
    mixed: tuple[float, ...] = FAILING,
) -> Outcome:
    """Carries one run through its stages, looking at every window, until the evidence reaches the limit."""
    h, stages = hypotheses(margin, mixed), len(WEIGHTS)
    ch, begun, sup, bad = channel(h), 1, 0.0, 0
    idle = idle_weight(begun, stages)
    per_minute = 60 / SECONDS
    for place, (n_c, n_s, b_c, b_s) in enumerate(zip(*run, strict=True)):
        if place in STARTS[1:]:
            ch = begin_again(ch, h, later_weight(begun, stages))
            begun += 1
            idle = idle_weight(begun, stages)
        if n_c == 0 or n_s == 0 or b_c + b_s == 0:
            continue
        bad += b_c
        ch = observe(ch, h, stratum(h, n_c, n_s, spread * per_minute), b_c, b_s)
        if bad >= least:
            sup = max(sup, log_evidence(ch, idle))
        if sup >= limit:
            return Outcome(sup, bad, (place + 1) / per_minute)
    return Outcome(sup, bad, math.inf)


def crossing(sups: list[float], limit: float) -> float:
    return sum(sup >= math.log(limit) for sup in sups) / len(sups)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("margin", "runs"), [(1.0, 5000), (1.5, 2000)])
def test_a_healthy_release_is_rejected_no_more_often_than_said(margin: float, runs: int) -> None:
    """Canary exactly at its margin, the shared level jumping between 0.05 and 5 % every window, looked at each time."""
    rng = np.random.default_rng(20260105)

    class Level:
        now: np.ndarray = np.zeros(WINDOWS)

    def stable() -> np.ndarray:
        return Level.now

    def canary() -> np.ndarray:
        Level.now = np.exp(rng.uniform(math.log(0.0005), math.log(0.05), WINDOWS))
        return margin * Level.now

    sups = [follow(run, margin).sup for run in draw(rng, 50, canary, stable, runs)]
    weak, strong = crossing(sups, 20), crossing(sups, 200)
    print(f"\nmargin {margin}, {runs} runs: P(sup E >= 20) = {weak:.2%}, P(sup E >= 200) = {strong:.2%}")
    assert weak <= 0.05
    assert strong <= 0.005


def jumping(rng: np.random.Generator, low: float, high: float, margin: float) -> tuple[Callable[[], np.ndarray], ...]:
    """Canary's and stable's shares in a run: stable's jumps between these every window, canary's is at its margin."""
    levels: list[np.ndarray] = []

    def canary() -> np.ndarray:
        levels[:] = [np.exp(rng.uniform(math.log(low), math.log(high), WINDOWS))]
        return margin * levels[0]

    return canary, lambda: levels[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("rps", "mixed", "low", "high"),
    [(50, FAILING, 0.0005, 0.05), (2, SLOW, 0.01, 0.3)],
    ids=["failing requests", "slow ones of which there are few"],
)
def test_a_healthy_release_at_the_default_margin_is_rejected_no_more_often_than_said(
    rps: int, mixed: tuple[float, ...], low: float, high: float
) -> None:
    """The margin a release has that names none. Two requests a second are 30 a window: 1 % of them is mostly none."""
    rng, runs = np.random.default_rng(20261127), 5000
    drawn = draw(rng, rps, *jumping(rng, low, high, MARGIN), runs)
    sups = [follow(run, MARGIN, mixed=mixed).sup for run in drawn]
    weak, strong = crossing(sups, 20), crossing(sups, 200)
    print(f"\n{rps} rps, margin {MARGIN}, {runs} runs: P(sup E >= 20) = {weak:.2%}, P(sup E >= 200) = {strong:.2%}")
    assert weak <= 0.05
    assert strong <= 0.005


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rps", [50, 500])
@pytest.mark.parametrize(("level", "margin"), [(0.001, 1.5), (0.05, 1.25)])
@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_a_healthy_release_that_wobbles_as_before_is_rejected_in_one_percent_at_most(
    rps: int, level: float, margin: float, spread: float
) -> None:
    """Each role's share wobbles by itself from minute to minute, by the relative variance seen before the run."""
    rng, runs = np.random.default_rng(7), 200

    def wobbling() -> np.ndarray:
        minutes = rng.gamma(1 / spread, spread, WINDOWS * SECONDS // 60)
        return np.minimum(level * np.repeat(minutes, 60 // SECONDS), 1.0)

    rejected = {}
    for known in (spread, 0.0):
        drawn = draw(rng, rps, wobbling, wobbling, runs)
        rejected[known] = crossing([follow(run, margin, spread=known, limit=math.log(200)).sup for run in drawn], 200)
    print(f"\n{rps} rps, {level:.1%}, spread {spread}: {rejected[spread]:.1%}, unshrunk {rejected[0.0]:.1%}")
    assert rejected[spread] <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rps", "bad", "most"),
    [(5, 0.02, 8), (5, 0.2, 5), (50, 0.005, 20), (50, 0.02, 8), (50, 0.2, 7), (500, 0.005, 20), (500, 0.05, 15)],
)
def test_a_bad_release_is_rejected_after_few_failed_requests(rps: int, bad: float, most: int) -> None:
    """Against 0.1 % of stable: canary's failed requests until the evidence reaches 200, in the median run."""
    rng, runs = np.random.default_rng(11), 200
    found = [follow(run, 1.5, limit=math.log(200), least=3) for run in draw(rng, rps, bad, 0.001, runs)]
    failed = float(np.median([one.bad for one in found]))
    minutes = float(np.median([one.minutes for one in found]))
    detected = sum(one.sup >= math.log(200) for one in found) / runs
    print(f"\n{rps} rps, {bad:.1%}: {failed:.0f} failed, {minutes:.1f} min, {detected:.0%} rejected")
    assert failed <= most
