"""One TrafficProvider for all: each target goes to the provider of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparkrelease.decide.facts import Finding, Route
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import Acceptance, Applied, Capabilities, Target, TrafficProvider


class ProvidersByKind:
    """A TrafficProvider.

    Args:
        first: for every kind that no other one is named for.
        others: by the kind of the object that holds the weights.
    """

    def __init__(self, first: TrafficProvider, others: Mapping[str, TrafficProvider]) -> None:
        self._first = first
        self._others = others

    def capabilities(self) -> Capabilities:
        """What every one of them can do."""
        each = [provider.capabilities() for provider in (self._first, *self._others.values())]
        weights = next((one.weights for one in each if one.weights is not None), None)
        return Capabilities(
            max(one.granularity for one in each),
            Acceptance.NONE,
            owned=all(one.owned for one in each),
            weights=weights,
            mirror=all(one.mirror for one in each),
        )

    async def preflight(self, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        """See TrafficProvider."""
        return await self._of(target).preflight(target, mirrors)

    def observe(self, target: Target) -> Route:
        """See TrafficProvider."""
        return self._of(target).observe(target)

    async def refresh(self, target: Target) -> Route:
        """See TrafficProvider."""
        return await self._of(target).refresh(target)

    async def apply(self, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Applied:
        """See TrafficProvider."""
        return await self._of(target).apply(target, action, epoch)

    async def stamp(self, target: Target, epoch: int, *, over: bool = False) -> Applied:
        """See TrafficProvider."""
        return await self._of(target).stamp(target, epoch, over=over)

    def _of(self, target: Target) -> TrafficProvider:
        return self._others.get(target.kind, self._first)
