"""Carries a pass out on all cores, keeps its figures and writes the page."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from bench.results import this_machine
from bench.screen import Screen
from bench.verdicts import figures, page
from bench.verdicts.engine import Job, work
from bench.verdicts.figures import Figures, Found, figure
from bench.verdicts.others import Run, try_others
from bench.verdicts.tries import Try, everything

DOCS = Path(__file__).parent.parent.parent / "docs"
CHUNK = 10
"""Runs a process makes at a time."""

FEWEST = 10
"""Runs of a cell at least, where the pass has that many."""

Answer = dict[str, list[Run]]


def run(screen: Screen, runs: int, *, sections: Sequence[str] = (), only_page: bool = False) -> None:
    """One pass of `runs` runs per healthy cell, or only the page from the last one.

    With `sections` only these are carried out, and the figures of the others are kept.
    """
    if not only_page:
        begin = time.monotonic()
        before = figures.load() if sections else None
        tries = [one for one in everything() if not sections or one.section in sections]
        found = {**(before.sections if before else {}), **_carried_out(screen, tries, runs)}
        at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M")
        seconds = time.monotonic() - begin + (before.seconds if before else 0.0)
        figures.save(Found(found, this_machine(), at, seconds))
    kept = figures.load()
    if kept is None:
        screen.say("no verdicts yet: run `make bench ARGS=verdicts`")
        return
    page.write(kept, DOCS)
    screen.say("written: docs/verdicts.md")


def _carried_out(screen: Screen, tries: list[Try], runs: int) -> dict[str, Figures]:
    found: list[dict[str, dict[int, list[Run]]]] = [{} for _ in tries]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        waiting: dict[Future[Answer], tuple[int, int]] = {}
        for place, one in enumerate(tries):
            waiting |= {future: (place, first) for first, future in _sent(pool, one, runs)}
        with screen.steps("verdicts", len(waiting)) as told:
            for done, future in enumerate(as_completed(waiting), start=1):
                place, first = waiting[future]
                for rule, part in future.result().items():
                    found[place].setdefault(rule, {})[first] = part
                told(done)
    sections: dict[str, Figures] = {}
    for one, rules in zip(tries, found, strict=True):
        cell = sections.setdefault(one.section, {}).setdefault(one.cell.name, {})
        for rule, parts in rules.items():
            cell[rule] = figure(one.cell, [run for first in sorted(parts) for run in parts[first]])
    return sections


def _sent(pool: ProcessPoolExecutor, one: Try, runs: int) -> Iterator[tuple[int, Future[Answer]]]:
    if one.others:
        yield 0, pool.submit(try_others, one.cell, one.variant, runs)
    wanted = max(min(runs, FEWEST), round(runs * one.part))
    for first in range(0, wanted, CHUNK):
        job = Job(one.cell, one.variant, first, min(CHUNK, wanted - first), one.scrape, one.spec)
        yield first, pool.submit(_work, job, one.rule)


def _work(job: Job, rule: str) -> Answer:
    return {rule: work(job)}
