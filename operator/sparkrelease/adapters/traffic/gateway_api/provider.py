"""Moves traffic by the weights of an HTTPRoute or GRPCRoute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from sparkrelease.adapters.traffic.gateway_api.cache import RouteCache
from sparkrelease.adapters.traffic.gateway_api.document import RouteKey, RouteObject, read_route
from sparkrelease.adapters.traffic.gateway_api.door import RouteDoor, api_missing, unread, words
from sparkrelease.adapters.traffic.gateway_api.marks import epoch_of
from sparkrelease.adapters.traffic.gateway_api.observe import WriteNote, facts_of
from sparkrelease.adapters.traffic.gateway_api.patch import stamp_patch
from sparkrelease.adapters.traffic.gateway_api.preflight import Preflight
from sparkrelease.adapters.traffic.gateway_api.vocabulary import EPOCH, PLURALS
from sparkrelease.adapters.traffic.gateway_api.writes import (
    Create,
    Fence,
    Nothing,
    Patch,
    Remove,
    Write,
    decide_write,
    key_of,
)
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Problem, Route
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.api_server import ApiServer, Reply
from sparkrelease.ports.clock import Clock
from sparkrelease.ports.traffic import Acceptance, Applied, ApplyOutcome, Capabilities, Target

_TRIES = 3
"""Attempts at a write that nobody but a gateway's status or another annotation can have got in the way of."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of apply, and the lane it goes over."""

    target: Target
    action: SetWeight | ReleaseRoute
    epoch: int
    door: RouteDoor

    @property
    def key(self) -> RouteKey:
        return key_of(self.target)

    def decide(self, route: RouteObject | None) -> Write:
        return decide_write(route, self.target, self.action, self.epoch)


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that the facts of a route are made from."""

    target: Target
    route: RouteObject | None
    note: WriteNote
    gateways: int

    def same(self, other: _Seen) -> bool:
        """Whether nothing changed. Objects are replaced and never changed, so identity tells."""
        same_target = self.target is other.target or self.target == other.target
        return same_target and self.route is other.route and self.note is other.note and self.gateways == other.gateways


@dataclass(frozen=True, slots=True)
class _Shown:
    """Facts, and what they were made from."""

    seen: _Seen
    facts: Route


_NO_NOTE = WriteNote()


class GatewayAPIProvider:
    """TrafficProvider and ObjectCache for HTTPRoute and GRPCRoute v1.

    Args:
        lane: for reading and raising.
        urgent: for writes by which canary loses traffic; short of patience, behind nothing else.
        clock: tells when a write was answered.
        gateways: whether Gateways and GatewayClasses may be watched, to know which controller has to accept a route.
    """

    def __init__(self, lane: ApiServer, urgent: ApiServer, clock: Clock, *, gateways: bool = True) -> None:
        self._door = RouteDoor(lane)
        self._urgent = RouteDoor(urgent)
        self._clock = clock
        self._cache = RouteCache(gateways=gateways)
        self._notes: dict[RouteKey, WriteNote] = {}
        self._shown: dict[RouteKey, _Shown] = {}

    # ------------------------------------------------------------ reading

    def capabilities(self) -> Capabilities:
        """Thousandths of a percent; acceptance by generation; owned routes; mirrors."""
        return Capabilities(granularity=0.001, acceptance=Acceptance.GENERATION, owned=True, mirror=True)

    def kinds(self) -> frozenset[str]:
        """Routes, and Gateways with their classes where they may be watched."""
        return self._cache.kinds()

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """Takes what a watch shows."""
        self._cache.see(kind, event, body)
        if event == "DELETED" and kind in PLURALS:
            key = read_route(kind, body).key
            self._notes.pop(key, None)
            self._shown.pop(key, None)

    def observe(self, target: Target) -> Route:
        """The route as last seen, without asking; the same object as long as nothing changed."""
        key = key_of(target)
        seen = _Seen(target, self._cache.get(key), self._notes.get(key, _NO_NOTE), self._cache.gateway_changes)
        shown = self._shown.get(key)
        if shown is None or not shown.seen.same(seen):
            shown = _Shown(seen, facts_of(target, seen.route, self._cache.controller_of, seen.note))
            self._shown[key] = shown
        return shown.facts

    async def refresh(self, target: Target) -> Route:
        """The route as the API server has it now; with `problem` when it does not say."""
        key = key_of(target)
        reply = await self._get(key, self._door)
        if not unread(reply):
            return self.observe(target)
        problem = _problem(key, reply, "read")
        seen = self.observe(target)
        return Route(exists=seen.exists, message=problem.message, problem=problem, write_problem=seen.write_problem)

    async def preflight(self, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        """What would keep a weight from being reached."""

        async def read(key: RouteKey) -> Reply:
            return await self._get(key, self._door)

        return await Preflight(self._door, self._cache, read).findings(target, mirrors)

    # ------------------------------------------------------------ writing

    async def apply(self, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Applied:
        """Carries the action out in one guarded write.

        "Unchanged" is only said of what the API server answered during this call, never of the cache.
        """
        call = _Call(target, action, epoch, self._lane_for(target, action))
        base = self._cache.get(call.key)
        write = call.decide(base)
        if base is None or isinstance(write, Nothing | Fence):
            reply = await self._get(call.key, call.door)
            if unread(reply):
                return self._failed(target, _problem(call.key, reply, "read"))
            base = self._cache.get(call.key) if reply.ok else None
            write = call.decide(base)
        match write:
            case Nothing():
                return self._unchanged(target)
            case Fence():
                return self._applied(target, ApplyOutcome.FENCED)
            case Problem():
                return self._failed(target, write)
            case Remove():
                return await self._remove(call)
            case Create() | Patch():
                return await self._send(call, base, write)

    async def stamp(self, target: Target, epoch: int, *, over: bool = False) -> Applied:
        """Writes the epoch on a marked route; tests only that no other leader did meanwhile."""
        key = key_of(target)
        reply = Reply(HTTPStatus.NOT_FOUND)
        if self._cache.get(key) is None and unread(again := await self._get(key, self._door)):
            return self._failed(target, _problem(key, again, "read"))
        for _ in range(_TRIES):
            route = self._cache.get(key)
            if route is None or route.annotation(EPOCH) is None:
                return self._applied(target, ApplyOutcome.UNCHANGED)
            fenced = epoch_of(route) > epoch
            if epoch_of(route) == epoch or (fenced and not over):
                return self._applied(target, ApplyOutcome.FENCED if fenced else ApplyOutcome.UNCHANGED)
            reply = await self._door.patch(key, stamp_patch(route, epoch))
            if reply.ok:
                self._take(key, reply)
                return self._applied(target, ApplyOutcome.CHANGED)
            if not _guarded(reply) and not reply.not_found:
                break
            again = await self._get(key, self._door)
            if unread(again):
                return self._failed(target, _problem(key, again, "read"))
        return self._failed(target, _problem(key, reply, "stamped"))

    async def _send(self, call: _Call, base: RouteObject | None, write: Create | Patch) -> Applied:
        if isinstance(write, Create):
            reply = await call.door.create(call.key, write.manifest)
        else:
            reply = await call.door.patch(call.key, write.ops)
        if reply.ok:
            return self._written(call.target, base, reply)
        if _guarded(reply) or (reply.not_found and base is not None):
            return await self._refused(call, base, reply)
        return self._failed(call.target, _problem(call.key, reply, "written"))

    async def _refused(self, call: _Call, base: RouteObject | None, refusal: Reply) -> Applied:
        """Tells apart why a write was refused, by reading the route again."""
        reply = await self._get(call.key, call.door)
        if unread(reply):
            return self._failed(call.target, _problem(call.key, reply, "read"))
        if reply.ok and base is not None and self._cache.get(call.key) is base:
            # Refused on the newest that was known, and yet not newer: the store of the cluster was put back.
            self._cache.set_back(read_route(call.key.kind, reply.body or {}))
        route = self._cache.get(call.key) if reply.ok else None
        write = call.decide(route)
        match write:
            case Fence():
                return self._applied(call.target, ApplyOutcome.FENCED)
            case Nothing():
                return self._unchanged(call.target)
            case Problem():
                return self._failed(call.target, write)
        if refusal.status == HTTPStatus.CONFLICT or base is None or route is None or _tested(route) != _tested(base):
            return self._applied(call.target, ApplyOutcome.CONFLICT)
        return self._failed(call.target, _problem(call.key, refusal, "written"))

    async def _remove(self, call: _Call) -> Applied:
        reply = Reply(HTTPStatus.NOT_FOUND)
        for _ in range(_TRIES):
            route = self._cache.get(call.key)
            if route is None:
                return self._applied(call.target, ApplyOutcome.CHANGED)
            write = call.decide(route)
            if not isinstance(write, Remove):
                fenced = isinstance(write, Fence)
                return self._applied(call.target, ApplyOutcome.FENCED if fenced else ApplyOutcome.CONFLICT)
            reply = await call.door.delete(route)
            if reply.ok or reply.not_found:
                self._cache.forget(call.key)
                self._notes.pop(call.key, None)
                return self._applied(call.target, ApplyOutcome.CHANGED)
            if reply.status != HTTPStatus.CONFLICT:
                break
            again = await self._get(call.key, call.door)
            if unread(again):
                return self._failed(call.target, _problem(call.key, again, "read"))
        return self._failed(call.target, _problem(call.key, reply, "deleted"))

    # ------------------------------------------------------------ answering

    def _applied(self, target: Target, outcome: ApplyOutcome, problem: Problem | None = None) -> Applied:
        return Applied(outcome, self._clock.now(), self.observe(target), problem)

    def _failed(self, target: Target, problem: Problem) -> Applied:
        self._note(key_of(target), problem)
        return self._applied(target, ApplyOutcome.FAILED, problem)

    def _written(self, target: Target, base: RouteObject | None, reply: Reply) -> Applied:
        key = key_of(target)
        route = self._take(key, reply)
        same = base is not None and base.resource_version == route.resource_version
        at = self._clock.now()
        self._notes[key] = WriteNote(route.uid, route.generation, at)
        return Applied(ApplyOutcome.UNCHANGED if same else ApplyOutcome.CHANGED, at, self.observe(target))

    def _unchanged(self, target: Target) -> Applied:
        self._note(key_of(target), None)
        return self._applied(target, ApplyOutcome.UNCHANGED)

    def _note(self, key: RouteKey, problem: Problem | None) -> None:
        old = self._notes.get(key, WriteNote())
        self._notes[key] = WriteNote(old.uid, old.generation, old.at, problem)

    def _take(self, key: RouteKey, reply: Reply) -> RouteObject:
        route = read_route(key.kind, reply.body or {})
        self._cache.answered(route)
        return route

    async def _get(self, key: RouteKey, door: RouteDoor) -> Reply:
        reply = await door.get(key)
        if reply.ok:
            self._take(key, reply)
        elif not unread(reply):
            self._cache.forget(key)
        return reply

    def _lane_for(self, target: Target, action: SetWeight | ReleaseRoute) -> RouteDoor:
        if isinstance(action, ReleaseRoute) or action.mark.rollback:
            return self._urgent
        seen = self.observe(target)
        lower = seen.canary_weight is not None and action.canary < seen.canary_weight
        same = action.canary == seen.canary_weight
        fewer = same and seen.mirror is not None and action.mirror < seen.mirror
        return self._urgent if lower or fewer else self._door


def _guarded(reply: Reply) -> bool:
    """Whether a guard may have refused the write: a test, a version, or the name taken by somebody faster."""
    return reply.guard_failed or reply.already_exists


def _tested(route: RouteObject) -> tuple[object, ...]:
    """All that a patch tests, to tell a failed test from a refusal for another reason."""
    return (route.uid, route.generation, route.annotation(EPOCH), route.annotations is None, route.labels is None)


def _problem(key: RouteKey, reply: Reply, done: str) -> Problem:
    if api_missing(reply):
        text = f"the cluster does not serve {key.kind} in gateway.networking.k8s.io/v1; install the Gateway API"
        return Problem(Reason.ROUTE_API_MISSING, text)
    return Problem(Reason.ROUTE_WRITE_FAILED, f"{key} cannot be {done}: {words(reply)}")
