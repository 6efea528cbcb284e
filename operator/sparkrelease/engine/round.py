"""One round of one release: gather, decide, record, apply, report."""

from __future__ import annotations

import asyncio
import time

from sparkrelease.decide.facts import Facts
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan
from sparkrelease.engine.adopt import Adopter
from sparkrelease.engine.effects import RETRY, Effects, Step, tidies
from sparkrelease.engine.release import Release
from sparkrelease.engine.report import says_the_same
from sparkrelease.engine.scheduler import Again
from sparkrelease.engine.store import Store
from sparkrelease.engine.world import World
from sparkrelease.ports.cluster import ObjectKey

FIRST_ANSWER = 2.0
"""Seconds, or one tick if that is longer, a run just taken over waits for its first measurements."""

PATIENCE = 1.0
"""Seconds the checks before a run may take before the status says that they are made."""

STEPS = 8
"""Decisions of one round: each follows from what the one before wrote or asked."""


class Rounds:
    """Looks at releases, and runs the rounds of those with something to do."""

    def __init__(self, world: World, store: Store) -> None:
        self._world = world
        self._store = store
        self.effects = Effects(world, store, self.decide)
        self.gatherer = self.effects.gatherer
        self.reporter = self.effects.reporter
        self._adopter = Adopter(world, self.effects.recorder, self.effects.read_back, self.effects.routes)

    # ------------------------------------------------------------ looking

    def decide(self, release: Release, facts: Facts) -> Plan:
        """Decides once, from the newest status known."""
        started = time.perf_counter()
        plan = decide(release.spec, release.status, facts, self._world.clock.now())
        self._world.metrics.decisions.inc()
        self._world.metrics.decide_seconds.inc(time.perf_counter() - started)
        return plan

    def glance(self, release: Release) -> Plan:
        """Decides without keeping anything: for a release whose round is under way."""
        return self.decide(release, self.gatherer.facts(release))

    def look(self, release: Release) -> Plan | None:
        """Decides without effects: the whole of a tick for most releases.

        Keeps the new status when nothing is to be done; answers the plan when a round has to carry it out.
        """
        facts = self.gatherer.facts(release)
        plan = self.decide(release, facts)
        wants = plan.wants.anything or plan.change is not None or plan.workload is not None
        finalizer = plan.finalizer is not None and plan.finalizer is not facts.has_finalizer
        if plan.route is not None or plan.entries or wants or finalizer:
            return plan
        if not says_the_same(plan.status, release.written):
            if plan.events or (self.effects.hushed(release) <= 0 and not self._unmeasured(release)):
                return plan
            release.status = plan.status
            return None
        release.status = plan.status
        self.effects.follow(release, active=plan.active)
        self.reporter.say(release, plan.events)
        return plan if self.reporter.due(release) or release.chain.pending else None

    # ------------------------------------------------------------ the round

    async def run(self, key: ObjectKey, urgent: bool) -> Again:
        """One round; answers when the release wants the next one."""
        release = self._store.get(key)
        if release is None or not self._world.leadership.valid_for(0):
            return Again()
        started = self._world.clock.monotonic()
        followed, epoch = release.frozen, release.stamped_epoch
        if not await self._adopter.ready(release):
            return Again(RETRY, urgent)
        self.effects.teller.resume(release)
        if release.frozen is not followed:
            self._store.reindex(release)
        if release.under_way and release.stamped_epoch != epoch and not urgent:
            return Again(0.0)  # the next round queues behind all that are not fenced yet: what follows waits for pods
        if not urgent:
            await self.gatherer.route(release)
            await self.gatherer.sides(release)
            await self.gatherer.keeping.look(release)
            await self.effects.recorder.flush(release)
            await self.effects.read_back.again(release)
            release.take_chain()
        if not release.active and self._can_wait_for_metrics(release):
            self.effects.follow(release, active=True)
            longest = max(self._world.config.tick.total_seconds(), FIRST_ANSWER)
            release.unmeasured_until = self._world.clock.monotonic() + longest
        if not urgent and self._unmeasured(release):
            return Again()
        step = Step()
        try:
            again = await self._steps(release, step)
        finally:
            self.effects.keep(release, step)
        self._world.metrics.rounds.labels("done").inc()
        self._world.metrics.round_seconds.observe(self._world.clock.monotonic() - started)
        return again

    def _unmeasured(self, release: Release) -> bool:
        """Whether a run just taken over waits for its first measurements, which the next tick brings."""
        if self._world.clock.monotonic() >= release.unmeasured_until or not release.active:
            return False
        return not self._world.measuring.readings(release.key) and self._can_wait_for_metrics(release)

    def _can_wait_for_metrics(self, release: Release) -> bool:
        """Whether a run just taken over has nothing to do before its metrics were asked; the tick then looks at it."""
        run, spec, target = release.status.run, release.spec, release.target
        if run is None or run.end is not None or spec is None or target is None:
            return False
        if run.promoted_at is None and release.status.stage is None:
            return False  # it waits for signatures, and nothing is measured
        mark = self._world.traffic.observe(target).mark
        going_back = (mark is not None and bool(mark.rollback)) or release.status.rollback is not None
        asked = release.command is not None or release.generation != release.status.observed_generation
        return bool(spec.thresholds or spec.triggers) and not (going_back or asked or release.deleting)

    async def _steps(self, release: Release, step: Step) -> Again:
        facts = self.gatherer.facts(release)
        for _ in range(STEPS):
            plan = self.decide(release, facts)
            if plan.urgent and plan.route is not None:
                if not await self.effects.read_back.allows(release, plan, facts):
                    facts = self.gatherer.facts(release)
                    continue
                self.effects.take(release, plan, step)
                told = await self.effects.told(release, step) if tidies(plan, facts) else True
                seen = await self.effects.go_back(release, plan) if told else None
                if seen is None:
                    break
                facts = seen
                continue
            if self._unanswered(plan, step):
                facts = await self._ask(release, plan, facts, step)
                continue
            if plan.raises(release.status):
                again, seen = await self.effects.go_on(release, plan, step)
                if seen is None:
                    return again
                facts = seen
                continue
            self.effects.take(release, plan, step)
            return await self.effects.finish(release, plan, step)
        return await self.effects.finish(release, None, step)

    # ------------------------------------------------------------ asking

    def _unanswered(self, plan: Plan, step: Step) -> bool:
        wants = plan.wants
        gate = wants.gate_over is not None and not step.asked_gate
        checks = bool(wants.checks) and not step.asked_checks
        besides = (
            (bool(wants.spans) and not step.asked_spans)
            or (wants.settings is not None and not step.asked_settings)
            or (wants.after and not step.asked_after)
        )
        return gate or checks or besides or (wants.preflight and not step.asked_preflight)

    async def _ask(self, release: Release, plan: Plan, facts: Facts, step: Step) -> Facts:
        """Gets what the plan asked for. When the checks before a run take their time, the status tells of them."""
        step.asked_gate = step.asked_gate or plan.wants.gate_over is not None
        step.asked_preflight = step.asked_preflight or plan.wants.preflight
        step.asked_checks = step.asked_checks or bool(plan.wants.checks)
        step.asked_spans = step.asked_spans or bool(plan.wants.spans)
        step.asked_settings = step.asked_settings or plan.wants.settings is not None
        step.asked_after = step.asked_after or plan.wants.after
        before_run = plan.wants.preflight or bool(plan.wants.checks)
        if before_run:
            self.effects.take(release, plan, step)
            if step.entries:
                await self.effects.told(release, step)
            facts = self.gatherer.facts(release)
        wanted = self.gatherer.wanted(release, plan.wants, facts, self._world.clock.now())
        if not before_run:
            return await wanted
        asking = asyncio.create_task(wanted, name=f"preflight of {release.key.name}")
        try:
            await asyncio.wait({asking}, timeout=PATIENCE)
            if not asking.done() and self.reporter.due(release):
                await self.reporter.write(release)
            return await asking
        finally:
            asking.cancel()
