"""What the verdicts are held against, and whether they reach it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.verdicts.cells import BASE_ERRORS, ERRORS, HEALTHY, RATES, SLOWER, Cell
from bench.verdicts.engine import NAME
from bench.verdicts.figures import Figure, Figures
from bench.verdicts.others import ORACLE, TOLERANT
from bench.verdicts.peers.oracle import wald

CLEAN, NOISY, INCIDENT = HEALTHY


@dataclass(frozen=True)
class Verdict:
    """One goal: what was found, and whether it is reached; None where it was not measured."""

    goal: str
    found: str
    reached: bool | None

    def row(self) -> tuple[str, str, str]:
        """For the table."""
        word = "not measured" if self.reached is None else "reached" if self.reached else "**not reached**"
        return self.goal, self.found, word


def goals(main: Figures, fast: Figures) -> Iterator[Verdict]:
    """Every goal, in the order people ask."""
    for scenario in (CLEAN, NOISY):
        cells = [Cell(scenario, rps) for rps in RATES]
        yield _false(main, cells, f"false rollbacks, {scenario.title}, at 5, 50 and 500 requests/s: <= 1 %", 1.0)
    kept = [Cell(INCIDENT, rps, control=True) for rps in RATES]
    yield _false(main, kept, "false rollbacks in an incident of both, 1 % control kept: <= 2 %", 2.0)
    for rps in RATES[1:]:
        for scenario in ERRORS:
            limit = 2.0 if scenario.errors == 0.005 else 1.5
            yield _lost(main, Cell(scenario, rps), limit)
    for scenario, limit in ((SLOWER[3], 2.0), (SLOWER[1], 4.0)):
        yield _lost(main, Cell(scenario, 500.0), limit)
    strong = Cell(ERRORS[4], 50.0).name
    yield _soon(main, strong, NAME, "20 % errors at 50 requests/s rolled back, scraped every 15 s: <= 60 s", 60.0)
    for rule in fast.get(strong, {}):
        yield _soon(fast, strong, rule, f"the same, scraped every second, {rule}: <= 10 s", 10.0, bound=soonest(rule))


def _false(main: Figures, cells: Sequence[Cell], goal: str, limit: float) -> Verdict:
    found = [main.get(cell.name, {}).get(NAME) for cell in cells]
    told = ", ".join("-" if one is None else f"{one.back} of {one.runs}" for one in found)
    measured = [one for one in found if one is not None]
    return Verdict(goal, told, all(one.share <= limit for one in measured) if measured else None)


def _lost(main: Figures, cell: Cell, limit: float) -> Verdict:
    rules = main.get(cell.name, {})
    ours, best = rules.get(NAME), rules.get(ORACLE)
    what = "slow" if cell.by_requests else "failed"
    goal = f"{what} requests until rollback, {cell.scenario.title}, {cell.rps:g}/s: <= {limit:g}x the oracle"
    if ours is None or best is None:
        return Verdict(goal, "-", None)
    ratio = times(ours, best)
    caught = f", {ours.share:.0f} % caught" if ours.back < ours.runs else ""
    tolerant = rules.get(TOLERANT)
    known = f"; an oracle with the margin: {tolerant.lost:,.0f}" if tolerant is not None and ratio > limit else ""
    return Verdict(goal, f"{multiple(ratio)} ({ours.lost:,.0f} of {best.lost:,.0f}{caught}{known})", ratio <= limit)


def soonest(rule: str) -> float:
    """Seconds until a canary of `from W %` has had the requests that any test needs, and the scrape after them."""
    share = float(rule.split()[1]) / 100
    worst = ERRORS[4].errors or 0.0
    needed = wald(np.array([1 - worst, worst]), np.array([1 - BASE_ERRORS, BASE_ERRORS]))
    return needed / (50.0 * share) + 1.0


def _soon(section: Figures, cell: str, rule: str, goal: str, limit: float, *, bound: float = 0.0) -> Verdict:
    one = section.get(cell, {}).get(rule)
    if one is None:
        return Verdict(goal, "-", None)
    after = None if one.after is None else 60 * one.after
    told = "never" if after is None else f"median {after:.0f} s, {one.lost:.0f} failed"
    if bound > limit:
        told += f"; no test can: its requests alone take {bound:.0f} s"
    return Verdict(goal, told, after is not None and after <= limit)


def times(one: Figure, best: Figure) -> float:
    """How many times as many requests were lost as the oracle loses."""
    return one.lost / max(best.lost, 1.0)


def multiple(ratio: float) -> str:
    """`1.3x`, `12x`, `2,400x`."""
    return f"{ratio:.1f}x" if ratio < 9.95 else f"{ratio:,.0f}x"
