"""What was tried before a run: one line each, with a mark, a word and a colour that say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from sparkrelease.cli.render.words import Tone, say
from sparkrelease.cli.tried import Result, Tried, untried

_MARKS = {
    Result.PASS: ("✔", Tone.GOOD),
    Result.FAIL: ("✖", Tone.BAD),
    Result.WARN: ("!", Tone.CAUTION),
    Result.SKIP: ("-", Tone.QUIET),
}


def render_tried(name: str, lines: Sequence[Tried]) -> RenderableType:
    """A line for each, and how many of each kind there are."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "", "", ""):
        table.add_column(column, overflow="fold")
    for line in lines:
        mark, tone = _MARKS[line.result]
        table.add_row(say(f"{mark} {line.result}", tone), say(line.name), say(line.kind, Tone.QUIET), say(line.message))
    counts = Counter(line.result for line in lines)
    told = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
    missed = untried(lines)
    told += "; not everything that is required could be looked at" if missed else ""
    worst = Tone.BAD if counts[Result.FAIL] else Tone.CAUTION if counts[Result.WARN] or missed else Tone.GOOD
    return Group(say(f"preflight of {name}", Tone.STRONG), table, say(told, worst))


def describe_tried(name: str, lines: Sequence[Tried]) -> dict[str, object]:
    """The same for a program."""
    checks = [
        {
            "name": line.name,
            "kind": line.kind,
            "result": line.result.value,
            "message": line.message,
            "required": line.required,
        }
        for line in lines
    ]
    return {"release": name, "checks": checks}
