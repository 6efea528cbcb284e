"""Carries a pass out on all cores, keeps its figures and writes the page."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from bench.results import this_machine
from bench.screen import Screen
from bench.verdicts import figures, page
from bench.verdicts.cells import of_cell
from bench.verdicts.engine import Job, work
from bench.verdicts.figures import Figure, Figures, Found, figure
from bench.verdicts.others import ORACLE, RULES, TOLERANT, Run, try_others
from bench.verdicts.tries import Try, everything

DOCS = Path(__file__).parent.parent.parent / "docs"
CHUNK = 10
"""Runs a process makes at a time."""

FEWEST = 10
"""Runs of a cell at least, where the pass has that many."""

_Answer = tuple[dict[str, list[Run]], float]
"""Runs by rule, ours without its name, and the processor time they took."""


def run(
    screen: Screen, runs: int, *, sections: Sequence[str] = (), go_on: bool = False, only_page: bool = False
) -> None:
    """One pass of `runs` runs per healthy cell, or only the page from the last one.

    With `sections` only these are carried out, and the figures of the others are kept. What is done is kept at once: a
    pass that was interrupted is taken up again with `go_on`, which carries out what the figures lack.
    """
    if not only_page:
        kept = figures.load() if sections or go_on else None
        tries = [one for one in everything() if not sections or one.section in sections]
        if go_on and kept is not None:
            tries = [one for one in tries if lacks(kept.sections, one, runs)]
        _carry_out(screen, tries, runs, kept)
    found = figures.load()
    if found is None:
        screen.say("no verdicts yet: run `make bench ARGS=verdicts`")
        return
    page.write(found, DOCS)
    screen.say("written: docs/verdicts.md")


def lacks(sections: Mapping[str, Figures], one: Try, runs: int) -> bool:
    """Whether figures have not all that a try finds in a pass of so many runs."""
    found = sections.get(one.section, {}).get(one.cell.name, {})
    ours = found.get(one.rule)
    others = [rule for rule in RULES if rule not in {ORACLE, TOLERANT}] if one.others else []
    return (
        ours is None
        or ours.runs != wanted(one, runs)
        or any(rule not in found or found[rule].runs != runs for rule in others)
    )


def wanted(one: Try, runs: int) -> int:
    """Runs of a try in a pass of so many."""
    return max(min(runs, FEWEST), round(runs * one.part))


@dataclass
class _Piece:
    """Jobs that belong together, and the tries whose figures come of them."""

    tries: Sequence[Try]
    jobs: Sequence[Future[_Answer]]
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.jobs)

    def figures_of(self, one: Try, runs: int) -> dict[str, Figure]:
        """By rule, once all jobs are done."""
        made: dict[str, list[Run]] = {}
        for job in self.jobs:
            for rule, part in job.result()[0].items():
                made.setdefault(rule or one.rule, []).extend(part)
        return {r: figure(one.cell, part[: wanted(one, runs)] if r == one.rule else part) for r, part in made.items()}


def _carry_out(screen: Screen, tries: Sequence[Try], runs: int, kept: Found | None) -> None:
    """Keeps the figures of every piece as soon as it is done."""
    sections = dict(kept.sections) if kept is not None else {}
    seconds = kept.seconds if kept is not None else 0.0
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        owners = {job: piece for piece in _pieces(pool, tries, runs) for job in piece.jobs}
        with screen.steps("verdicts", len(owners)) as told:
            for done, job in enumerate(as_completed(owners), start=1):
                piece = owners[job]
                seconds += job.result()[1]
                piece.left -= 1
                if not piece.left:
                    for one in piece.tries:
                        cell = sections.setdefault(one.section, {}).setdefault(one.cell.name, {})
                        cell.update(piece.figures_of(one, runs))
                    at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M")
                    figures.save(Found(_in_order(sections), this_machine(), at, seconds))
                told(done)


def _pieces(pool: ProcessPoolExecutor, tries: Sequence[Try], runs: int) -> Iterator[_Piece]:
    for one in tries:
        if one.others:
            yield _Piece((one,), [pool.submit(_others, one, runs)])
    for same in alike(tries):
        one, most = same[0], max(wanted(each, runs) for each in same)
        parts = [(first, min(CHUNK, most - first)) for first in range(0, most, CHUNK)]
        jobs = [Job(one.cell, one.variant, first, size, one.scrape, one.spec) for first, size in parts]
        yield _Piece(same, [pool.submit(_ours, job) for job in jobs])


def alike(tries: Sequence[Try]) -> list[tuple[Try, ...]]:
    """Tries whose runs are the same, together: the longest is carried out, the others are its beginning."""
    found: dict[tuple[object, ...], list[Try]] = {}
    for one in tries:
        spec = (one.spec or of_cell(one.cell)).model_dump_json()
        found.setdefault((one.cell, one.variant.name, one.scrape, spec), []).append(one)
    return [tuple(same) for same in found.values()]


def _in_order(sections: Mapping[str, Figures]) -> dict[str, Figures]:
    """As the tries are ordered, whichever was done first; without what is no longer tried."""
    found: dict[str, Figures] = {}
    for one in everything():
        known = sections.get(one.section, {}).get(one.cell.name, {})
        cell = found.setdefault(one.section, {}).setdefault(one.cell.name, {})
        cell |= {rule: known[rule] for rule in (*(RULES if one.others else ()), one.rule) if rule in known}
    return {section: kept for section, cells in found.items() if (kept := {c: r for c, r in cells.items() if r})}


def _others(one: Try, runs: int) -> _Answer:
    begin = time.process_time()
    return try_others(one.cell, one.variant, runs), time.process_time() - begin


def _ours(job: Job) -> _Answer:
    begin = time.process_time()
    return {"": work(job)}, time.process_time() - begin
