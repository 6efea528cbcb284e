"""The queries of a release: a table of what is asked how often and what it answers, then each query in full."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkrelease.api.base import format_duration
from sparkrelease.cli.plan import POINTS, Asked, Planned
from sparkrelease.cli.render.words import Tone, count, say
from sparkrelease.cli.sent import Purpose
from sparkrelease.decide.evidence import finite
from sparkrelease.decide.facts import Counts, Missing
from sparkrelease.decide.grouping import Group as Rows
from sparkrelease.decide.grouping import Place, Sorted
from sparkrelease.decide.native import Histogram
from sparkrelease.decide.promql import EDGE, HIGH, LOW, NATIVE, NEWEST, PART, SERIES, UP, VALUE
from sparkrelease.decide.readings import as_buckets, as_counts

_HEADS = ("#", "METRIC", "FOR", "HOW OFTEN", "STABLE", "CANARY")
_MOST_EDGES = 4


def render_planned(planned: Planned) -> RenderableType:
    """The table, what preflight says, then the queries by their numbers."""
    answered = bool(planned.url) and planned.away is None
    asked = f", {'answers' if answered else 'asked'} of {planned.url}" if planned.url else ""
    title = f"{planned.release.namespace}/{planned.release.name} {planned.version}: "
    title += f"{count(len(planned.queries), 'query', 'queries')} of server {planned.server}{asked}"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in _HEADS if answered else _HEADS[:4]:
        table.add_column(head, header_style=Tone.QUIET.value, overflow="fold", no_wrap=head == "#")
    for number, one in enumerate(planned.queries, start=1):
        answers = [said(one, place, planned) for place in planned.sides] if answered else []
        table.add_row(str(number), say(one.metric), say(_for(one)), say(how_often(one)), *answers)
    return Group(say(title, Tone.STRONG), table, say(""), *_findings(planned), *_queries(planned))


def _for(asked: Asked) -> str:
    return f"{asked.purpose} {', '.join(asked.rules)}".strip()


def how_often(asked: Asked) -> str:
    """In words."""
    if asked.every is not None and asked.purpose is Purpose.DRAINING:
        return f"every {format_duration(asked.every)}, after a rollback"
    if asked.every is not None:
        return f"every {format_duration(asked.every)}"
    if asked.purpose is Purpose.WATCH:
        return "at each check of the watch"
    if asked.purpose is Purpose.GATE and asked.stage is not None:
        return f"at the end of a stage of {format_duration(asked.stage)}"
    return "once, before the run"


def said(asked: Asked, place: Place, planned: Planned) -> Text:
    """What the query answers now for one Service."""
    text, tone = answer_text(asked, place, planned.units.get(asked.metric, ""))
    return say(text, tone)


def answer_text(asked: Asked, place: Place, unit: str) -> tuple[str, Tone]:
    """The same as text, and whether it is good."""
    if isinstance(asked.answer, Missing):
        return f"{asked.answer.reason}: {asked.answer.message}", Tone.BAD
    if asked.purpose is Purpose.FLAG and asked.answer is not None:
        return _by_pod(asked.answer, place)
    rows = asked.answer.groups.get(place) if asked.answer is not None else None
    if rows is None or not (rows.parts or rows.edges):
        return "no series", Tone.CAUTION
    if rows.problem is not None:
        return rows.problem.message, Tone.BAD
    return _numbers(asked, rows, unit), Tone.PLAIN


def _by_pod(found: Sorted, place: Place) -> tuple[str, Tone]:
    """What the pods of the namespace show of a flag; which of them are canary's is not known here."""
    pods = [group.parts for (namespace, _), group in found.groups.items() if namespace == place[0]]
    values = sorted({parts[part] for parts in pods for part in (LOW, HIGH) if part in parts})
    if not values:
        return "no pod shows it", Tone.BAD
    return f"{count(len(pods), 'pod')}: {' and '.join(f'{value:g}' for value in values)}", Tone.PLAIN


def _numbers(asked: Asked, rows: Rows, unit: str) -> str:
    if POINTS in rows.parts:
        return f"{count(int(rows.parts[SERIES]), 'row')}, {rows.parts[POINTS]:g} points"
    if _has_part(asked, SERIES):
        return f"{rows.parts.get(SERIES, 0):g} series"
    if _has_part(asked, EDGE) and not _has_part(asked, NEWEST) and asked.purpose is Purpose.PREFLIGHT:
        told = count(len(_edges(rows)), "bucket edge")
        return f"{told} of a native histogram" if rows.native is not None and not rows.edges else told
    if UP in rows.parts:
        return count(int(rows.parts[UP]), "target")
    extremes = [rows.parts[part] for part in (VALUE, LOW, HIGH) if part in rows.parts]
    if extremes:
        return " to ".join(f"{value:.6g}{unit}" for value in dict.fromkeys(extremes))
    read = as_buckets(rows, asked.limits) if rows.edges or rows.native is not None else as_counts(rows)
    if isinstance(read, Missing):
        return f"{read.reason}: {read.message}"
    if isinstance(read, Counts):
        return f"{100 * read.bad / read.total:.3g}% ({read.bad:.6g}/{read.total:.6g})" if read.total else "0/0"
    shares = [f"{100 * up_to / read.total:.4g}% <= {edge:g}{unit}" for edge, up_to in read.at_or_below.items()]
    shown = shares if read.total and len(shares) <= _MOST_EDGES else []
    return ", ".join([*shown, f"{read.total:.6g} events"])


def _edges(rows: Rows) -> dict[str, float]:
    """Edges of classic buckets with the events at or below each, else the bounds of a native histogram."""
    if isinstance(rows.native, Histogram) and not rows.edges:
        return {str(bound): rows.native.count_at(bound) or 0.0 for bound in rows.native.bounds}
    return rows.edges


def _has_part(asked: Asked, part: str) -> bool:
    return f'"{PART}", "{part}"' in asked.promql


def _findings(planned: Planned) -> Iterator[RenderableType]:
    if planned.away is not None:
        yield say(f"✖ no query was answered: {planned.away.message}", Tone.BAD)
        yield say("")
        return
    for finding in planned.findings:
        mark, tone = ("✖", Tone.BAD) if finding.fatal else ("!", Tone.CAUTION)
        yield say(f"{mark} {finding.check}: {finding.problem.message}", tone)
    if planned.url and not planned.findings:
        yield say("✔ every query that a rule reads is answered and matches series", Tone.GOOD)
    if planned.url or planned.findings:
        yield say("")


def _queries(planned: Planned) -> Iterator[RenderableType]:
    for number, one in enumerate(planned.queries, start=1):
        yield say(f"{number}  {one.metric} {_for(one)}".rstrip(), Tone.QUIET)
        yield say(f"   {one.promql}")


def describe_planned(planned: Planned) -> dict[str, object]:
    """The same for a program."""
    names = ("stable", "canary")
    return {
        "release": f"{planned.release.namespace}/{planned.release.name}",
        "version": planned.version,
        "server": planned.server,
        "url": planned.url or None,
        "queries": [
            {
                "metric": one.metric,
                "purpose": one.purpose.value,
                "rules": list(one.rules),
                "everySeconds": one.every.total_seconds() if one.every is not None else None,
                "stageSeconds": one.stage.total_seconds() if one.stage is not None else None,
                "promql": one.promql,
                **(_answers(one, planned, names) if planned.url else {}),
            }
            for one in planned.queries
        ],
        "findings": [
            {"check": f.check, "fatal": f.fatal, "reason": f.problem.reason.value, "message": f.problem.message}
            for f in planned.findings
        ],
    }


def _answers(one: Asked, planned: Planned, names: tuple[str, str]) -> dict[str, object]:
    found: dict[str, object] = {"at": one.at.isoformat()}
    if isinstance(one.answer, Missing):
        return found | {"missing": one.answer.reason.value, "message": one.answer.message}
    for name, place in zip(names, planned.sides, strict=True):
        rows = one.answer.groups.get(place) if one.answer is not None else None
        if rows is None:
            found[name] = None
            continue
        parts: dict[str, object] = {part: finite(value) for part, value in rows.parts.items() if part != NATIVE}
        edges = {edge: finite(n) for edge, n in _edges(rows).items()}
        found[name] = parts | ({EDGE: edges} if edges else {})
    return found
