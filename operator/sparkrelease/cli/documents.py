"""Commands that make documents of a run: `evidence export` and `report`. They import what they need when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkrelease.cli import options as o

if TYPE_CHECKING:
    from sparkrelease.cli.export import Source

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write into.", show_default=False)]


def export_evidence(
    name: o.Name,
    folder: Folder,
    *,
    run: o.RunName = None,
    from_dir: o.FromDir = None,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Write every document of a run: report, release note, evidence files, run.json, all observations, the chain."""
    from sparkrelease.cli.export import export

    raise typer.Exit(
        export(_source(name, run, from_dir, namespace=namespace, kubeconfig=kubeconfig, context=context), folder)
    )


def show_report(
    name: o.Name,
    *,
    run: o.RunName = None,
    from_dir: o.FromDir = None,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; NAME-RUN-report.html if absent."),
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Write the report of a run, one page that needs nothing else, and open it."""
    from sparkrelease.cli.export import write_report

    raise typer.Exit(
        write_report(
            _source(name, run, from_dir, namespace=namespace, kubeconfig=kubeconfig, context=context), file, show=show
        )
    )


def _source(
    name: str,
    run: str | None,
    from_dir: Path | None,
    *,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
) -> Source:
    from sparkrelease.cli.cluster import connect
    from sparkrelease.cli.export import Source

    if from_dir is not None:
        return Source(name, run, kept=from_dir, namespace=namespace)
    return Source(name, run, cluster=connect(kubeconfig, context, namespace))
