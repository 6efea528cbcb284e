"""`simulate`: a release's own rules tried on made-up traffic, before they are trusted with real one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from rich.progress import Progress

from sparkrelease.api.base import format_duration
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.options import Format, TableFormat
from sparkrelease.cli.render.simulated import describe_summary, draw_runs, render_kinds, render_summaries
from sparkrelease.cli.render.words import count
from sparkrelease.cli.screen import WIDE, console, print_data, print_text
from sparkrelease.simulate.outcome import Result, Summary
from sparkrelease.simulate.run import Batch, Setting, simulate_batch
from sparkrelease.simulate.scenario import MOST, Scenario, ScenarioError, a_second, panel, parse
from sparkrelease.simulate.service import Traffic, service_of

FASTEST, SLOWEST = 0.5, 60.0
"""Seconds between two scrapes that can be simulated."""

LONGEST_P95 = 3600.0
"""Seconds."""

_ALONE = 16
"""Runs that are sooner made than other processes started."""

_TOGETHER = 4
"""Runs a process is given at a time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be tried: runs of each scenario with seeds from `seed` on."""

    scenarios: tuple[Scenario, ...]
    traffic: Traffic
    runs: int
    seed: int


def list_scenarios() -> None:
    """Prints every kind of scenario, what it does, and what it should end with."""
    print_text(render_kinds(), piped_width=WIDE)


def read_scenarios(texts: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios a person named; the panel of all when none was."""
    try:
        return tuple(parse(text) for text in texts) or panel()
    except ScenarioError as fault:
        raise CliError(ExitCode.USAGE, f"--scenario: {fault}") from fault


def traffic_of(*, rps: float, errors: float, p95: float | None, scrape: float) -> Traffic:
    """The service a person describes; CliError for what no service is like."""
    told = (
        ("--rps", rps, 0.01, MOST, " a second"),
        ("--errors", errors, 0.0, 0.5, ""),
        ("--p95", p95, 0.0001, LONGEST_P95, " s"),
        ("--scrape", scrape, FASTEST, SLOWEST, " s"),
    )
    for option, value, low, high, unit in told:
        if value is not None and not low <= value <= high:  # so said that it holds for nan, too
            fault = f"{option}: {value:g}{unit}; it has to be between {low:g} and {high:,g}{unit}"
            raise CliError(ExitCode.USAGE, fault)
    return Traffic(rps=rps, errors=errors, p95=p95, scrape=timedelta(seconds=scrape))


def run_simulation(
    manifest: Manifest, wanted: Wanted, *, chart: Path | None, form: TableFormat, judge: bool
) -> ExitCode:
    """Tries every scenario, prints what came of it, draws the chart; BAD when `judge`d and a scenario disappoints."""
    shown, skipped = _possible(manifest, wanted)
    if not shown:
        raise CliError(ExitCode.USAGE, "; ".join(f"{name}: {why}" for name, why in skipped))
    summaries = _tried(manifest, wanted, shown, story=chart is not None)
    title = _title(manifest, wanted)
    if chart is not None:
        _save(chart, draw_runs(title, summaries))
    if form is TableFormat.JSON:
        print_data(_described(manifest, wanted, summaries, skipped), Format.JSON)
    else:
        print_text(render_summaries(title, summaries, skipped), piped_width=WIDE)
    return ExitCode.BAD if judge and any(summary.disappoints for summary in summaries) else ExitCode.FINE


def _possible(manifest: Manifest, wanted: Wanted) -> tuple[list[Scenario], list[tuple[str, str]]]:
    """The scenarios that would show in some metric of the release, and why the others would not."""
    service = service_of(manifest.spec, wanted.traffic)
    shown, skipped = [], []
    for scenario in wanted.scenarios:
        why = service.can(errors=scenario.errors is not None, latency=scenario.slower != 1.0, leak=scenario.leak > 0)
        if why is None:
            shown.append(scenario)
        else:
            skipped.append((scenario.title, why))
    return shown, skipped


def _tried(manifest: Manifest, wanted: Wanted, scenarios: Iterable[Scenario], *, story: bool) -> list[Summary]:
    """Every run of every scenario, on all cores where there are many. The results are those of one process."""
    chosen = list(scenarios)
    batches = [
        Batch(Setting(manifest.spec, scenario, wanted.traffic), wanted.seed + first, size, story and first == 0)
        for scenario in chosen
        for first in range(0, wanted.runs, _TOGETHER)
        for size in (min(_TOGETHER, wanted.runs - first),)
    ]
    screen, total = console(stderr=True), len(chosen) * wanted.runs
    cores = min(_cores(), len(batches))
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(f"{count(total, 'run')} of {count(len(chosen), 'scenario')}", total=total)

        def told(batch: Batch) -> None:
            progress.advance(task, batch.runs)

        found = _by_turns(batches, told) if total <= _ALONE or cores == 1 else _side_by_side(batches, cores, told)
    each = -(-wanted.runs // _TOGETHER)
    return [
        Summary(scenario, tuple(chain.from_iterable(found[each * place : each * (place + 1)])))
        for place, scenario in enumerate(chosen)
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_turns(batches: Sequence[Batch], told: Callable[[Batch], None]) -> list[tuple[Result, ...]]:
    found = []
    for batch in batches:
        found.append(simulate_batch(batch))
        told(batch)
    return found


def _side_by_side(batches: Sequence[Batch], cores: int, told: Callable[[Batch], None]) -> list[tuple[Result, ...]]:
    """A process a core, started afresh: a copy of this one would have its threads' locks and not its threads."""
    pool = ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    try:
        futures = {pool.submit(simulate_batch, batch): place for place, batch in enumerate(batches)}
        for done in as_completed(futures):
            done.result()
            told(batches[futures[done]])
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that started this one; it stops the rest."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _title(manifest: Manifest, wanted: Wanted) -> str:
    seeds = f"seed {wanted.seed}" if wanted.runs == 1 else f"seeds {wanted.seed} to {wanted.seed + wanted.runs - 1}"
    scrape = format_duration(wanted.traffic.scrape)
    name = f"{manifest.name} {manifest.spec.version}".strip()
    return f"{name}, {a_second(wanted.traffic.rps)}, scraped every {scrape}, {seeds}"


def _described(
    manifest: Manifest, wanted: Wanted, summaries: Sequence[Summary], skipped: Sequence[tuple[str, str]]
) -> dict[str, object]:
    return {
        "release": manifest.name,
        "version": manifest.spec.version,
        "rps": wanted.traffic.rps,
        "scrapeSeconds": wanted.traffic.scrape.total_seconds(),
        "seed": wanted.seed,
        "scenarios": [describe_summary(summary) for summary in summaries],
        "notTried": [{"scenario": name, "why": why} for name, why in skipped],
    }


def _save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise CliError(ExitCode.USAGE, f"{file} cannot be written: {fault}") from fault
    sys.stderr.write(f"chart: {file}\n")
