"""Evidence is read back before anything rises on it: what is gone or changed, and what the status does not know of.

A raise stands on what was stored before it. So before each raise, and at every checkpoint, the run's ConfigMaps are
read and their chain is checked. What lowers a weight never waits for this.
"""

from __future__ import annotations

import asyncio
import logging

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import verify
from sparkrelease.decide.facts import Facts, Problem, Route
from sparkrelease.decide.plan import SAME_WEIGHT, Plan, SetWeight
from sparkrelease.decide.regress import LOST
from sparkrelease.engine.ahead import NAMED, read_ahead, take_in, what_it_shows
from sparkrelease.engine.release import Release
from sparkrelease.engine.world import World

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds between two looks at evidence that was not whole."""


def _is_more(action: SetWeight, route: Route) -> bool:
    """Whether canary gets more by the action than by the route, of requests or of copies."""
    seen, copied = route.canary_weight or 0.0, route.mirror or 0.0
    return route.exists and (action.canary > seen + SAME_WEIGHT or action.mirror > copied + SAME_WEIGHT)


class ReadBack:
    """The one place where the engine checks what is stored."""

    def __init__(self, world: World) -> None:
        self._world = world

    def adopt(self, release: Release) -> None:
        """Goes on from what the status says is wrong with the evidence; the next round looks whether it still is."""
        said = find(release.status.conditions, ConditionType.EVIDENCE_COMPLETE)
        lost = {reason.value: reason for reason in LOST}
        if said is not None and said.status == "False" and said.reason in lost and release.under_way:
            release.chain.broken = Problem(lost[said.reason], said.message)

    async def allows(self, release: Release, plan: Plan, facts: Facts) -> bool:
        """Whether a plan that writes the route at once may do so: one that sets a weight anew looks back once before.

        A leader that takes a run over knows it from its status alone; what that says may be over.
        """
        chain = release.chain
        more = isinstance(plan.route, SetWeight) and _is_more(plan.route, facts.route)
        return not more or chain.read or chain.broken is not None or await self.look(release)

    async def supports(self, release: Release, plan: Plan) -> bool:
        """Whether the run may rise on what is stored. What is known to be lost was decided with and stops nothing."""
        run, chain = plan.status.run, release.chain
        same = run is not None and run.id == chain.run
        return not same or chain.broken is not None or await self.look(release)

    async def again(self, release: Release) -> None:
        """Looks again at evidence that was not whole, once its pause is over: it may have been put back."""
        chain = release.chain
        if chain.broken is not None and self._world.clock.monotonic() >= chain.look_again_at:
            await self.look(release)

    async def look(self, release: Release) -> bool:
        """Reads the run's evidence back and keeps what is wrong with it in the release. True when nothing is."""
        chain = release.chain
        chain.look_again_at = self._world.clock.monotonic() + AGAIN
        was, chain.broken = chain.broken, await self._wrong(release)
        chain.read = True
        if chain.broken is not None and (was is None or was.message != chain.broken.message):
            log.error("%s/%s: %s", release.key.namespace, release.key.name, chain.broken.message)
        return chain.broken is None and not await self._knows_more(release)

    async def _wrong(self, release: Release) -> Problem | None:
        stored = release.chain.stored
        if not stored.config_maps:
            return None
        lines = await self._world.evidence.load(release.key.namespace, stored.config_maps)
        if isinstance(lines, Problem):
            gone = lines.reason is Reason.EVIDENCE_MISSING
            return lines if gone else Problem(Reason.EVIDENCE_NOT_STORED, f"cannot be read back: {lines.message}")
        if len(stored.config_maps) >= NAMED:
            return None  # the status does not name them all, so the chain has a gap
        found = await asyncio.to_thread(verify, lines, head=stored.head, entries=stored.entries)
        return Problem(Reason.EVIDENCE_DIFFERS, found.message) if found is not None else None

    async def _knows_more(self, release: Release) -> bool:
        """Whether evidence tells what the status does not; it is taken in then."""
        chain = release.chain
        if chain.pending or not chain.stored.entries:
            return False
        ahead = await read_ahead(self._world.evidence, release)
        if isinstance(ahead, Problem):
            chain.broken = Problem(Reason.EVIDENCE_NOT_STORED, f"cannot be read back: {ahead.message}")
            return True
        shown = what_it_shows(chain, ahead)
        if shown is None:
            return False
        for one in ahead:
            take_in(chain, one.lines, (one.name,))
        release.regression = shown
        log.error("%s/%s: %s", release.key.namespace, release.key.name, shown.message)
        return True
