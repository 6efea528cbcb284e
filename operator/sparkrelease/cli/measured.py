"""Commands that ask a metrics server: `plan`, `backtest` and `preflight`. They import what they need when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparkrelease.cli import options as o
from sparkrelease.cli.exits import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sparkrelease.api.config import OperatorConfig
    from sparkrelease.cli.cluster import Cluster
    from sparkrelease.cli.manifests import Manifest


def plan_queries(
    name: o.OptionalName = None,
    *,
    files: o.OptionalManifests = None,
    policies: o.Policies = None,
    prometheus: o.PrometheusURL = None,
    config: o.ConfigFile = None,
    namespace_label: o.NamespaceLabel = None,
    service_label: o.ServiceLabel = None,
    output: o.Output = o.Format.TEXT,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Print every PromQL query a release will cause, how often, and what each answers now for stable and canary."""
    from sparkrelease.cli.planning import show_plan

    target = _target(name, files, policies, lambda: _connect(kubeconfig, context, namespace)).placed(namespace)
    servers = _servers(target, config, prometheus, namespace_label, service_label)
    raise typer.Exit(show_plan(target, servers, output, ask=prometheus is not None or config is not None))


def preflight_release(
    name: o.OptionalName = None,
    *,
    files: o.OptionalManifests = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option(
            "--policy-file",
            "--policy",
            help="File with the ReleasePolicy it names; may be repeated.",
            show_default=False,
        ),
    ] = None,
    prometheus: o.PrometheusURL = None,
    config: o.ConfigFile = None,
    namespace_label: o.NamespaceLabel = None,
    service_label: o.ServiceLabel = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no cluster; what needs one is skipped, and said to be.")
    ] = False,
    output: o.Output = o.Format.TEXT,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Try what keeps a run from starting, from here and now; creates nothing.

    Leaves with 1 when something fails, else with 9 when something required was skipped.
    """
    from sparkrelease.cli.byhand import From
    from sparkrelease.cli.preflight import show_preflight

    target = _target(name, files, policies, lambda: _connect(kubeconfig, context, namespace)).placed(namespace)
    servers = _servers(target, config, prometheus, namespace_label, service_label)
    cluster: Cluster | str = "--offline" if offline else _cluster_or_why(kubeconfig, context, namespace)
    here = From(cluster, servers, ask=prometheus is not None or config is not None, configured=config is not None)
    raise typer.Exit(show_preflight(target, here, output))


def _cluster_or_why(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Cluster | str:
    """The cluster, or why there is none: a release can be tried before there is one."""
    try:
        return _connect(kubeconfig, context, namespace)
    except CliError as error:
        return str(error)


def _servers(
    target: Manifest, config: Path | None, url: str | None, namespace_label: str | None, service_label: str | None
) -> OperatorConfig:
    """The servers to ask, by what the command line says of them."""
    from sparkrelease.cli.servers import config_of

    named = target.spec.prometheus
    return config_of(named, config=config, url=url, namespace_label=namespace_label, service_label=service_label)


def _named(name: str | None, files: list[Path] | None) -> None:
    if (name is None) == (not files):
        raise CliError(ExitCode.USAGE, "name a release of the cluster, or give the file of one with -f")


def _target(
    name: str | None, files: list[Path] | None, policies: list[Path] | None, connect: Callable[[], Cluster]
) -> Manifest:
    """The release meant: that of a file, or that of the cluster."""
    from sparkrelease.cli.manifests import read_manifest, release_of

    _named(name, files)
    return read_manifest(files, policies or ()) if files else release_of(connect(), name or "")


def backtest_release(
    name: o.OptionalName = None,
    *,
    files: o.OptionalManifests = None,
    policies: o.Policies = None,
    prometheus: o.PrometheusURL = None,
    config: o.ConfigFile = None,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="RFC 3339, or a span before now: -7d.")] = "-1d",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="RFC 3339, a span before now, or now.")] = "now",
    step: Annotated[str, typer.Option("--step", help="Pause between two looks, such as 15s.")] = "15s",
    stable: Annotated[
        str | None, typer.Option("--stable", help="Service whose series are stable's.", show_default=False)
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option("--canary", help="Service whose series are canary's; stable's own if absent.", show_default=False),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", metavar="AGO", help="Take the Service as it was then (7d) for stable."),
    ] = None,
    incidents: Annotated[
        list[str] | None,
        typer.Option(
            "--incident", metavar="FROM/TO", help="When something was wrong; may be repeated.", show_default=False
        ),
    ] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Draw a chart into this file.")] = None,
    output: Annotated[o.ReportFormat, typer.Option("--output", "-o", help="How to print.")] = o.ReportFormat.TABLE,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Leave with 1 for a rollback outside, or an incident missed.")
    ] = False,
    namespace_label: o.NamespaceLabel = None,
    service_label: o.ServiceLabel = None,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Try the release's rules on the past of Prometheus: what they would have rolled back, and what they would miss."""
    from datetime import UTC, datetime

    from sparkrelease.cli.backtesting import Wanted, read_incidents, read_span, roles_of, run_backtest

    _named(name, files)
    if prometheus is None and config is None:
        raise CliError(ExitCode.USAGE, "say which server with --prometheus URL or --config FILE")
    now = datetime.now(UTC)
    span, roles = read_span(begin, end, step, now), roles_of(stable, canary, control)
    wanted = Wanted(span, roles, read_incidents(incidents or (), now))
    target = _target(name, files, policies, lambda: _connect(kubeconfig, context, namespace)).placed(namespace)
    servers = _servers(target, config, prometheus, namespace_label, service_label)
    code = run_backtest(target, servers, wanted, chart=svg, form=output, judge=exit_code)
    raise typer.Exit(code)


def _connect(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Cluster:
    from sparkrelease.cli.cluster import connect

    return connect(kubeconfig, context, namespace)
