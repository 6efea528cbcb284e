"""The commands `watch` and `dashboard`. They import what they need when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from sparkrelease.cli import options as o
from sparkrelease.cli.exits import CliError, ExitCode

SHORTEST = 1.0
"""Seconds between two looks: the API server is everybody's."""


def watch_command(
    name: o.Name,
    *,
    every: Annotated[str, typer.Option("--every", help="Pause between two looks, such as 5s or 60s.")] = "5s",
    once: Annotated[
        bool,
        typer.Option("--once", help="Look once; leave with 0 when healthy, 1 when breached, 8 when that is not known."),
    ] = False,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Watch one release: the status screen, how every rule's value goes against its limit, and the log of its run."""
    from sparkrelease.cli.cluster import connect
    from sparkrelease.cli.watch import watch_once, watch_release

    pause = _pause(every)
    cluster = connect(kubeconfig, context, namespace)
    if once:
        raise typer.Exit(watch_once(cluster, name))
    watch_release(cluster, name, pause)


def dashboard_command(
    *,
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; a free one if absent.", min=0, max=65535)] = 0,
    every: Annotated[str, typer.Option("--every", help="Pause between two looks, such as 5s or 60s.")] = "5s",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Releases of all namespaces.")] = False,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Show releases live in a browser: a read-only page of this machine alone, with your own rights."""
    from sparkrelease.cli.cluster import connect
    from sparkrelease.cli.dashboard.run import run_dashboard

    pause = _pause(every)
    run_dashboard(connect(kubeconfig, context, namespace), port=port, every=pause, everywhere=everywhere)


def _pause(every: str) -> float:
    pause = o.seconds(every, "--every")
    if pause < SHORTEST:
        raise CliError(ExitCode.USAGE, f"--every is at least {SHORTEST:g}s")
    return pause
