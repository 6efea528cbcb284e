"""Entry point of ``kubectl-sparkrelease``, so that ``kubectl sparkrelease ...`` works.

The commands import what they need when they run: `--help` and completion answer at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkrelease import __version__
from sparkrelease.cli import documents, measured, signed, watching
from sparkrelease.cli import options as o
from sparkrelease.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from sparkrelease.api.command import Verb
    from sparkrelease.cli.cluster import Cluster

EPILOG = (
    "Exit codes: 0 fine, 1 the thing asked about is bad, 2 usage, 3 not found, 4 refused by the API server, "
    "5 cannot reach the cluster, 6 timed out, "
    "7 a stored decision comes out otherwise when it is made again, "
    "8 unknown: too little was measured to say, "
    "9 not everything that is required could be looked at, 10 the evidence was pruned."
)

app = typer.Typer(
    name="kubectl-sparkrelease",
    help="Look at releases and act on them.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
evidence = typer.Typer(help="Read the evidence of a run and check that nobody touched it.", no_args_is_help=True)
app.add_typer(evidence, name="evidence", epilog=EPILOG)


def _connect(kubeconfig: o.Kubeconfig, context: o.Context, namespace: o.Namespace) -> Cluster:
    from sparkrelease.cli.cluster import connect

    return connect(kubeconfig, context, namespace)


# ---------------------------------------------------------------- looking


@app.command(epilog=EPILOG)
def status(
    name: o.Name,
    *,
    namespace: o.Namespace = None,
    output: o.Output = o.Format.TEXT,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Draw it again every second.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="Leave with 1 when it is rolled back, blocked or stalled, with 8 when the operator is silent.",
        ),
    ] = False,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """One screen: stages, weights, what every rule says, what needs attention, and what comes next."""
    from sparkrelease.cli.show import show_status, watch_status

    if watch and (output is not o.Format.TEXT or exit_code):
        raise CliError(ExitCode.USAGE, "--watch goes with neither -o nor --exit-code")
    cluster = _connect(kubeconfig, context, namespace)
    if watch:
        watch_status(cluster, name)
        return
    code = show_status(cluster, name, output)
    if exit_code:
        raise typer.Exit(code)


app.command("watch", epilog=EPILOG)(watching.watch_command)
app.command("dashboard", epilog=EPILOG)(watching.dashboard_command)


@app.command("list", epilog=EPILOG)
def list_releases(
    *,
    namespace: o.Namespace = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Releases of all namespaces.")] = False,
    output: o.Output = o.Format.TEXT,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """The releases of a namespace, one line each."""
    from sparkrelease.cli.show import show_list

    show_list(_connect(kubeconfig, context, namespace), output, everywhere=everywhere)


@app.command()
def version() -> None:
    """Print the version of this program."""
    typer.echo(f"kubectl-sparkrelease {__version__}")


# ---------------------------------------------------------------- asking


def _ask(
    cluster: Cluster,
    name: str,
    verb: Verb,
    why: str | None,
    *,
    wait: bool,
    timeout: str,
    full: bool = False,
    stage: str = "",
    restore_point: str = "",
) -> None:
    from sparkrelease.cli.ask import Asker
    from sparkrelease.cli.screen import print_text

    asker = Asker(cluster, name, timeout=o.seconds(timeout, "--timeout"), show=print_text)
    asker.ask(verb, why or "", full=full, stage=stage, restore_point=restore_point, wait=wait)


@app.command(epilog=EPILOG)
def rollback(
    name: o.Name,
    *,
    reason: o.Why,
    namespace: o.Namespace = None,
    stage: o.SeenStage = None,
    restore_point: o.RestorePoint = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    wait: o.Wait = True,
    timeout: o.Timeout = "30s",
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Send all traffic back to stable now, and refuse this version from then on."""
    from sparkrelease.api.command import Verb
    from sparkrelease.cli.ask import Asker
    from sparkrelease.cli.screen import print_text

    cluster = _connect(kubeconfig, context, namespace)
    seen, point = stage or "", restore_point or ""
    if dry_run:
        asker = Asker(cluster, name, timeout=o.seconds(timeout, "--timeout"), show=print_text)
        asker.rollback_plan(reason, stage=seen, restore_point=point)
        return
    _ask(cluster, name, Verb.ROLLBACK, reason, stage=seen, restore_point=point, wait=wait, timeout=timeout)


def _plain_verb(word: str, text: str) -> None:
    """Declares a command that needs no more than its name."""

    @app.command(word, help=text, epilog=EPILOG)
    def ask(
        name: o.Name,
        *,
        reason: o.OptionalWhy = None,
        namespace: o.Namespace = None,
        wait: o.Wait = True,
        timeout: o.Timeout = "30s",
        kubeconfig: o.Kubeconfig = None,
        context: o.Context = None,
    ) -> None:
        from sparkrelease.api.command import Verb

        _ask(_connect(kubeconfig, context, namespace), name, Verb[word.upper()], reason, wait=wait, timeout=timeout)


_plain_verb("pause", "Freeze the weights; only a rollback still moves them.")
_plain_verb("resume", "End a pause by command; spec.paused is Git's and stays.")
_plain_verb("retry", "Let a version that was rolled back try again, in a new run.")
_plain_verb("settle", "Walk traffic back to stable after a promotion, whatever stable runs.")


@app.command(epilog=EPILOG)
def promote(
    name: o.Name,
    *,
    reason: o.Why,
    namespace: o.Namespace = None,
    stage: Annotated[
        bool, typer.Option("--stage", help="Skip the gate of the present stage alone; so it is without a flag, too.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Skip all gates that are left, not only the next one.")] = False,
    wait: o.Wait = True,
    timeout: o.Timeout = "30s",
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Skip the gate of the present stage; triggers still roll back."""
    from sparkrelease.api.command import Verb

    if stage and full:
        raise CliError(ExitCode.USAGE, "--stage and --full cannot both be meant: one skips a gate, the other all")
    cluster = _connect(kubeconfig, context, namespace)
    _ask(cluster, name, Verb.PROMOTE, reason, full=full, wait=wait, timeout=timeout)


app.command("approve", epilog=EPILOG)(signed.approve)
app.command("reject", epilog=EPILOG)(signed.reject)


# ---------------------------------------------------------------- trying


app.command("plan", epilog=EPILOG)(measured.plan_queries)
app.command("backtest", epilog=EPILOG)(measured.backtest_release)
app.command("preflight", epilog=EPILOG)(measured.preflight_release)


def _list_scenarios(wanted: bool) -> None:
    if wanted:
        from sparkrelease.cli.simulate import list_scenarios

        list_scenarios()
        raise typer.Exit


@app.command("simulate", epilog=EPILOG)
def simulate_release(
    *,
    files: o.Manifests,
    policies: o.Policies = None,
    scenarios: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            metavar="NAME[=VALUE][@WHEN]",
            help="healthy, noisy, quiet=1, errors=2%, latency=+25%, late=2%@35m, leak=3, incident=5%, blind=10m; "
            "--list says what each does; may be repeated; all of them if absent.",
            show_default=False,
        ),
    ] = None,
    _list: Annotated[
        bool, typer.Option("--list", callback=_list_scenarios, is_eager=True, help="Say what each scenario does.")
    ] = False,
    rps: Annotated[float, typer.Option(help="Requests a second of both versions together.", min=0.01)] = 50.0,
    errors: Annotated[float, typer.Option(help="Share of requests that fail in good health.", min=0, max=0.5)] = 0.001,
    p95: Annotated[
        float | None,
        typer.Option(help="Latency in good health, seconds; below the rules' limits if absent.", min=0.0001),
    ] = None,
    scrape: Annotated[str, typer.Option(help="How often Prometheus scrapes, such as 15s.")] = "15s",
    runs: Annotated[int, typer.Option(help="Runs of each scenario.", min=1, max=100_000)] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the first run; the next ones follow.", min=0)] = 1,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Draw the first run of each scenario into this file.")
    ] = None,
    output: o.EntriesOutput = o.TableFormat.TABLE,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code", help="Leave with 1 when a good version is not promoted, or a bad one mostly let through."
        ),
    ] = False,
) -> None:
    """Try the release's rules on made-up traffic: what they catch, how fast, and what they roll back for nothing."""
    from sparkrelease.cli.manifests import read_manifest
    from sparkrelease.cli.simulate import Wanted, read_scenarios, run_simulation, traffic_of

    traffic = traffic_of(rps=rps, errors=errors, p95=p95, scrape=o.seconds(scrape, "--scrape"))
    wanted = Wanted(read_scenarios(scenarios or ()), traffic, runs, seed)
    manifest = read_manifest(files, policies or ())
    code = run_simulation(manifest, wanted, chart=svg, form=output, judge=exit_code)
    raise typer.Exit(code)


# ---------------------------------------------------------------- evidence


@evidence.command("verify", epilog=EPILOG)
def evidence_verify(
    name: o.Name,
    *,
    run: o.RunName = None,
    from_dir: o.FromDir = None,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Check every link of the chain and its head, and name the first broken entry (exit code 1)."""
    from sparkrelease.cli.kept import checked_files
    from sparkrelease.cli.show import show_checked, verify_evidence

    if from_dir is not None:
        raise typer.Exit(show_checked(checked_files(from_dir, name, namespace, run)))
    raise typer.Exit(verify_evidence(_connect(kubeconfig, context, namespace), name, run))


@evidence.command("show", epilog=EPILOG)
def evidence_show(
    name: o.Name,
    *,
    run: o.RunName = None,
    namespace: o.Namespace = None,
    output: o.EntriesOutput = o.TableFormat.TABLE,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Print the entries of a run."""
    from sparkrelease.cli.show import show_evidence

    show_evidence(_connect(kubeconfig, context, namespace), name, run, output)


@evidence.command("replay", epilog=EPILOG)
def evidence_replay(
    name: o.Name,
    *,
    run: o.RunName = None,
    from_dir: o.FromDir = None,
    namespace: o.Namespace = None,
    output: o.Output = o.Format.TEXT,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Make every decision of a run again from its evidence, and name the first that comes out otherwise (7)."""
    from sparkrelease.cli.replay import replay_evidence, replay_files

    if from_dir is not None:
        raise typer.Exit(replay_files(from_dir, name, namespace, run, output))
    raise typer.Exit(replay_evidence(_connect(kubeconfig, context, namespace), name, run, output))


evidence.command("export", epilog=EPILOG)(documents.export_evidence)
app.command("report", epilog=EPILOG)(documents.show_report)


@app.callback()
def root() -> None:
    """Look at releases and act on them."""


def main() -> None:
    """Run the command line; leaves with the exit code of the command."""
    try:
        app()
    except CliError as error:
        from sparkrelease.cli.screen import print_error

        print_error(str(error))
        sys.exit(error.code)
