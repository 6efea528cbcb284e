"""Flags of which a process knows what it has read itself, and nothing before: no first list shows them."""

from __future__ import annotations

from fakes.cluster import FakeCluster
from fakes.traffic import FakeTraffic
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Route
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import Applied, ApplyOutcome, Target

_NO = Problem(Reason.ROUTE_WRITE_FAILED, "500")


class FakeFlags(FakeTraffic):
    """TrafficProvider; `flags_unreadable` of the cluster says that it answers no reads now."""

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster)
        self._read = False

    def observe(self, target: Target) -> Route:
        if not self._read:
            return Route(problem=Problem(Reason.ROUTE_PENDING, "not read yet"))
        return super().observe(target)

    async def refresh(self, target: Target) -> Route:
        if self._cluster.flags_unreadable:
            return Route(exists=self.observe(target).exists, message=_NO.message, problem=_NO)
        self._read = True
        return await super().refresh(target)

    async def apply(self, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Applied:
        if self._cluster.flags_unreadable:
            return Applied(ApplyOutcome.FAILED, self._cluster.clock.now(), self.observe(target), _NO)
        self._read = True
        return await super().apply(target, action, epoch)
