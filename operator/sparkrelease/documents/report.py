"""The page a person opens: one file, no script, nothing loaded from anywhere, and never larger than a mail may be."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeVar

from markupsafe import Markup

from sparkrelease.decide.evidence import Entry
from sparkrelease.documents.charts import metric_charts, weight_chart
from sparkrelease.documents.environment import render
from sparkrelease.documents.view import View

LARGEST = 150_000
"""Bytes of a page at most, below what mail and chat show inline."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a long run a page tells: entries, points a line, letters a sentence, charts, stages, objectives."""

    entries: int
    points: int
    letters: int
    charts: int
    stages: int
    objectives: int


ROOMS = (
    Room(entries=160, points=160, letters=600, charts=64, stages=60, objectives=64),
    Room(entries=80, points=80, letters=300, charts=40, stages=30, objectives=32),
    Room(entries=40, points=40, letters=160, charts=20, stages=20, objectives=16),
    Room(entries=16, points=24, letters=80, charts=8, stages=12, objectives=8),
)
"""Tried in this order until the page fits."""


def report_html(view: View) -> str:
    """The page. What had to be left out is said on it, with the file that has it."""
    text = ""
    for room in ROOMS:
        text = _page(view, room)
        if len(text.encode()) < LARGEST:
            break
    return text


def policy() -> str:
    """Content-Security-Policy of the page: its own style sheet, by digest, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _page(view: View, room: Room) -> str:
    charts = metric_charts(view, size=(380, 190), points=room.points)
    entries = _told([*view.run.entries], room.entries)
    return render(
        "report.html",
        view=view,
        run=view.run,
        room=room,
        style=Markup(_style()),  # noqa: S704 - our own file
        policy=policy(),
        wide=weight_chart(view, width=1100, height=230),
        narrow=weight_chart(view, width=380, height=210),
        charts=charts[: room.charts],
        charts_left=len(charts) - len(charts[: room.charts]),
        stages=_ends(view.stages, room.stages),
        entries=entries,
        entries_left=sum(1 for _ in view.run.entries) - len(entries),
        objectives=view.run.spec.thresholds[: room.objectives],
        not_reached=[one for one in view.run.spec.stages if one.name not in {visit.name for visit in view.stages}],
    )


def _told(entries: Sequence[Entry], most: int) -> list[Entry]:
    """The entries shown: all, or those that are no mere checkpoint, or the first and last ones of those."""
    if len(entries) <= most:
        return list(entries)
    return _ends([entry for entry in entries if entry.kind != "Checkpoint"], most)


_Item = TypeVar("_Item")


def _ends(items: Sequence[_Item], most: int) -> list[_Item]:
    """The first and the last of them."""
    return list(items) if len(items) <= most else [*items[: most // 2], *items[len(items) - (most - most // 2) :]]


@cache
def _style() -> str:
    return (files("sparkrelease.documents") / "templates" / "report.css").read_text(encoding="utf-8")
