"""What holds the weights, looked at by its provider's own checks, with what a person may read and without a write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from sparkrelease.adapters.clock import SystemClock
from sparkrelease.adapters.kubernetes.lists import list_pages
from sparkrelease.adapters.kubernetes.paths import GATEWAY_API
from sparkrelease.adapters.traffic.feature_flag.provider import FeatureFlagProvider
from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider
from sparkrelease.adapters.traffic.gateway_api.vocabulary import PLURALS
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.byhand import From
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.reads import Reads
from sparkrelease.cli.tried import Result, Tried
from sparkrelease.decide.facts import Finding, Problem
from sparkrelease.decide.stages import mirrors_of
from sparkrelease.decide.traffic import not_on_stable
from sparkrelease.engine.targets import FLAG, target_of
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.traffic import Target, TrafficProvider

_KIND = "built in"
_DRY_RUN = "the operator tries a write of it (dry run)"


async def weights(target: Manifest, here: From) -> list[Tried]:
    """Whether the route, or the flag, is one that a run can begin with."""
    meant = target_of(ObjectKey(target.namespace, target.name), "", target.spec.traffic)
    flag = target.spec.traffic.feature_flag
    name = f"flag {flag.config_map}/{flag.key}" if flag is not None else f"route {meant.route_name}"
    if isinstance(here.cluster, str):
        return [Tried(name, _KIND, Result.SKIP, f"needs the cluster: {here.cluster}")]
    api = Reads(here.cluster)
    provider: TrafficProvider
    lines: list[Tried] = []
    if flag is not None:
        provider = FeatureFlagProvider(api, api, SystemClock())
    else:
        provider = gateway = GatewayAPIProvider(api, api, SystemClock())
        lines = await _shown(gateway, api, meant)
    seen = await provider.refresh(meant)
    if seen.problem is not None and seen.problem.reason is Reason.ROUTE_WRITE_FAILED:
        return [Tried(name, _KIND, Result.SKIP, seen.problem.message)]
    found = list(await provider.preflight(meant, mirrors_of(target.spec)))
    if not any(finding.fatal for finding in _apart_from_here(found, api)):
        found += _not_at_rest(provider, meant)
    told = [_line(name, finding) for finding in _apart_from_here(found, api)]
    if not any(line.result is Result.FAIL for line in told):
        told.insert(0, Tried(name, _KIND, Result.PASS, _fine(meant, exists=seen.exists)))
    return [*told, *lines]


async def _shown(provider: GatewayAPIProvider, api: Reads, meant: Target) -> list[Tried]:
    """Shows the provider what watches show the operator: routes that may be in the way, and who controls a Gateway."""
    lines = []
    for kind, plural in (
        (meant.kind, PLURALS[meant.kind]),
        ("Gateway", "gateways"),
        ("GatewayClass", "gatewayclasses"),
    ):
        listed = await list_pages(api, f"{GATEWAY_API}/{plural}")
        if isinstance(listed, Problem) and kind != "GatewayClass":
            if kind == meant.kind and listed.reason is not Reason.OBJECT_NOT_FOUND:
                text = f"routes of other namespaces that may take its requests cannot be seen: {listed.message}"
                lines.append(Tried("route/conflict", _KIND, Result.SKIP, text))
            listed = await list_pages(api, f"{GATEWAY_API}/namespaces/{quote(meant.namespace)}/{plural}")
        for body in () if isinstance(listed, Problem) else listed:
            provider.see(kind, None, body)
    return lines


def _apart_from_here(found: Sequence[Finding], api: Reads) -> Iterator[Finding]:
    """What is left without the write that was kept back here, and Services, which have lines of their own."""
    for finding in found:
        if finding.check == "permission" and api.kept_back:
            continue
        if finding.problem.reason is not Reason.SERVICE_NOT_FOUND:
            yield finding


def _not_at_rest(provider: TrafficProvider, meant: Target) -> list[Finding]:
    """Whether canary gets something already. An owned route is written anew; that of a run is set back at its end."""
    route = provider.observe(meant)
    if meant.owned or not route.exists or (route.mark is not None and route.mark.run):
        return []
    problem = not_on_stable(route)
    if problem is None:
        return []
    if meant.kind == FLAG:
        text = f"holds {route.original!r}; a run begins with it off: set it to 0"
        problem = Problem(problem.reason, text)
    return [Finding("rest", True, problem)]


def _line(name: str, finding: Finding) -> Tried:
    shown = name if finding.check in {"route", "flag", "rest"} else f"{name.split(maxsplit=1)[0]}/{finding.check}"
    return Tried(shown, _KIND, Result.FAIL if finding.fatal else Result.WARN, finding.problem.message)


def _fine(meant: Target, *, exists: bool) -> str:
    if meant.kind == FLAG:
        return f"holds 0; {_DRY_RUN}"
    if not exists:
        return f"the operator makes {meant.kind} {meant.route_name}; it tries that first (dry run)"
    return f"{meant.kind} {meant.route_name} can take a weight, and canary has none; {_DRY_RUN}"
