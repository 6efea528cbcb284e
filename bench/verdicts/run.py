"""Carries a pass out on all cores, keeps its figures and writes the page."""

from __future__ import annotations

import datetime as dt
import os
import resource
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from bench.results import this_machine
from bench.screen import Screen
from bench.verdicts import figures, page
from bench.verdicts.cells import of_cell
from bench.verdicts.engine import Job, work
from bench.verdicts.figures import Figures, Found, figure
from bench.verdicts.others import Run, try_others
from bench.verdicts.tries import Try, everything

DOCS = Path(__file__).parent.parent.parent / "docs"
CHUNK = 10
"""Runs a process makes at a time."""

FEWEST = 10
"""Runs of a cell at least, where the pass has that many."""


def run(screen: Screen, runs: int, *, sections: Sequence[str] = (), only_page: bool = False) -> None:
    """One pass of `runs` runs per healthy cell, or only the page from the last one.

    With `sections` only these are carried out, and the figures of the others are kept.
    """
    if not only_page:
        begin = _cpu()
        before = figures.load() if sections else None
        tries = [one for one in everything() if not sections or one.section in sections]
        found = {**(before.sections if before else {}), **_carried_out(screen, tries, runs)}
        at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M")
        seconds = _cpu() - begin + (before.seconds if before else 0.0)
        figures.save(Found(found, this_machine(), at, seconds))
    kept = figures.load()
    if kept is None:
        screen.say("no verdicts yet: run `make bench ARGS=verdicts`")
        return
    page.write(kept, DOCS)
    screen.say("written: docs/verdicts.md")


def _cpu() -> float:
    """Seconds of processor time of this process and of those it has waited for."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _carried_out(screen: Screen, tries: list[Try], runs: int) -> dict[str, Figures]:
    wanted = [max(min(runs, FEWEST), round(runs * one.part)) for one in tries]
    found: list[dict[str, list[Run]]] = [{} for _ in tries]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        others = {pool.submit(try_others, one.cell, one.variant, runs): place for place, one in _with_others(tries)}
        parts: dict[Future[list[Run]], tuple[tuple[int, ...], int]] = {}
        for places in alike(tries):
            one, most = tries[places[0]], max(wanted[place] for place in places)
            for first in range(0, most, CHUNK):
                job = Job(one.cell, one.variant, first, min(CHUNK, most - first), one.scrape, one.spec)
                parts[pool.submit(work, job)] = (places, first)
        _wait(screen, [*others, *parts])
    for made, place in others.items():
        found[place] |= made.result()
    for part, (places, _) in sorted(parts.items(), key=lambda item: item[1]):
        for place in places:
            known = found[place].setdefault(tries[place].rule, [])
            known += part.result()[: wanted[place] - len(known)]
    sections: dict[str, Figures] = {}
    for one, rules in zip(tries, found, strict=True):
        cell = sections.setdefault(one.section, {}).setdefault(one.cell.name, {})
        cell |= {rule: figure(one.cell, runs_made) for rule, runs_made in rules.items()}
    return sections


def alike(tries: Sequence[Try]) -> list[tuple[int, ...]]:
    """Places of the tries whose runs are the same: the longest of them is carried out, the others are its beginning."""
    found: dict[tuple[object, ...], list[int]] = {}
    for place, one in enumerate(tries):
        spec = (one.spec or of_cell(one.cell)).model_dump_json()
        found.setdefault((one.cell, one.variant.name, one.scrape, spec), []).append(place)
    return [tuple(places) for places in found.values()]


def _with_others(tries: Sequence[Try]) -> list[tuple[int, Try]]:
    return [(place, one) for place, one in enumerate(tries) if one.others]


def _wait(screen: Screen, waiting: Sequence[Future[Any]]) -> None:
    with screen.steps("verdicts", len(waiting)) as told:
        for done, future in enumerate(as_completed(waiting), start=1):
            future.result()
            told(done)
