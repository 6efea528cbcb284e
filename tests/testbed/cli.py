"""`python -m testbed`: a local cluster to work with by hand, and what has to be made before there can be one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from testbed import background, binaries, namespace, parts, snapshot
from testbed.background import NoClusterError
from testbed.namespace import NamespaceError
from testbed.toolchain import BuildError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, soft_wrap=True)
Name = Annotated[str, typer.Option(help="Several clusters can run side by side, each under its name.")]


@app.command()
def build() -> None:
    """Find or build every program a cluster and its tests need (the first time: about a quarter of an hour)."""
    binaries.build(console)
    binaries.build(console, parts.FOR_TESTS)


@app.command("snapshot")
def take_snapshot() -> None:
    """Take the snapshot that clusters start from (about ten seconds), unless it is there."""
    binaries.build(console)
    if not snapshot.folder().exists():
        namespace.enter()
        snapshot.take()
    console.print(f"Clusters start from the snapshot in {snapshot.folder()}")


@app.command()
def up(name: Name = "default") -> None:
    """Start a cluster and leave it running."""
    begin = time.monotonic()
    binaries.build(console)
    snapshot.ensure()
    state = background.up(name)
    here = "" if name == "default" else f" --name {name}"
    console.print(
        f"Cluster {name} is up ({time.monotonic() - begin:.1f} s). It lives in its own network: enter it with"
    )
    console.print(f"  python -m testbed run{here} kubectl get pods -A    (or no command, for a shell)")
    console.print(f"There, the gateway is {state.gateway_url} and Prometheus {state.prometheus_url}.")
    console.print(f"Logs, audit log and kubeconfig: {state.folder}")


@app.command()
def down(name: Name = "default") -> None:
    """End a cluster and remove everything of it."""
    begin = time.monotonic()
    gone = background.down(name)
    took = time.monotonic() - begin
    console.print(f"Cluster {name} is down ({took:.1f} s)." if gone else f"No cluster {name} was running.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, name: Name = "default") -> None:
    """Run a command (or a shell) in the cluster's network, with KUBECONFIG and PATH set."""
    background.enter_and_run(name, context.args or [os.environ.get("SHELL", "bash")])


@app.command()
def status(name: Name = "default") -> None:
    """Show the parts of a cluster; exit code 1 when it does not run."""
    state = background.require(name)
    table = Table("part", "pid", "state", "MiB", title=f"cluster {name}")
    for part, pid in state.processes.items():
        alive = Path(f"/proc/{pid}").exists()
        table.add_row(part, str(pid), "running" if alive else "ended", _resident_mib(pid) if alive else "")
    console.print(table)


@app.command(hidden=True)
def supervise(name: Name = "default") -> None:
    """What `up` leaves in the background."""
    background.supervise(name)


def main() -> None:
    """Runs the command line; what cannot be done is said in one line, with exit code 1."""
    try:
        app()
    except (BuildError, NamespaceError, NoClusterError) as error:
        console.print(str(error), style="red", markup=False)
        raise SystemExit(1) from error


def _resident_mib(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((str(int(line.split()[1]) // 1024) for line in lines if line.startswith("VmRSS")), "")
