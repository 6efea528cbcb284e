"""`python -m bench [NAMES]`: runs benchmarks one after another and writes docs/benchmarks.md from all results."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import page, results
from bench.runs import SMALL, Bench, Sizes
from bench.screen import Screen
from testbed import session

FEW = 10
"""Runs per cell of verdicts in a small try."""

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
VERDICTS = PAGE.with_name("verdicts.md")


class Name(StrEnum):
    """What can be run."""

    TICK = "tick"
    DECIDE = "decide"
    EVIDENCE = "evidence"
    ROLLBACK = "rollback"
    TOGETHER = "together"
    ACTIVE = "active"
    IDLE = "idle"
    START = "start"
    FINISHED = "finished"
    VERDICTS = "verdicts"


EVERYTHING = [Name.TICK, Name.DECIDE, Name.EVIDENCE, Name.ROLLBACK, Name.TOGETHER, Name.ACTIVE, Name.FINISHED]


def main(
    names: Annotated[list[Name] | None, typer.Argument(help="Benchmarks to run; all of them if none is named.")] = None,
    *,
    active: Annotated[list[int] | None, typer.Option(help="Size of an active fleet; may be repeated.")] = None,
    group: Annotated[int, typer.Option(help="Releases started together, and no more than that.")] = Sizes.group,
    many: Annotated[int, typer.Option(help="Finished releases.")] = Sizes.many,
    most: Annotated[
        list[int] | None, typer.Option(help="Finished releases of a larger start; may be repeated.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Rollbacks per variant.")] = Sizes.trials,
    seconds: Annotated[float, typer.Option(help="Span in which calls, CPU and memory are counted.")] = Sizes.seconds,
    runs: Annotated[int, typer.Option(help="Verdicts: runs per cell where nothing is wrong with the release.")] = 300,
    section: Annotated[list[str] | None, typer.Option(help="Verdicts: only this section; may be repeated.")] = None,
    go_on: Annotated[bool, typer.Option(help="Verdicts: take an interrupted pass up again.")] = False,
    small: Annotated[bool, typer.Option(help="A try with tiny numbers; keeps no results.")] = False,
    only_page: Annotated[bool, typer.Option(help="Only write the page, from the results there are.")] = False,
) -> None:
    """Measure the operator against a real API server and a real Prometheus."""
    console = Console(highlight=False)
    wanted = [name for name in names or EVERYTHING if name is not Name.VERDICTS]
    if Name.VERDICTS in (names or ()):
        # numpy starts threads, and a process with threads enters no namespace: verdicts have a run of their own.
        if wanted:
            raise typer.BadParameter("verdicts are measured by themselves: make bench ARGS=verdicts")
        from bench.verdicts import run as verdicts  # noqa: PLC0415

        console.rule(Name.VERDICTS.value)
        number = FEW if small else runs
        verdicts.run(Screen(console), number, sections=section or (), go_on=go_on, only_page=only_page)
        return
    if not only_page:
        if small:
            results.FOLDER = results.FOLDER.with_name("results-small")
        session.prepare()
        fleets = tuple(active) if active else Sizes.active
        grown = tuple(sorted(most)) if most else Sizes.most
        sizes = Sizes(active=fleets, group=group, many=many, most=grown, trials=trials, seconds=seconds)
        bench = Bench(Screen(console), SMALL if small else sizes)
        for name in wanted:
            console.rule(name.value)
            getattr(bench, name.value.replace("-", "_"))()
    if small:
        return
    PAGE.write_text(page.page(results.load_all(), VERDICTS.read_text()))
    console.print(f"written: {PAGE.name}")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(main)

if __name__ == "__main__":
    app()
