"""The releases of a namespace, or of a cluster, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table

from sparkrelease.api.objects import ParsedRelease
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.cli.render.words import PHASES, VERDICTS, Tone, given, say, span

_COLUMNS = ("NAME", "VERSION", "PHASE", "STAGE", "WEIGHT", "VERDICT", "NEXT", "AGE")


def render_releases(releases: Sequence[ParsedRelease], now: datetime, *, everywhere: bool) -> RenderableType:
    """One line per release, in order of namespace and name."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style=Tone.QUIET.value)
    for column in (*(("NAMESPACE",) if everywhere else ()), *_COLUMNS):
        table.add_column(column, justify="right" if column == "WEIGHT" else "left", overflow="fold")
    for release in sorted(releases, key=lambda r: (r.namespace, r.name)):
        status = release.status
        version = release.spec.version if isinstance(release.spec, SparkReleaseSpec) else "?"
        mark, tone = VERDICTS[status.verdict] if status.verdict else ("", Tone.QUIET)
        coming = status.next
        when = f" in {span(coming.at - now)}" if coming is not None and coming.at is not None else ""
        table.add_row(
            *([say(release.namespace)] if everywhere else []),
            say(release.name, Tone.STRONG),
            say(version),
            say(status.phase.value, PHASES[status.phase]),
            say(status.stage_text),
            say(given(status.weight.desired, status.weight.mirror)),
            say(f"{mark} {status.verdict.value}" if status.verdict else "", tone),
            say(f"{coming.what}{when}" if coming is not None else ""),
            say(span(now - release.created_at) if release.created_at else ""),
        )
    return table
