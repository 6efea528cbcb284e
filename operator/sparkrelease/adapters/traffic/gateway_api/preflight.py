"""Checks before any traffic moves. Reads, and writes with dryRun only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from sparkrelease.adapters.traffic.gateway_api.cache import RouteCache
from sparkrelease.adapters.traffic.gateway_api.conflicts import claim_of, older_rival
from sparkrelease.adapters.traffic.gateway_api.document import RouteKey, RouteObject, objects, ports_of, text
from sparkrelease.adapters.traffic.gateway_api.door import RouteDoor, api_missing, unread, words
from sparkrelease.adapters.traffic.gateway_api.gitops import missing_ignore_rule
from sparkrelease.adapters.traffic.gateway_api.marks import epoch_of
from sparkrelease.adapters.traffic.gateway_api.mirroring import mirror_findings, not_kept
from sparkrelease.adapters.traffic.gateway_api.owned import is_ours, owned_spec
from sparkrelease.adapters.traffic.gateway_api.status import acceptance
from sparkrelease.adapters.traffic.gateway_api.vocabulary import RELEASE
from sparkrelease.adapters.traffic.gateway_api.weights import pair_of
from sparkrelease.adapters.traffic.gateway_api.writes import Create, Patch, decide_write, key_of, owned_of, rules_of
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ServiceRef
from sparkrelease.decide.facts import Finding, Problem, RouteMark
from sparkrelease.decide.plan import SetWeight
from sparkrelease.ports.api_server import Reply
from sparkrelease.ports.traffic import Target

_PROBE = "preflight"


class Preflight:
    """The checks of one provider; `read` asks for a route and puts the answer into the cache."""

    def __init__(self, door: RouteDoor, cache: RouteCache, read: Callable[[RouteKey], Awaitable[Reply]]) -> None:
        self._door = door
        self._cache = cache
        self._read = read

    async def findings(self, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        """All findings; a route that is not there or cannot be read is the only one.

        `mirrors` are the shares of requests (percent) that stages mirror.

        A route that watches have shown is not read again: the write with dryRun tests its identity, generation and
        weights, so one that changed meanwhile is refused. What is found wrong is looked at again in a fresh answer.
        """
        known = self._cache.get(key_of(target))
        found = await self._look(target, known, mirrors) if known is not None else None
        if found is None or any(finding.fatal for finding in found):
            return await self._look_afresh(target, mirrors)
        return found

    async def _look_afresh(self, target: Target, mirrors: Sequence[float]) -> tuple[Finding, ...]:
        reply = await self._read(key_of(target))
        if api_missing(reply):
            return (_fatal("route", Reason.ROUTE_API_MISSING, _API_MISSING.format(target.kind)),)
        if unread(reply):
            return (_fatal("route", Reason.ROUTE_WRITE_FAILED, f"{key_of(target)} cannot be read: {words(reply)}"),)
        route = self._cache.get(key_of(target)) if reply.ok else None
        if route is None and not target.owned:
            message = f"{key_of(target)} does not exist; create it, or let the release own its route"
            return (_fatal("route", Reason.ROUTE_NOT_FOUND, message),)
        return await self._look(target, route, mirrors)

    async def _look(self, target: Target, route: RouteObject | None, mirrors: Sequence[float]) -> tuple[Finding, ...]:
        found = [*_shape(target, route), *self._rival(target, route)]
        found += mirror_findings(target, route, mirrors, self._cache.features_of)
        if route is not None:
            found += [
                *self._acceptance(target, route),
                *_gitops(target, route, mirrors),
                *await self._claimed(target, route),
            ]
        for ref in (target.traffic.stable, target.traffic.canary):
            found += await self._service(target, ref)
        if not any(finding.fatal for finding in found):
            found += await self._permission(target, route, min(mirrors, default=0.0))
        return tuple(found)

    def _rival(self, target: Target, route: RouteObject | None) -> list[Finding]:
        owned = owned_of(target)
        if owned is not None:
            spec = owned_spec(owned, target.traffic, pair_of(0))
            rules = objects(spec.get("rules"))
        elif route is not None:
            managed = rules_of(target, route)
            spec = dict(route.spec)
            rules = () if isinstance(managed, Problem) else tuple(route.rules[rule.index] for rule in managed)
        else:
            return []
        ours = claim_of(key_of(target), route.created if route is not None else "", spec, rules)
        rival = older_rival(ours, self._cache.routes_of_hosts(target.kind, ours.hostnames))
        if rival is None:
            return []
        message = f"{rival} is older and takes the same requests on the same parent; remove it or change its matches"
        return [_fatal("conflict", Reason.ROUTE_CONFLICT, message)]

    def _acceptance(self, target: Target, route: RouteObject) -> list[Finding]:
        """A route that its gateway refuses now will not take a weight; an owned one is rewritten first."""
        if target.owned and not is_ours(route, target.release):
            return []
        answer = acceptance(route, self._cache.controller_of)
        refused = answer.reason is Reason.ROUTE_NOT_ACCEPTED
        return [_fatal("acceptance", answer.reason, answer.message)] if refused else []

    async def _claimed(self, target: Target, route: RouteObject) -> list[Finding]:
        """Another living release, or an object that owns the route, would fight for it."""
        if target.owned and route.owners:
            message = f"{key_of(target)} belongs to {', '.join(route.owners)}, which may change or delete it"
            return [_fatal("conflict", Reason.ROUTE_CONFLICT, f"{message}; give the release a route of its own")]
        other = route.annotation(RELEASE) or route.label(RELEASE)
        if not other or other == target.release or is_ours(route, target.release):
            return []
        reply = await self._door.release(target.namespace, other)
        if reply.not_found:
            return []
        message = f"{key_of(target)} is used by SparkRelease {other}; one route serves one release"
        return [_fatal("conflict", Reason.ROUTE_CONFLICT, message)]

    async def _service(self, target: Target, ref: ServiceRef) -> list[Finding]:
        if ref.port in self._cache.ports(target.namespace, ref.service):
            return []
        reply = await self._door.service(target.namespace, ref.service)
        if reply.not_found:
            message = f"Service {ref.service} does not exist in namespace {target.namespace}"
            return [_fatal("services", Reason.SERVICE_NOT_FOUND, message)]
        if not reply.ok:
            message = f"Service {ref.service} cannot be read: {words(reply)}"
            return [_warning("services", Reason.SERVICE_NOT_FOUND, message)]
        ports = ports_of(reply.body)
        if ref.port in ports:
            return []
        message = f"Service {ref.service} has no port {ref.port}; it has {', '.join(map(str, ports)) or 'none'}"
        return [_fatal("services", Reason.INVALID_SPEC, message)]

    async def _permission(self, target: Target, route: RouteObject | None, mirror: float) -> list[Finding]:
        """Writes what the first weight or mirror would write, with dryRun: rights, admission and the schema answer."""
        epoch = epoch_of(route) if route is not None else 0
        probe = SetWeight(0, RouteMark(run=_PROBE, epoch=epoch, mirror=mirror), mirror)
        write = decide_write(route, target, probe, epoch)
        if isinstance(write, Patch):
            reply = await self._door.patch(key_of(target), write.ops, dry_run=True)
        elif isinstance(write, Create):
            reply = await self._door.create(key_of(target), write.manifest, dry_run=True)
        elif isinstance(write, Problem):
            return [Finding("permission", True, write)]
        else:
            return []
        return _refusal(target, reply) or not_kept(target, reply, mirror)


_API_MISSING = "the cluster does not serve {0} in gateway.networking.k8s.io/v1; install the Gateway API"


def _refusal(target: Target, reply: Reply) -> list[Finding]:
    if reply.ok:
        return []
    if reply.status == HTTPStatus.FORBIDDEN:
        message = f"the operator may not write {key_of(target)}; give it create, patch and delete: {words(reply)}"
    elif reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        message = f"the API server refuses a weight on {key_of(target)}: {words(reply)}"
    else:
        message = f"{key_of(target)} cannot be written: {words(reply)}"
    return [_fatal("permission", Reason.ROUTE_WRITE_FAILED, message)]


def _shape(target: Target, route: RouteObject | None) -> list[Finding]:
    """A referenced route's managed rules hold both Services, and nothing else that has a weight."""
    if target.owned or route is None:
        return []
    rules = rules_of(target, route)
    if isinstance(rules, Problem):
        return [Finding("rules", True, rules)]
    crowded = ", ".join(rule.name or str(rule.index) for rule in rules if rule.others)
    message = f"{key_of(target)} has further backends with a weight in rule {crowded}; set their weight to 0"
    return [_fatal("rules", Reason.ROUTE_INVALID, message)] if crowded else []


def _gitops(target: Target, route: RouteObject, mirrors: Sequence[float]) -> list[Finding]:
    if target.owned:
        return []
    gateway = target.traffic.gateway_api
    rule = gateway.route.rule if gateway is not None and gateway.route is not None else None
    problem = missing_ignore_rule(route, text(rule) or None, mirrors=bool(mirrors))
    return [Finding("gitops", False, problem)] if problem is not None else []


def _fatal(check: str, reason: Reason, message: str) -> Finding:
    return Finding(check, True, Problem(reason, message))


def _warning(check: str, reason: Reason, message: str) -> Finding:
    return Finding(check, False, Problem(reason, message))
