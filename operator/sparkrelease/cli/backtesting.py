"""The command `backtest`: which past, which Services, how the answer is printed."""

from __future__ import annotations

import asyncio
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from rich.progress import Progress
from typer import BadParameter

from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.config import OperatorConfig
from sparkrelease.cli.backtest.outcome import Incident, Outcome
from sparkrelease.cli.backtest.record import Recorder
from sparkrelease.cli.backtest.rewind import Control, Rewind
from sparkrelease.cli.backtest.rules import Judged, judgeable
from sparkrelease.cli.backtest.trial import Setting, Span, run_trials
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.options import Format, ReportFormat, seconds
from sparkrelease.cli.render.backtested import describe_outcome, draw_outcome, render_outcome, table_of
from sparkrelease.cli.screen import WIDE, console, print_data, print_text
from sparkrelease.ports.cluster import ObjectKey

LEAST_STEP, LONGEST_STEP = 1.0, 86400.0
"""Seconds between two looks."""

LEAST_CONTROL = timedelta(minutes=1)
"""How long ago a Service is another one than now: sooner, both would be judged by the same requests."""

_FARTHEST = timedelta(days=36525)
"""How long ago is the past of no server; times that no clock holds are farther still."""

PATIENCE = timedelta(seconds=60)
"""How long a range query may take: it answers for a chunk of instants."""

MOST_LOOKS = 1_000_000

_TIME = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class Roles:
    """Whose series are read. `control`: how long ago the same Service is taken for stable."""

    stable: str | None = None
    canary: str | None = None
    control: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which past is looked at, by whose series, and when something is known to have been wrong."""

    span: Span
    roles: Roles
    incidents: tuple[Incident, ...] = ()


# ---------------------------------------------------------------- reading what was asked


def read_time(text: str, now: datetime, option: str) -> datetime:
    """RFC 3339, UTC where no zone is given; `now`, or a span before now such as `-7d` or `-90m`."""
    said = text.strip()
    if said == "now":
        return now
    fault = f"{option}: {text!r} is no time such as 2026-11-24T10:00:00Z, -7d or now"
    if said.startswith("-"):
        span = _ago(said[1:])
        if span is None:
            raise CliError(ExitCode.USAGE, f"{fault}, at most {_FARTHEST.days} days ago")
        return now - span
    try:
        at = _TIME.validate_python(said)
    except ValidationError as broken:
        raise CliError(ExitCode.USAGE, fault) from broken
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    if now - at > _FARTHEST:
        raise CliError(ExitCode.USAGE, f"{fault}, at most {_FARTHEST.days} days ago")
    return at


def _ago(text: str) -> timedelta | None:
    """`7d`, or a span as every option takes it; None for what is none, or longer than any server remembers."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)d", text)
    try:
        size = float(found[1]) * 86400 if found is not None else seconds(text)
    except BadParameter:
        return None
    return timedelta(seconds=size) if size <= _FARTHEST.total_seconds() else None


def read_span(begin: str, end: str, step: str, now: datetime) -> Span:
    """The past to look at: whole steps of Unix time, so that windows and looks fall on the same instants."""
    size = seconds(step, "--step")
    if not LEAST_STEP <= size <= LONGEST_STEP:
        text = f"--step: {step!r} has to be between {LEAST_STEP:g} and {LONGEST_STEP:g} s; 15s is usual"
        raise CliError(ExitCode.USAGE, text)
    each = timedelta(seconds=size)
    size = each.total_seconds()
    first, last = read_time(begin, now, "--from").timestamp(), read_time(end, now, "--to").timestamp()
    span = Span(
        _unix(math.ceil(first / size) * size), _unix(math.floor(min(last, now.timestamp()) / size) * size), each
    )
    if span.begin >= span.end:
        raise CliError(ExitCode.USAGE, "--from has to be before --to, and both in the past")
    if span.looks > MOST_LOOKS:
        raise CliError(ExitCode.USAGE, f"{span.looks} looks are too many; take a longer --step or a shorter time")
    return span


def _unix(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def read_incidents(texts: Sequence[str], now: datetime) -> tuple[Incident, ...]:
    """`FROM/TO` each."""
    found = []
    for text in texts:
        begin, slash, end = text.partition("/")
        if not slash:
            raise CliError(ExitCode.USAGE, f"--incident: {text!r} is not FROM/TO")
        found.append(Incident(read_time(begin, now, "--incident"), read_time(end, now, "--incident")))
        if found[-1].begin >= found[-1].end:
            raise CliError(ExitCode.USAGE, f"--incident: {text!r} ends before it begins")
    return tuple(found)


def roles_of(stable: str | None, canary: str | None, control: str | None) -> Roles:
    """Both Services or none; a control stands in for stable alone."""
    if (stable is None) != (canary is None) and control is None:
        raise CliError(ExitCode.USAGE, "--stable and --canary go together")
    if control is None:
        return Roles(stable, canary)
    if canary is not None:
        raise CliError(ExitCode.USAGE, "--control stands in for stable where there was no canary; leave --canary out")
    ago = _ago(control.strip().removeprefix("-"))
    if ago is None:
        text = f"--control: {control!r} is no span such as 7d, at most {_FARTHEST.days} days"
        raise CliError(ExitCode.USAGE, text)
    if ago < LEAST_CONTROL:
        text = f"--control: {control!r} compares the Service with itself; say how long ago, such as 7d (at least 1m)"
        raise CliError(ExitCode.USAGE, text)
    return Roles(stable, None, ago)


# ---------------------------------------------------------------- the work


def run_backtest(
    target: Manifest,
    config: OperatorConfig,
    wanted: Wanted,
    *,
    chart: Path | None,
    form: ReportFormat,
    judge: bool,
) -> ExitCode:
    """Looks at the past, prints what came of it, draws the chart; BAD when `judge`d and the rules disappoint."""
    outcome = _outcome(target, config, wanted)
    if chart is not None:
        _save(chart, draw_outcome(outcome))
    if form is ReportFormat.JSON:
        print_data(describe_outcome(outcome), Format.JSON)
    elif form is ReportFormat.CSV:
        sys.stdout.write(table_of(outcome))
    else:
        print_text(render_outcome(outcome), piped_width=WIDE)
    return ExitCode.BAD if judge and outcome.disappoints else ExitCode.FINE


def _outcome(target: Manifest, config: OperatorConfig, wanted: Wanted) -> Outcome:
    server, roles = config.servers[target.spec.prometheus], wanted.roles
    stable = roles.stable or target.spec.traffic.stable.service
    control = Control(f"{stable}-then", roles.control, server.labels.service) if roles.control is not None else None
    canary = roles.canary or stable
    judged = judgeable(target.spec, stable=control.service if control is not None else stable, canary=canary)
    if not (judged.spec.triggers or judged.spec.thresholds or judged.spec.comparison):
        why = "; ".join(f"{name}: {text}" for name, text in sorted(judged.left_out.items()))
        raise CliError(ExitCode.USAGE, f"no rule can be judged. {why}")
    patient = server.model_copy(update={"timeout": max(server.timeout, PATIENCE)})
    servers = {**config.servers, target.spec.prometheus: patient}
    looking = config.model_copy(update={"tick": wanted.span.step, "servers": servers})
    return _tried(target, looking, wanted, judged, control)


def _tried(
    target: Manifest, config: OperatorConfig, wanted: Wanted, judged: Judged, control: Control | None
) -> Outcome:
    span = wanted.span
    source = PrometheusSource(config.servers)
    rewind = Rewind(source, span.begin, span.end, control)
    recorder = Recorder(judged.spec, span.begin, span.end, span.step, wanted.incidents)
    key = ObjectKey(target.namespace, target.name)
    screen = console(stderr=True)
    try:
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("looking back", total=span.looks)
            setting = Setting(key, judged.spec, config, rewind, span)
            problem = asyncio.run(run_trials(setting, recorder, lambda: progress.advance(task)))
    finally:
        source.close()
    if problem is not None:
        raise CliError(ExitCode.UNREACHABLE, problem.message)
    return Outcome(
        release=f"{target.namespace}/{target.name} {target.spec.version}",
        begin=span.begin,
        end=span.end,
        step=span.step,
        stages=sum((stage.duration for stage in judged.spec.stages), timedelta(0)),
        rules=tuple(recorder.rules.values()),
        trials=recorder.trials,
        told=tuple(recorder.told),
        untold=recorder.untold,
        lines=recorder.lines(),
        left_out=judged.left_out,
        queries=rewind.asked,
    )


def _save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise CliError(ExitCode.USAGE, f"{file} cannot be written: {fault}") from fault
    sys.stderr.write(f"chart: {file}\n")
