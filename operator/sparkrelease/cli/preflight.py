"""`preflight`: what keeps a run from starting, tried from a person's machine, with the operator's own judgement.

Nothing is created. What only the operator can do is skipped, and said to be: a Job is made by it alone, and so is a
write that is tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from sparkrelease.adapters.alerts import HttpAlerts
from sparkrelease.adapters.kubernetes.deployments import KubernetesDeployments
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.cli.behind import pods_behind
from sparkrelease.cli.byhand import From, RunnerFromHere
from sparkrelease.cli.exits import ExitCode
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.options import Format
from sparkrelease.cli.reads import Reads
from sparkrelease.cli.render.preflight import describe_tried, render_tried
from sparkrelease.cli.routed import weights
from sparkrelease.cli.screen import WIDE, print_data, print_text
from sparkrelease.cli.tried import Result, Tried, untried
from sparkrelease.decide.facts import Check, Finding, Problem
from sparkrelease.decide.managed import findings_of, why_unusable
from sparkrelease.decide.metricchecks import baseline_findings
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.engine.checks import Checks
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.deployments import Owner

ATTEMPT = "by-hand"


# ---------------------------------------------------------------- trying


def try_preflight(target: Manifest, here: From) -> list[Tried]:
    """Everything that can be tried from here, in the order a person reads it: what is built in, then the items."""
    return asyncio.run(_try(target, here))


async def _try(target: Manifest, here: From) -> list[Tried]:
    key, spec = ObjectKey(target.namespace, target.name), target.spec
    source = PrometheusSource(here.config.servers)
    runner = RunnerFromHere(here)
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
        lines += await weights(target, here)
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
    pods = await pods_behind(Reads(here.cluster), target.namespace, services)
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
        reply = await Reads(here.cluster).request("GET", path)
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
    seen = await KubernetesDeployments(Reads(here.cluster)).look(owner)
    if seen.problem is not None:
        return [Tried("workload", "built in", Result.SKIP, seen.problem.message)]
    unusable = why_unusable(target.namespace, seen)
    if unusable is not None:
        return [Tried("workload", "built in", Result.FAIL, unusable.message)]
    copy = "is there" if seen.stable.exists else "will be made"
    text = f"Deployment {seen.candidate.name} can be kept; its copy {seen.stable.name} {copy}"
    warned = [Tried(f.check, "built in", Result.WARN, f.problem.message) for f in findings_of(seen)]
    return [Tried("workload", "built in", Result.PASS, text), *warned]


def _line(item: PreflightItem, check: Check | None, skipped: str | None) -> Tried:
    if skipped is not None or check is None:
        return Tried(item.name, item.asks, Result.SKIP, skipped or "not tried", required=not item.optional)
    if check.verdict is Verdict.PASS:
        return Tried(item.name, item.asks, Result.PASS, check.message)
    return Tried(item.name, item.asks, Result.WARN if item.optional else Result.FAIL, check.message)


def _now() -> datetime:
    return datetime.now(UTC)


# ---------------------------------------------------------------- printing


def show_preflight(target: Manifest, here: From, form: Format) -> ExitCode:
    """Prints a line for everything tried."""
    lines = try_preflight(target, here)
    name = f"{target.namespace}/{target.name} {target.spec.version}"
    if form is Format.TEXT:
        print_text(render_tried(name, lines), piped_width=WIDE)
    else:
        print_data(describe_tried(name, lines), form)
    return code_of(lines)


def code_of(lines: Sequence[Tried]) -> ExitCode:
    """BAD when something that is required failed, else UNTRIED when something of that kind was skipped."""
    if any(line.result is Result.FAIL for line in lines):
        return ExitCode.BAD
    return ExitCode.UNTRIED if untried(lines) else ExitCode.FINE
