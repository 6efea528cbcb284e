"""Composition root: builds the adapters, hands them to the engine and starts the process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError

from sparkrelease import __version__
from sparkrelease.adapters.alerts import HttpAlerts
from sparkrelease.adapters.clock import SystemClock
from sparkrelease.adapters.kubernetes.client import ApiClients, ClientError, Identity, lease_lane, open_clients
from sparkrelease.adapters.kubernetes.deployments import KubernetesDeployments
from sparkrelease.adapters.kubernetes.events import KubernetesEvents
from sparkrelease.adapters.kubernetes.evidence import ConfigMapEvidence
from sparkrelease.adapters.kubernetes.lists import ObjectLists
from sparkrelease.adapters.kubernetes.named import NamedObjects
from sparkrelease.adapters.kubernetes.settings import ConfigMapSettings
from sparkrelease.adapters.kubernetes.status import KubernetesStatusWriter
from sparkrelease.adapters.kubernetes.workloads import ServiceWorkloads
from sparkrelease.adapters.lease import LeaseThread, new_identity
from sparkrelease.adapters.memory import give_back_what_is_free
from sparkrelease.adapters.notify import WebhookNotifier
from sparkrelease.adapters.preflight.runner import ClusterRunner
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.adapters.traffic.by_kind import ProvidersByKind
from sparkrelease.adapters.traffic.feature_flag import FeatureFlagProvider
from sparkrelease.adapters.traffic.gateway_api import GatewayAPIProvider
from sparkrelease.api.config import OperatorConfig
from sparkrelease.decide.plan import EventDraft
from sparkrelease.decide.selectors import read_selector
from sparkrelease.engine.checks import Checks
from sparkrelease.engine.logs import LogFormat, set_up_logging
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.engine.process import Engine
from sparkrelease.engine.targets import FLAG
from sparkrelease.engine.world import World
from sparkrelease.kopf_app import Watches
from sparkrelease.ports.cluster import ObjectKey

log = logging.getLogger("sparkrelease")

GARBAGE_COLLECTION = (50_000, 20, 100)
"""Thresholds of the collector. By its defaults it goes through every object of every release several times in a tick,
which is half of what a tick of a thousand releases costs; so few cycles are made that this often is enough."""

LAST_WORDS = 0.5
"""Seconds a process that lost its leadership may take to say so."""

LONGEST_STOP = 4.0
"""Seconds a clean stop may take; the Lease is given back within them."""


class Exit(IntEnum):
    """Exit codes of the operator."""

    OK = 0
    FAILED = 1
    CONFIG = 2
    """The configuration, or the way to the API server, cannot be used."""
    LEADERSHIP_LOST = 70
    """Another process leads, or may: this one ended without another write, and is to be started anew."""


def _end(code: Exit) -> None:
    """Ends the process at once: no other code of it runs any more."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _end_within(seconds: float, code: Exit, end: Callable[[Exit], None] = _end) -> None:
    """Ends the process that late at the latest, whatever is waited for."""
    timer = threading.Timer(seconds, end, (code,))
    timer.daemon = True
    timer.start()


def _lost(why: str) -> None:
    """Ends the process, from whichever thread; a log that hangs with the rest of it gets a moment and no more."""
    _end_within(LAST_WORDS, Exit.LEADERSHIP_LOST, os._exit)
    log.critical("stopping at once: %s", why)
    _end(Exit.LEADERSHIP_LOST)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who the process is at the API server."""

    operator: Identity
    pruner: Identity | None


class OperatorProcess:
    """One process: adapters, engine and watches, from start to stop."""

    def __init__(self, config: OperatorConfig, accounts: Accounts, clients: ApiClients, *, gateways: bool) -> None:
        self._config = config
        clock = SystemClock()
        metrics = OperatorMetrics()
        api = clients.normal
        lists = ObjectLists(api, config.namespaces)
        workloads = ServiceWorkloads(api)
        routes = GatewayAPIProvider(api, clients.rollback, clock, gateways=gateways)
        flags = FeatureFlagProvider(api, clients.rollback, clock)
        identity = accounts.operator.process
        self._events = KubernetesEvents(api, instance=identity)
        self._notifier = WebhookNotifier(config.notifications, cluster=config.cluster_name or "")
        self._posting: set[asyncio.Task[None]] = set()
        self.lease = LeaseThread(lambda: lease_lane(config, accounts.operator), config.lease, identity)
        self._source = PrometheusSource(config.servers)
        self.engine = Engine(
            World(
                config=config,
                clock=clock,
                metrics=metrics,
                leadership=self.lease,
                objects=KubernetesStatusWriter(api),
                lister=lists,
                evidence=ConfigMapEvidence(api, pruner=clients.pruner),
                workloads=workloads,
                traffic=ProvidersByKind(routes, {FLAG: flags}),
                mitigations=ConfigMapSettings(api),
                measuring=Measurements(self._source, config, metrics, workloads),
                checks=Checks(
                    ClusterRunner(api, config.preflight),
                    self._source,
                    config.servers,
                    clock.now,
                    HttpAlerts(config.servers),
                ),
                caches=(workloads, routes, flags),
                named=NamedObjects(api, clients.watching),
                fenced=_lost,
                tell=self._tell,
                notifier=self._notifier,
                deployments=KubernetesDeployments(api, self._watch_deployments),
            ),
            api_appeared=self._look_anew,
            watching=self._watching,
        )
        self._watches = Watches(
            accounts.operator,
            self.engine.intake.see,
            self.engine.resync.since,
            namespaces=config.namespaces,
            gateways=gateways,
        )

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then stops cleanly."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if self._config.http_port:
            await self.engine.health.start(os.environ.get("POD_IP") or None, self._config.http_port)
        self.engine.start()
        self._watches.start()
        posting = asyncio.create_task(self._events.run(), name="events")
        notifying = asyncio.create_task(self._notifier.run(), name="notifications")
        holding = asyncio.create_task(self.lease.run(self.engine.lead, _lost), name="lease")
        await stop.wait()
        log.info("stopping")
        _end_within(LONGEST_STOP + 0.5, Exit.OK)
        try:
            async with asyncio.timeout(LONGEST_STOP):
                await self.engine.stop()
                await self.lease.stop()
                await asyncio.gather(self._events.flush(within=1.0), self._notifier.flush(within=1.0))
        except TimeoutError:
            log.warning("not everything could be stopped in %.0f s", LONGEST_STOP)
        for task in (posting, notifying, holding):
            task.cancel()
        self._watches.stop(within=0.5)
        await self.engine.health.stop()

    def _tell(self, key: ObjectKey, uid: str, event: EventDraft) -> None:
        task = asyncio.create_task(self._events.emit(key, uid, event))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    def _watching(self) -> bool:
        return self._watches.alive()

    def _watch_deployments(self) -> None:
        self._watches.watch_deployments()

    def _look_anew(self, _: str) -> None:
        self._watches.restart()


async def serve(config: OperatorConfig, accounts: Accounts) -> Exit:
    """Opens the connections and runs one process; answers its exit code."""
    try:
        clients = await open_clients(config, accounts.operator, accounts.pruner)
    except ClientError as problem:
        typer.echo(str(problem), err=True)
        return Exit.CONFIG
    try:
        gateways = await _may_watch_gateways(clients, config)
        await OperatorProcess(config, accounts, clients, gateways=gateways).run()
    finally:
        await clients.close()
    return Exit.OK


async def _may_watch_gateways(clients: ApiClients, config: OperatorConfig) -> bool:
    """Whether Gateways and their classes may be watched; without them every controller's word about a route counts."""
    if config.namespaces:
        return False
    for plural in ("gateways", "gatewayclasses"):
        path = f"/apis/gateway.networking.k8s.io/v1/{plural}"
        reply = await clients.normal.request("GET", path, query={"limit": 1})
        if reply.status == HTTPStatus.FORBIDDEN:
            log.info("not allowed to watch %s; every controller's word about a route counts", plural)
            return False
    return True


# ---------------------------------------------------------------- command line

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"sparkrelease {__version__}")


@app.command()
def run(
    *,
    config: Annotated[Path, typer.Option(help="The operator's configuration file (YAML).")],
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig; $KUBECONFIG or the pod's account if absent.")
    ] = None,
    namespace: Annotated[list[str] | None, typer.Option(help="Serve only this namespace; may be repeated.")] = None,
    pruner_token_file: Annotated[
        Path | None, typer.Option(help="Token of the account that may delete evidence.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Form of the log.")] = LogFormat.PLAIN,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the operator until SIGTERM."""
    set_up_logging(log_format, log_level)
    gc.set_threshold(*GARBAGE_COLLECTION)
    give_back_what_is_free()
    settings = read_config(config)
    if namespace:
        settings = settings.model_copy(update={"namespaces": tuple(namespace)})
    operator = Identity(kubeconfig=kubeconfig, process=new_identity())
    pruner = replace(operator, token_file=pruner_token_file) if pruner_token_file else None
    asyncio.run(_serve_and_end(settings, Accounts(operator, pruner)))


async def _serve_and_end(config: OperatorConfig, accounts: Accounts) -> None:
    """Ends the process from within the loop: a thread that still waits for an answer keeps nobody waiting."""
    _end(await serve(config, accounts))


def read_config(path: Path) -> OperatorConfig:
    """Reads the configuration file, or ends the process with the sentence that says what is wrong with it."""
    try:
        config = OperatorConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as problem:
        faults = (f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in problem.errors())
        typer.echo(f"{path}: {'; '.join(faults)}", err=True)
    except (OSError, yaml.YAMLError) as problem:
        typer.echo(f"{path}: {problem}", err=True)
    else:
        found = tuple(_selector_faults(config))
        if not found:
            return config
        typer.echo(f"{path}: {'; '.join(found)}", err=True)
    raise typer.Exit(Exit.CONFIG)


def _selector_faults(config: OperatorConfig) -> Iterator[str]:
    for name, server in config.servers.items():
        share, gauge = server.share, server.connections
        selectors = {"share.counter": share and share.counter, "connections.gauge": gauge and gauge.gauge}
        for field, text in selectors.items():
            fault = read_selector(text) if text is not None else None
            if isinstance(fault, str):
                yield f"servers.{name}.{field}: {fault}"


def main() -> None:
    """Called by ``sparkrelease`` and ``python -m sparkrelease``."""
    app()


if __name__ == "__main__":
    main()
