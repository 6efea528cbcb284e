"""A traffic provider in memory, over the routes of a fake cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fakes.cluster import FakeCluster, ProcessDiedError
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Route, RouteMark, Verification
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import Acceptance, Applied, ApplyOutcome, Capabilities, Target


class FakeTraffic:
    """TrafficProvider: one route per name, weights guarded by the epoch stamped on the route."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def capabilities(self) -> Capabilities:
        return Capabilities(granularity=0.001, acceptance=Acceptance.GENERATION, owned=True, mirror=True)

    async def preflight(self, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        return ()

    def observe(self, target: Target) -> Route:
        route = self._cluster.routes.get((target.namespace, target.route_name))
        if route is None:
            return Route()
        accepted = route.accepted == route.generation
        return Route(
            exists=True,
            canary_weight=route.weight,
            generation=route.generation,
            verification=Verification.VERIFIED if accepted else Verification.PENDING,
            reason=Reason.WEIGHT_VERIFIED if accepted else Reason.ROUTE_PENDING,
            manager=route.manager,
            mark=route.mark,
            written_at=route.written_at,
            write_problem=route.write_problem,
            original=f"weight {route.weight:g}",
            mirror=route.mirror,
        )

    async def refresh(self, target: Target) -> Route:
        if self._cluster.dead:
            raise ProcessDiedError("refresh")
        return self.observe(target)

    async def apply(self, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Applied:
        weight = action.canary if isinstance(action, SetWeight) else 0.0
        call = self._cluster.begin("route", weight)
        route = self._cluster.routes[(target.namespace, target.route_name)]
        if self._cluster.failed(call):
            route.write_problem = Problem(Reason.ROUTE_WRITE_FAILED, "403")
            return Applied(ApplyOutcome.FAILED, self._cluster.clock.now(), self.observe(target), route.write_problem)
        if route.mark is not None and route.mark.epoch > epoch:
            return Applied(ApplyOutcome.FENCED, self._cluster.clock.now())
        route.weight, route.manager, route.write_problem = weight, "", None
        route.mirror = action.mirror if isinstance(action, SetWeight) else 0.0
        route.mark = action.mark if isinstance(action, SetWeight) else None
        route.generation += 1
        route.written_at = self._cluster.clock.now()
        self._cluster.show_route(target.namespace, target.route_name)
        if self._cluster.end(call):
            return Applied(ApplyOutcome.FAILED, route.written_at, self.observe(target))
        return Applied(ApplyOutcome.CHANGED, route.written_at, self.observe(target))

    async def stamp(self, target: Target, epoch: int, *, over: bool = False) -> Applied:
        call = self._cluster.begin("stamp", epoch)
        route = self._cluster.routes[(target.namespace, target.route_name)]
        if self._cluster.failed(call):
            return Applied(ApplyOutcome.FAILED, self._cluster.clock.now())
        if route.mark is not None and route.mark.epoch > epoch and not over:
            return Applied(ApplyOutcome.FENCED, self._cluster.clock.now())
        if route.mark is not None:
            mark = route.mark
            route.mark = RouteMark(mark.run, epoch, mark.weight, mark.rollback, mark.mirror)
        outcome = ApplyOutcome.FAILED if self._cluster.end(call) else ApplyOutcome.CHANGED
        return Applied(outcome, self._cluster.clock.now(), self.observe(target))

    def kinds(self) -> frozenset[str]:
        return frozenset({"HTTPRoute"})

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """What is seen is read from the cluster directly."""
