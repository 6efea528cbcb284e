"""Everything that a run's decisions were made from, as flat rows: one number a row, the same columns in each.

Made for data frames and Parquet: no nesting, one type a column, an empty cell where a column does not apply.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta

from sparkrelease.api.base import format_time
from sparkrelease.decide.budget import BUDGET
from sparkrelease.decide.burnrates import BURN
from sparkrelease.decide.facts import Buckets, Counts, Facts, History, MetricFacts, Missing, Reading, Role, Value
from sparkrelease.decide.watching import INTERVAL, WHOLE
from sparkrelease.documents.record import Decision, Run


@dataclass(frozen=True, slots=True)
class Observation:
    """One row; docs/evidence-documents.md says what each column holds."""

    release: str
    run: str
    version: str
    entry: int
    at: str
    source: str
    metric: str
    rule: str = ""
    role: str = ""
    series: str = ""
    stage: str = ""
    weight: float | None = None
    window_seconds: float | None = None
    value: float | None = None
    bad: float | None = None
    total: float | None = None
    edge: float | None = None
    at_or_below: float | None = None
    missing: str = ""


COLUMNS = tuple(field.name for field in fields(Observation))


def observations_of(run: Run) -> tuple[Observation, ...]:
    """All rows in the order of the decisions that saw them; what two decisions saw alike comes once."""
    seen: dict[tuple[object, ...], Observation] = {}
    for row in _baselines(run):
        seen.setdefault(_identity(row), row)
    for decision in run.decisions:
        for row in _of_decision(run, decision):
            seen.setdefault(_identity(row), row)
    return tuple(seen.values())


def json_lines(rows: Iterable[Observation]) -> str:
    """One JSON object a line; numbers JSON lacks are null."""
    return "".join(f"{json.dumps(_plain(row), ensure_ascii=False, allow_nan=False)}\n" for row in rows)


def comma_separated(rows: Iterable[Observation]) -> str:
    """RFC 4180, with a line of names; empty cells for what does not apply."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(_plain(row) for row in rows)
    return text.getvalue()


def _plain(row: Observation) -> dict[str, object]:
    return {key: None if isinstance(one, float) and not math.isfinite(one) else one for key, one in asdict(row).items()}


def _identity(row: Observation) -> tuple[object, ...]:
    """All of a row but which decision saw it, and where the run was then."""
    return tuple(getattr(row, name) for name in COLUMNS if name not in {"entry", "stage", "weight"})


# ---------------------------------------------------------------- rows


def _baselines(run: Run) -> Iterator[Observation]:
    for one in run.baselines:
        yield replace(
            _row(run, 1, run.started_at, "baseline", one.metric),
            role=Role.STABLE.value,
            window_seconds=one.over_seconds,
            value=one.value,
            missing="NoBaseline" if one.value is None else "",
        )


def _of_decision(run: Run, decision: Decision) -> Iterator[Observation]:
    if decision.inputs is None:
        return
    status, facts = decision.inputs.status, decision.inputs.facts
    stage = status.stage.name if status.stage is not None else ""
    for row in _of_facts(run, decision.entries[0].number, facts):
        yield replace(row, stage=stage, weight=facts.route.canary_weight)


def _of_facts(run: Run, entry: int, facts: Facts) -> Iterator[Observation]:
    for name, read in facts.metrics.items():
        yield from _both(_row(run, entry, read.at, "reading", name), read.window, read.canary, read.stable)
    for rule, read in (facts.gate or {}).items():
        row = replace(_row(run, entry, read.at, "gate", _metric_of(run, rule)), rule=rule)
        yield from _stage(row, read)
    yield from _of_spans(run, entry, facts.spans or {})
    for name, read in (facts.after or {}).items():
        yield from _both(_row(run, entry, read.at, "after", name), read.window, read.canary, read.stable)
    for ask, read in facts.asked.items():
        yield from _both(_row(run, entry, read.at, "asked", ask.metric), read.window, read.canary, read.stable)
    for name, windows in facts.windows.items():
        for window in windows:
            row = _row(run, entry, window.end, "window", name)
            yield from _both(row, window.length, window.canary, window.stable)
    for name, history in facts.history.items():
        yield from _history(run, entry, name, history)
    if facts.share is not None:
        share = facts.share
        row = replace(_row(run, entry, share.at, "share", ""), window_seconds=share.window.total_seconds())
        yield replace(row, role=Role.CANARY.value, total=share.canary)
        yield replace(row, role=Role.STABLE.value, total=share.stable)


def _of_spans(run: Run, entry: int, spans: Mapping[str, MetricFacts]) -> Iterator[Observation]:
    """What a check of the watch asked for, and the error budget before the run."""
    for name, read in spans.items():
        source, _, rule = name.partition("/")
        if source == BURN:
            row = _row(run, entry, read.at, source, run.spec.burn_metric or "")
        elif source == BUDGET:
            row = _row(run, entry, read.at, "budget", run.spec.error_budget.metric if run.spec.error_budget else "")
        elif source in {INTERVAL, WHOLE}:
            row = replace(_row(run, entry, read.at, source, _metric_of(run, rule)), rule=rule)
        else:
            continue  # of no name that a decision asks for
        yield from _stage(row, read)


def _metric_of(run: Run, rule: str) -> str:
    """The metric of an objective."""
    return next((one.metric for one in run.spec.thresholds if one.name == rule), "")


def _both(row: Observation, window: timedelta, canary: Reading, stable: Reading) -> Iterator[Observation]:
    row = replace(row, window_seconds=window.total_seconds())
    for role, reading in ((Role.CANARY, canary), (Role.STABLE, stable)):
        yield from _reading(replace(row, role=role.value), reading)


def _stage(row: Observation, read: MetricFacts) -> Iterator[Observation]:
    """Both sides over a stage, and those that were counted again because pods restarted or went."""
    yield from _both(row, read.window, read.canary, read.stable)
    row = replace(row, source=f"{row.source} again", window_seconds=read.window.total_seconds())
    for role, again in ((Role.CANARY, read.canary_again), (Role.STABLE, read.stable_again)):
        if again is not None:
            yield from _reading(replace(row, role=role.value), again.reading)


def _reading(row: Observation, reading: Reading) -> Iterator[Observation]:
    match reading:
        case Value(number):
            yield replace(row, value=number)
        case Counts(bad, total):
            yield replace(row, bad=bad, total=total)
        case Buckets(at_or_below, total):
            for edge, events in sorted(at_or_below.items()):
                yield replace(row, edge=edge, at_or_below=events, total=total)
        case Missing(reason):
            yield replace(row, missing=reason.value)


def _history(run: Run, entry: int, name: str, history: History) -> Iterator[Observation]:
    sides: Mapping[Role, object] = {Role.CANARY: history.canary, Role.STABLE: history.stable}
    for role, tracks in sides.items():
        row = replace(_row(run, entry, history.at, "history", name), role=role.value)
        if isinstance(tracks, Missing):
            yield replace(row, window_seconds=history.over.total_seconds(), missing=tracks.reason.value)
            continue
        for track in tracks if isinstance(tracks, tuple) else ():
            for moment, number in track.points:
                at = format_time(datetime.fromtimestamp(moment, UTC))
                yield replace(row, at=at, series=track.name, value=number)


def _row(run: Run, entry: int, at: datetime, source: str, metric: str) -> Observation:
    return Observation(run.release, run.id, run.version, entry, format_time(at), source, metric)
