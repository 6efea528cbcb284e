"""`preflight`: what keeps a run from starting, tried from a person's machine, with the operator's own judgement.

Nothing is created. What only the operator can do is skipped, and said to be: a Job is made by it alone, and a Service
answers inside the cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from sparkrelease.adapters.alerts import HttpAlerts
from sparkrelease.adapters.kubernetes.deployments import KubernetesDeployments
from sparkrelease.adapters.preflight.artifacts import Artifacts
from sparkrelease.adapters.preflight.gets import Gets
from sparkrelease.adapters.preflight.hosts import place_of
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.config import OperatorConfig, PreflightConfig
from sparkrelease.api.flags import weight_of
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.cli.behind import pods_behind
from sparkrelease.cli.cluster import Cluster
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.options import Format
from sparkrelease.cli.render.preflight import describe_tried, render_tried
from sparkrelease.cli.screen import WIDE, print_data, print_text
from sparkrelease.cli.tried import Result, Tried
from sparkrelease.decide.facts import Check, Finding, Problem
from sparkrelease.decide.managed import findings_of, why_unusable
from sparkrelease.decide.metricchecks import baseline_findings
from sparkrelease.decide.preflight.answers import PreflightAnswer, Unanswered
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.engine.checks import Checks
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.api_server import Reply
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.deployments import Owner
from sparkrelease.ports.preflight import Subject

ATTEMPT = "by-hand"


@dataclass(frozen=True, slots=True)
class From:
    """Where this is tried from. `cluster` is why there is none, where there is none; `ask` whether a server is named.

    `configured`: whether the operator's configuration was given, and with it allowed hosts and the alerts it asks for.
    """

    cluster: Cluster | str
    config: OperatorConfig
    ask: bool
    configured: bool


class _Reads:
    """The ApiServer of a person: reads alone, with that person's rights."""

    def __init__(self, cluster: Cluster | str) -> None:
        self._cluster = cluster

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        **_: object,
    ) -> Reply:
        """See ApiServer; everything but a read is refused."""
        if isinstance(self._cluster, str):
            return Reply(0, {}, Problem(Reason.API_SERVER_UNREACHABLE, self._cluster))
        if method != "GET":
            return Reply(0, {}, Problem(Reason.FORBIDDEN, "nothing is written from here"))
        try:
            return await asyncio.to_thread(self._cluster.get, path, query)
        except CliError as error:
            return Reply(0, {}, Problem(Reason.API_SERVER_UNREACHABLE, str(error)))


class _FromHere:
    """A PreflightRunner that does what can be done from here, and remembers what it skipped, and why."""

    def __init__(self, here: From) -> None:
        api = _Reads(here.cluster)
        self._here = here
        self._artifacts = Artifacts(api, here.config.preflight)
        self._gets = Gets(api, here.config.preflight)
        self.skipped: dict[str, str] = {}

    def turn(self, _: PreflightItem) -> AbstractAsyncContextManager[None]:
        """See PreflightRunner; one release's items crowd nobody."""
        return nullcontext()

    async def run(self, subject: Subject, item: PreflightItem) -> PreflightAnswer:
        """See PreflightRunner."""
        if item.job is not None:
            return self._skip(item, "a Job would be created; the operator does that")
        if item.http is not None:
            return await self._get(subject, item)
        if isinstance(self._here.cluster, str):
            return self._skip(item, f"needs the cluster: {self._here.cluster}")
        return await self._artifacts.read(subject, item)

    async def clean(self, subject: Subject, items: Sequence[PreflightItem]) -> None:
        """See PreflightRunner; nothing was made."""

    async def _get(self, subject: Subject, item: PreflightItem) -> PreflightAnswer:
        url = item.http or ""
        place = place_of(url, subject.namespace, self._here.config.preflight.hosts)
        if not isinstance(place, str) and place.service is not None:
            return self._skip(item, f"Service {place.service} answers inside the cluster")
        if isinstance(place, str) and not self._here.configured:
            # Nobody said which hosts are allowed there; from here a person may ask what a browser may.
            host = place_host(url)
            own = PreflightConfig(hosts=(host,)) if host else PreflightConfig()
            return await Gets(_Reads(self._here.cluster), own).get(subject.namespace, url)
        return await self._gets.get(subject.namespace, url)

    def _skip(self, item: PreflightItem, why: str) -> Unanswered:
        self.skipped[item.name] = why
        return Unanswered(Verdict.ERROR, why)


def place_host(url: str) -> str:
    """Host and port of a URL as an entry of an allow-list; empty when there is none."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].lower()


# ---------------------------------------------------------------- trying


def try_preflight(target: Manifest, here: From) -> list[Tried]:
    """Everything that can be tried from here, in the order a person reads it: what is built in, then the items."""
    return asyncio.run(_try(target, here))


async def _try(target: Manifest, here: From) -> list[Tried]:
    key, spec = ObjectKey(target.namespace, target.name), target.spec
    source = PrometheusSource(here.config.servers)
    runner = _FromHere(here)
    checks = Checks(runner, source, here.config.servers, _now, HttpAlerts(here.config.servers))
    lines: list[Tried] = []
    try:
        if here.ask:
            lines += await _measured(target, here, source)
        else:
            text = "say which server with --prometheus URL or --config FILE"
            lines.append(Tried("metrics", "built in", Result.SKIP, text))
            runner.skipped |= {item.name: text for item in spec.preflight if item.promql is not None}
        lines += await _alerts(target, here, checks)
        lines += await (_services(target, here) if spec.workload is None else _workload(target, here))
        lines.append(await _weights(target, here))
        tried = spec.model_copy(
            update={"preflight": tuple(item for item in spec.preflight if item.name not in runner.skipped)}
        )
        done = {check.name: check for check in await _items(checks, key, tried)}
        lines += [_line(item, done.get(item.name), runner.skipped.get(item.name)) for item in spec.preflight]
    finally:
        source.close()
    return lines


def _found(what: str, findings: Sequence[Finding], fine: str) -> list[Tried]:
    """A line for each finding of what is built in; one that it passed where there is none."""
    told = [Tried(f.check, "built in", Result.FAIL if f.fatal else Result.WARN, f.problem.message) for f in findings]
    return told or [Tried(what, "built in", Result.PASS, fine)]


async def _measured(target: Manifest, here: From, source: PrometheusSource) -> list[Tried]:
    """What the operator asks of the metrics server: queries, targets, and baselines that rules compare with."""
    key, spec, now = ObjectKey(target.namespace, target.name), target.spec, _now()
    services = (spec.traffic.stable.service, spec.traffic.canary.service)
    pods = await pods_behind(_Reads(here.cluster), target.namespace, services)
    unknown = pods if isinstance(pods, Problem) else None
    measuring = Measurements(source, here.config, pods=None if isinstance(pods, Problem) else pods)
    findings = await measuring.preflight(key, spec, now)
    findings += baseline_findings(spec, await measuring.baselines(key, spec, now))
    lines = _found("metrics", findings, "every query that a rule reads is answered and matches series")
    if unknown is not None:
        text = f"which pods there should be needs the cluster: {unknown.message}"
        lines.append(Tried("targets", "built in", Result.SKIP, text))
    return lines


async def _alerts(target: Manifest, here: From, checks: Checks) -> list[Tried]:
    """Whether the alerts the administrator asks for are there and heard. Which they are, the configuration says."""
    if not here.configured:
        text = "the operator's configuration says which must be there; give it with --config FILE"
        return [Tried("alerts", "built in", Result.SKIP, text)]
    server = here.config.servers.get(target.spec.prometheus)
    wanted = server.alerts if server is not None else None
    text = f"loaded and not silenced: {', '.join(wanted)}" if wanted else "none is asked for"
    return _found("alerts", await checks.built_in(ObjectKey(target.namespace, target.name), target.spec), text)


async def _items(checks: Checks, key: ObjectKey, spec: ResolvedSpec) -> tuple[Check, ...]:
    if not spec.preflight:
        return ()
    ended = asyncio.Event()
    checks.wake = lambda _: ended.set()
    while True:
        ended.clear()
        found = await checks.look(key, "", spec, ATTEMPT)
        if all(check.verdict is not None for check in found):
            return found
        await ended.wait()


async def _services(target: Manifest, here: From) -> list[Tried]:
    """Whether both Services are there, as far as this person may see them."""
    if isinstance(here.cluster, str):
        return [Tried("services", "built in", Result.SKIP, f"needs the cluster: {here.cluster}")]
    lines = []
    for side in (target.spec.traffic.stable, target.spec.traffic.canary):
        path = f"/api/v1/namespaces/{target.namespace}/services/{side.service}"
        reply = await _Reads(here.cluster).request("GET", path)
        if reply.problem is None:
            lines.append(Tried(f"service {side.service}", "built in", Result.PASS, "there"))
        elif reply.not_found:
            text = f"does not exist in namespace {target.namespace}"
            lines.append(Tried(f"service {side.service}", "built in", Result.FAIL, text))
        else:
            lines.append(Tried(f"service {side.service}", "built in", Result.SKIP, reply.problem.message))
    return lines


async def _workload(target: Manifest, here: From) -> list[Tried]:
    """Whether the workload can be kept, as far as this person may see it; Services that are missing will be made."""
    spec = target.spec
    if isinstance(here.cluster, str) or spec.workload is None:
        return [Tried("workload", "built in", Result.SKIP, f"needs the cluster: {here.cluster}")]
    services = (spec.traffic.stable.service, spec.traffic.canary.service)
    owner = Owner(target.namespace, target.name, spec.workload.deployment, services)
    seen = await KubernetesDeployments(_Reads(here.cluster)).look(owner)
    if seen.problem is not None:
        return [Tried("workload", "built in", Result.SKIP, seen.problem.message)]
    unusable = why_unusable(target.namespace, seen)
    if unusable is not None:
        return [Tried("workload", "built in", Result.FAIL, unusable.message)]
    copy = "is there" if seen.stable.exists else "will be made"
    text = f"Deployment {seen.candidate.name} can be kept; its copy {seen.stable.name} {copy}"
    warned = [Tried(f.check, "built in", Result.WARN, f.problem.message) for f in findings_of(seen)]
    return [Tried("workload", "built in", Result.PASS, text), *warned]


async def _weights(target: Manifest, here: From) -> Tried:
    """What holds the weights; of a flag its value, as far as this person may see it."""
    flag = target.spec.traffic.feature_flag
    if flag is None:
        return Tried("route", "built in", Result.SKIP, "the operator tries a write of it (dry run)")
    where = f"flag {flag.config_map}/{flag.key}"
    if isinstance(here.cluster, str):
        return Tried(where, "built in", Result.SKIP, f"needs the cluster: {here.cluster}")
    path = f"/api/v1/namespaces/{target.namespace}/configmaps/{flag.config_map}"
    reply = await _Reads(here.cluster).request("GET", path)
    if reply.not_found:
        text = f"ConfigMap {flag.config_map} does not exist in namespace {target.namespace}"
        return Tried(where, "built in", Result.FAIL, text)
    if reply.problem is not None:
        return Tried(where, "built in", Result.SKIP, reply.problem.message)
    data = reply.body.get("data")
    value = data.get(flag.key) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        return Tried(where, "built in", Result.FAIL, "there is no such key; add it with the value 0")
    if weight_of(value) != 0:
        return Tried(where, "built in", Result.FAIL, f"holds {value[:64]!r}; a run begins with it off: set it to 0")
    return Tried(where, "built in", Result.PASS, "holds 0; the operator tries a write of it (dry run)")


def _line(item: PreflightItem, check: Check | None, skipped: str | None) -> Tried:
    if skipped is not None or check is None:
        return Tried(item.name, item.asks, Result.SKIP, skipped or "not tried")
    if check.verdict is Verdict.PASS:
        return Tried(item.name, item.asks, Result.PASS, check.message)
    return Tried(item.name, item.asks, Result.WARN if item.optional else Result.FAIL, check.message)


def _now() -> datetime:
    return datetime.now(UTC)


# ---------------------------------------------------------------- printing


def show_preflight(target: Manifest, here: From, form: Format) -> ExitCode:
    """Prints a line for everything tried; BAD when something that is required failed."""
    lines = try_preflight(target, here)
    name = f"{target.namespace}/{target.name} {target.spec.version}"
    if form is Format.TEXT:
        print_text(render_tried(name, lines), piped_width=WIDE)
    else:
        print_data(describe_tried(name, lines), form)
    return ExitCode.BAD if any(line.result is Result.FAIL for line in lines) else ExitCode.FINE
