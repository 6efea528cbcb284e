"""What the verdicts are held against, and whether they reach it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bench.verdicts.cells import BASE_ERRORS, ERRORS, HEALTHY, LATE, RATES, SLOWER, Cell
from bench.verdicts.engine import NAME
from bench.verdicts.figures import Figure, Figures
from bench.verdicts.others import ORACLE, TOLERANT
from bench.verdicts.peers.oracle import wald
from bench.verdicts.tries import FAST, WARM, WEIGHTS

CLEAN, NOISY, INCIDENT = HEALTHY
STRONGEST = ERRORS[4].errors or 0.0
RPS = 50.0
"""Requests a second where it is measured how soon the strongest defect is found."""


class Reached(StrEnum):
    """How a goal stands."""

    YES = "reached"
    SO_FAR = "reached in these runs"
    """So few went back for nothing, but of so few runs that a larger share cannot be excluded."""
    NO = "**not reached**"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Verdict:
    """One goal, what was found, and whether it is reached."""

    goal: str
    found: str
    reached: Reached


def goals(main: Figures, fast: Figures, rule: str = NAME) -> Iterator[Verdict]:
    """Every goal, in the order people ask, for one of our own rules."""
    for scenario in (CLEAN, NOISY):
        cells = [Cell(scenario, rps) for rps in RATES]
        goal = f"false rollbacks, {scenario.title}, at 5, 50 and 500 requests/s: <= 1 %"
        yield _false(main, cells, rule, goal, 1.0)
    kept = [Cell(INCIDENT, rps, control=True) for rps in RATES]
    yield _false(main, kept, rule, "false rollbacks in an incident of both, 1 % control kept: <= 2 %", 2.0)
    for rps in RATES[1:]:
        for scenario in ERRORS:
            limit = 2.0 if scenario.errors == 0.005 else 1.5
            yield _lost(main, Cell(scenario, rps), rule, limit)
    for rps in RATES[1:]:
        yield _lost(main, Cell(LATE, rps), rule, 1.5)
    for scenario, limit in ((SLOWER[3], 2.0), (SLOWER[1], 4.0)):
        yield _lost(main, Cell(scenario, 500.0), rule, limit)
    strong = Cell(ERRORS[4], 50.0).name
    yield _soon(main, strong, rule, "20 % errors at 50 requests/s rolled back, scraped every 15 s: <= 60 s", 60.0)
    for weight in WEIGHTS:
        begins = f"from {weight} %"
        goal = f"the same, scraped every second, {begins}: <= 10 s"
        place = begins if rule == NAME else begins + WARM
        yield _soon(fast, strong, place, goal, 10.0, bound=soonest(weight))


def _false(main: Figures, cells: Sequence[Cell], rule: str, goal: str, limit: float) -> Verdict:
    found = [main.get(cell.name, {}).get(rule) for cell in cells]
    measured = [one for one in found if one is not None]
    if not measured:
        return Verdict(goal, "-", Reached.UNKNOWN)
    told = ", ".join("-" if one is None else f"{one.back} of {one.runs}" for one in found)
    most = max(one.at_most for one in measured)
    word = Reached.YES if most <= limit else Reached.SO_FAR
    if any(one.share > limit for one in measured):
        word = Reached.NO
    return Verdict(goal, f"{told}; surely not above {most:.2g} %", word)


def _lost(main: Figures, cell: Cell, rule: str, limit: float) -> Verdict:
    rules = main.get(cell.name, {})
    ours, best = rules.get(rule), rules.get(ORACLE)
    what = "slow" if cell.by_requests else "failed"
    goal = f"{what} requests until rollback, {cell.scenario.title}, {cell.rps:g}/s: <= {limit:g}x the oracle"
    if ours is None or best is None:
        return Verdict(goal, "-", Reached.UNKNOWN)
    ratio = times(ours, best)
    caught = f", {ours.share:.0f} % caught" if ours.back < ours.runs else ""
    tolerant = rules.get(TOLERANT)
    known = f"; an oracle with the margin: {tolerant.lost:,.0f}" if tolerant is not None and ratio > limit else ""
    told = f"{multiple(ratio)} ({ours.lost:,.0f} of {best.lost:,.0f}{caught}{known})"
    return Verdict(goal, told, Reached.YES if ratio <= limit else Reached.NO)


def soonest(weight: float) -> float:
    """Seconds until canary has had the requests that any test needs at this weight (percent), and the scrape after."""
    needed = wald(np.array([1 - STRONGEST, STRONGEST]), np.array([1 - BASE_ERRORS, BASE_ERRORS]))
    return needed / (RPS * weight / 100) + FAST


def _soon(section: Figures, cell: str, rule: str, goal: str, limit: float, *, bound: float = 0.0) -> Verdict:
    one = section.get(cell, {}).get(rule)
    if one is None:
        return Verdict(goal, "-", Reached.UNKNOWN)
    after = None if one.after is None else 60 * one.after
    soon = f"median {seconds(one.after)}, 95 % of the runs {seconds(one.after_95)}"
    told = "never" if after is None else f"{soon}, {one.lost:.0f} failed"
    if bound > limit:
        told += f"; no test can: its requests alone take {bound:.0f} s"
    return Verdict(goal, told, Reached.YES if after is not None and after <= limit else Reached.NO)


def seconds(minutes: float | None) -> str:
    """Minutes until a rollback in seconds, or that there is none."""
    return "never" if minutes is None else f"{60 * minutes:.0f} s"


def times(one: Figure, best: Figure) -> float:
    """How many times as many requests were lost as the oracle loses."""
    return one.lost / max(best.lost, 1.0)


def multiple(ratio: float) -> str:
    """`1.3x`, `12x`, `2,400x`."""
    return f"{ratio:.1f}x" if ratio < 9.95 else f"{ratio:,.0f}x"
