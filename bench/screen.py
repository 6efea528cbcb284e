"""What a person sees while it runs: which step, how far, and a table of figures as they come in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.fleet import Told


class Screen:
    """One line per step; a bar where there is a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begin = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._begin:6.0f} s[/]  {text}")

    @contextmanager
    def steps(self, text: str, total: int) -> Iterator[Told]:
        """A step that counts up to `total`; the yielded function takes how many are done."""
        begin = time.monotonic()
        columns = (TextColumn("         {task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, refresh_per_second=4) as progress:
            task = progress.add_task(text, total=total)
            yield lambda done: progress.update(task, completed=done)
        self.say(f"{text}: {total} in {time.monotonic() - begin:.1f} s")

    def table(self, title: str, figures: Mapping[str, object]) -> None:
        """Figures of one benchmark."""
        table = Table(title=title, title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, value in figures.items():
            table.add_row(name.replace("_", " "), _text(value))
        self.console.print(table)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:,.0f}"
    if isinstance(value, dict):
        return "\n".join(f"{name} {_text(one)}" for name, one in value.items()) or "-"
    return str(value)
