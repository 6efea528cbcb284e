"""Small pieces of every document: times, spans, percentages, values with their unit, and text that is only text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.documents.visits import Left

UNKNOWN = "not known"

_TENTHS_BELOW = timedelta(seconds=10)

LEFT = {
    Left.PASSED: "passed",
    Left.PROCEEDED: "went on without a verdict",
    Left.SKIPPED: "gate skipped by a person",
    Left.STEPPED_BACK: "stepped back",
    Left.RESTED: "rested without traffic",
    Left.ROLLED_BACK: "rolled back",
    Left.SETTLED: "done",
    Left.ENDED: "ended",
    Left.UNDER_WAY: "under way",
}
"""How a stage was left, for people."""

MARKS = {
    Verdict.PASS: "✔",
    Verdict.FAIL: "✖",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NO_DATA: "?",
    Verdict.ERROR: "!",
}
"""Mark of each verdict; every document has the word beside it."""


def clean(text: str) -> str:
    """The text on one line, without control characters or marks that turn the direction of text round."""
    return "".join(c if c.isprintable() else " " for c in text)


def when(at: datetime | None) -> str:
    """`2026-11-21 14:03:50 UTC`."""
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def exact(at: datetime | None) -> str:
    """The same with milliseconds."""
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"


def clock(at: datetime) -> str:
    """`14:03:50`; the document says once that times are UTC."""
    return f"{at:%H:%M:%S}"


def stamp(at: datetime) -> str:
    """A time for a file's name: `20261121T140350Z`."""
    return f"{at:%Y%m%dT%H%M%SZ}"


def span(length: timedelta | None) -> str:
    """A span in whole seconds, tenths below ten: `15m`, `1h30m`, `2.5s`."""
    if length is None:
        return UNKNOWN
    if timedelta(0) < length < _TENTHS_BELOW:
        return f"{length.total_seconds():.1f}s".replace(".0s", "s")
    return format_duration(timedelta(seconds=round(length.total_seconds())))


def seconds(number: float | None) -> str:
    """`0.4 s`."""
    return UNKNOWN if number is None else f"{number:.3g} s"


def percent(weight: float | None) -> str:
    """`25 %`."""
    return UNKNOWN if weight is None else f"{weight:.6g} %"


def given(weight: float | None, mirror: float | None) -> str:
    """What canary got: `25 %`, or `100 % mirrored`."""
    return f"{percent(mirror)} mirrored" if mirror else percent(weight)


def value(metric: Metric, number: float | None) -> str:
    """A metric's number as people read it: counters as percent, others with their unit."""
    if number is None:
        return "no data"
    if metric.bad is not None:
        return f"{100 * number:.3g} %"
    if metric.unit == "B":
        return _bytes(number)
    return f"{number:.4g} {metric.unit}" if metric.unit else f"{number:.4g}"


def _bytes(number: float) -> str:
    """Bytes with the prefix that fits: `104.9 MB`."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:.4g} {prefix}B"
    return f"{number:.4g} B"


def plain(number: float | None) -> str:
    """A number without a unit."""
    return UNKNOWN if number is None else f"{number:.3g}"


def times(factor: float | None) -> str:
    """`1.4x`."""
    return "?" if factor is None else f"{round(factor, 1 if factor >= 1 else 2):.6g}x"


def kind_of(metric: Metric) -> str:
    """What the metric's number is."""
    if metric.bad is not None:
        return "share of bad events"
    return f"p{100 * metric.quantile:g}" if metric.quantile is not None else "value"


def count(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `2 entries`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def help_of(reason: str) -> str:
    """What a reason means; empty for one that this version does not know."""
    try:
        return Reason.named(reason).help
    except ValueError:
        return ""


def shortened(text: str, limit: int) -> str:
    """The beginning of a text that is longer than the limit."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Rows of a text file, their columns one below the other."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max(len(row[place]) for row in rows if place < len(row)) for place in range(max(map(len, rows), default=0))
    ]
    lines = ("  ".join(cell.ljust(widths[place]) for place, cell in enumerate(row)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)
