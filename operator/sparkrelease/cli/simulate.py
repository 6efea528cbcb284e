"""`simulate`: a release's own rules tried on made-up traffic, before they are trusted with real one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.progress import Progress

from sparkrelease.api.base import format_duration
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.options import Format, TableFormat
from sparkrelease.cli.render.simulated import describe_summary, draw_runs, render_summaries
from sparkrelease.cli.screen import WIDE, console, print_data, print_text
from sparkrelease.simulate.outcome import Summary
from sparkrelease.simulate.run import Setting, simulate
from sparkrelease.simulate.scenario import Scenario, ScenarioError, panel, parse
from sparkrelease.simulate.service import Traffic, service_of

FASTEST, SLOWEST = 0.5, 60.0
"""Seconds between two scrapes that can be simulated."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be tried: runs of each scenario with seeds from `seed` on."""

    scenarios: tuple[Scenario, ...]
    traffic: Traffic
    runs: int
    seed: int


def read_scenarios(texts: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios a person named; the panel of all when none was."""
    try:
        return tuple(parse(text) for text in texts) or panel()
    except ScenarioError as fault:
        raise CliError(ExitCode.USAGE, f"--scenario: {fault}") from fault


def traffic_of(*, rps: float, errors: float, p95: float | None, scrape: float) -> Traffic:
    """The service a person describes; CliError for what no service is like."""
    if not FASTEST <= scrape <= SLOWEST:
        raise CliError(ExitCode.USAGE, f"--scrape: {scrape:g} s; it has to be between {FASTEST:g} and {SLOWEST:g} s")
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
    found = []
    screen = console(stderr=True)
    chosen = list(scenarios)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("simulating", total=len(chosen) * wanted.runs)
        for scenario in chosen:
            progress.update(task, description=scenario.title)
            setting = Setting(manifest.spec, scenario, wanted.traffic)
            results = []
            for number in range(wanted.runs):
                results.append(simulate(setting, wanted.seed + number, story=story and number == 0))
                progress.advance(task)
            found.append(Summary(scenario, tuple(results)))
    return found


def _title(manifest: Manifest, wanted: Wanted) -> str:
    seeds = f"seed {wanted.seed}" if wanted.runs == 1 else f"seeds {wanted.seed} to {wanted.seed + wanted.runs - 1}"
    scrape = format_duration(wanted.traffic.scrape)
    name = f"{manifest.name} {manifest.spec.version}".strip()
    return f"{name}, {wanted.traffic.rps:g} requests/s, scraped every {scrape}, {seeds}"


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
