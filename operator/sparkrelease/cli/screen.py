"""Where output goes: a terminal with colours, or plain text for a pipe; NO_COLOR, FORCE_COLOR, COLUMNS are honoured."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence

import yaml
from rich.console import Console, RenderableType

from sparkrelease.cli.options import Format
from sparkrelease.cli.render.words import Tone, say

WIDE = 1000
"""Columns of a table in a pipe: its lines are never broken, so that grep and awk find them whole."""

PAGE = 120
"""Columns of a screen in a pipe."""


def console(*, piped_width: int = PAGE, stderr: bool = False) -> Console:
    """A console for one command. What the terminal's encoding lacks becomes a question mark instead of an error."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    plain = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(
        file=stream, width=piped_width if plain else None, highlight=False, markup=False, emoji=False, soft_wrap=False
    )


def print_text(renderable: RenderableType, *, piped_width: int = PAGE) -> None:
    """Prints for a person; no line ends in blanks when nobody sees them."""
    out = console(piped_width=piped_width)
    if out.is_terminal:
        out.print(renderable)
        return
    with out.capture() as captured:
        out.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def print_data(value: Mapping[str, object] | Sequence[object], form: Format) -> None:
    """Prints for a program: JSON or YAML, ASCII, never coloured or wrapped."""
    if form is Format.JSON:
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
        return
    yaml.safe_dump(value, sys.stdout, sort_keys=False)


def print_error(message: str) -> None:
    """One sentence on standard error."""
    console(piped_width=WIDE, stderr=True).print(say(f"error: {message}", Tone.BAD))
