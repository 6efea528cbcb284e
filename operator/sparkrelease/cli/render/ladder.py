"""The stages of a release, one line each: passed, under way, to come; and the steps of the way back to stable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from sparkrelease.api.status import Outcome, Run, SparkReleaseStatus, StageStatus
from sparkrelease.cli.render.words import Tone, given, say, span
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.stages import effective_weight, level
from sparkrelease.decide.watching import STAGE as WATCH

BAR = 16
"""Characters of a progress bar."""

_MARKS = {Tone.GOOD: "✔", Tone.BAD: "✖", Tone.BUSY: "▸", Tone.CAUTION: "‖", Tone.QUIET: "·"}


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the ladder. `done` is the share of `length` that was observed, from 0 to 1."""

    name: str
    weight: float
    tone: Tone
    done: float
    time: str
    mirror: float = 0.0


def rungs(spec: ResolvedSpec, status: SparkReleaseStatus, now: datetime) -> tuple[Rung, ...]:
    """The declared stages, the watch, then, once the run is promoted, the steps back to stable."""
    run = status.run
    steps = _steps(spec, run, status.stage, now) if run and run.promoted_at else ()
    return (*_stages(spec, status, now), *_watch(spec, status, now), *steps)


def _watch(spec: ResolvedSpec, status: SparkReleaseStatus, now: datetime) -> Iterator[Rung]:
    """The watch at the last weight, where one is declared."""
    if spec.watch is None:
        return
    run, weight, length = status.run, effective_weight(spec, spec.stages[-1]), spec.watch.duration
    rollback = status.rollback
    if status.watch is not None and status.stage is not None:
        rung = _under_way(WATCH, weight, length, status.stage, now)
        yield replace(rung, time=f"{rung.time}, {status.watch.check} of {status.watch.of} checks")
    elif run and rollback and (rollback.run, rollback.stage) == (run.id, WATCH):
        yield Rung(WATCH, weight, Tone.BAD, 0.0, "rolled back here")
    elif run and (run.promoted_at is not None or run.end is Outcome.SETTLED):
        yield Rung(WATCH, weight, Tone.GOOD, 1.0, span(length))
    else:
        yield Rung(WATCH, weight, Tone.QUIET, 0.0, span(length))


def _stages(spec: ResolvedSpec, status: SparkReleaseStatus, now: datetime) -> Iterator[Rung]:
    run, at = status.run, status.stage
    at_stages = run is not None and run.promoted_at is None and run.end is None and status.watch is None
    under_way = at if at_stages else None
    stopped = status.rollback.stage if run and status.rollback and status.rollback.run == run.id else ""
    names = [stage.name for stage in spec.stages]
    passed = names.index(stopped) if stopped in names else _passed(run, under_way, len(names))
    for number, stage in enumerate(spec.stages, start=1):
        weight, mirror = level(spec, stage)
        if under_way is not None and number == under_way.index:
            # After a step back below the first stage there is neither weight nor mirror.
            rung = _under_way(stage.name, min(weight, status.weight.desired), stage.duration, under_way, now)
            yield replace(rung, mirror=status.weight.mirror or 0.0)
        elif stage.name == stopped:
            yield Rung(stage.name, weight, Tone.BAD, 0.0, "rolled back here", mirror)
        elif number <= passed:
            yield Rung(stage.name, weight, Tone.GOOD, 1.0, span(stage.duration), mirror)
        else:
            yield Rung(stage.name, weight, Tone.QUIET, 0.0, span(stage.duration), mirror)


def _passed(run: Run | None, under_way: StageStatus | None, stages: int) -> int:
    """Stages behind the run. A promoted run is past all of them, whether their gates passed or were skipped."""
    if run is None:
        return 0
    if run.promoted_at is not None or run.end is Outcome.SETTLED:
        return stages
    return under_way.index - 1 if under_way is not None else run.gates_passed


def _steps(spec: ResolvedSpec, run: Run, at: StageStatus | None, now: datetime) -> Iterator[Rung]:
    top = spec.stages[-1].weight
    for number, weight in enumerate((step for step in spec.settle.steps if step < top), start=1):
        name = f"settle-{weight:g}"
        if run.end is Outcome.SETTLED or (at is not None and number < at.index):
            yield Rung(name, weight, Tone.GOOD, 1.0, span(spec.settle.interval))
        elif at is not None and number == at.index:
            yield _under_way(name, weight, spec.settle.interval, at, now)
        else:
            yield Rung(name, weight, Tone.QUIET, 0.0, span(spec.settle.interval))


def _under_way(name: str, weight: float, length: timedelta, at: StageStatus, now: datetime) -> Rung:
    seconds = length.total_seconds()
    done = min(at.observed.total_seconds() / seconds, 1.0) if seconds > 0 else 1.0
    text = f"{span(at.observed)} of {span(length)}"
    if at.stalled_since is None:
        return Rung(name, weight, Tone.BUSY, done, text)
    return Rung(name, weight, Tone.CAUTION, done, f"{text}, stopped {span(now - at.stalled_since)}")


def render_ladder(lines: tuple[Rung, ...]) -> RenderableType:
    """The ladder as a table."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold", max_width=28)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, width=BAR)
    table.add_column(overflow="fold")
    for line in lines:
        current = line.tone in {Tone.BUSY, Tone.CAUTION, Tone.BAD}
        weight = Tone.STRONG if current else Tone.QUIET if line.tone is Tone.QUIET else Tone.PLAIN
        table.add_row(
            say(_MARKS[line.tone], line.tone),
            say(line.name, Tone.STRONG if current else line.tone if line.tone is Tone.QUIET else Tone.PLAIN),
            say(given(line.weight, line.mirror), weight),
            _bar(line),
            say(line.time, line.tone if current else Tone.QUIET),
        )
    return table


def _bar(line: Rung) -> RenderableType:
    tone = line.tone.value
    return ProgressBar(total=1.0, completed=line.done, width=BAR, complete_style=tone, finished_style=tone)
