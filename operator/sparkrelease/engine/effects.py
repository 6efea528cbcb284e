"""What a round does with a decision: in which order it is recorded, applied and reported."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from sparkrelease.api.conditions import ConditionType, find, set_condition
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.api.status import Outcome, Phase, SparkReleaseStatus
from sparkrelease.decide.facts import Facts
from sparkrelease.decide.plan import SAME_WEIGHT, EntryDraft, EventDraft, Plan, SetWeight
from sparkrelease.engine.apply import LEASE_LEFT, RELEASES_AGE, RouteWriter, done, gone, pause_after
from sparkrelease.engine.gather import Gatherer
from sparkrelease.engine.keeping import TRY_AGAIN
from sparkrelease.engine.readback import ReadBack
from sparkrelease.engine.record import Recorder
from sparkrelease.engine.release import Release
from sparkrelease.engine.report import Reporter
from sparkrelease.engine.scheduler import Again
from sparkrelease.engine.store import Store
from sparkrelease.engine.telling import Teller
from sparkrelease.engine.world import World

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds to the next try after something other than a rollback could not be written."""

LONGEST_RETRY = 30.0
"""The longest of these pauses, for pods that cannot be read."""

HUSH = 2.0
"""Seconds the gateway's word on a raised weight, and the first measurement, may take before the status says that they
are missing: mostly they come in a moment, and two writes become one."""

_GOING_BACK = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK})


@dataclass(slots=True)
class Step:
    """What has been decided in this round and is not told yet."""

    entries: list[EntryDraft] = field(default_factory=list)
    events: list[EventDraft] = field(default_factory=list)
    asked_gate: bool = False
    asked_preflight: bool = False
    asked_checks: bool = False
    asked_spans: bool = False
    asked_settings: bool = False
    asked_after: bool = False
    raised: bool = False
    """Whether a weight was raised just now, and the status said so before."""


def _served(status: SparkReleaseStatus) -> bool:
    """Whether canary is to have requests, be it copies."""
    return status.weight.desired > 0 or (status.weight.mirror or 0.0) > 0


def tidies(plan: Plan, facts: Facts) -> bool:
    """Whether the plan only changes what the route says beside a weight that is in force already.

    The marks are what a restarted operator goes by, so they change after the status says why.
    """
    seen = facts.route.canary_weight
    if plan.route is None or seen is None:
        return False
    wanted = (plan.route.canary, plan.route.mirror) if isinstance(plan.route, SetWeight) else (0.0, 0.0)
    found = (seen, facts.route.mirror if facts.route.mirror is not None else math.inf)
    return all(abs(one - other) < SAME_WEIGHT for one, other in zip(found, wanted, strict=True))


class Effects:
    """Carries decisions out. Each effect can be repeated: a crash between any two leaves what the next round mends."""

    def __init__(self, world: World, store: Store, decide: Callable[[Release, Facts], Plan]) -> None:
        self._world = world
        self._store = store
        self._decide = decide
        self.gatherer = Gatherer(world, store)
        self.recorder = Recorder(world)
        self.read_back = ReadBack(world)
        self.teller = Teller(world)
        self.routes = RouteWriter(world, self.teller)
        self.reporter = Reporter(world, store, self.teller)
        self.on_followed: Callable[[], None] = lambda: None
        """Called when a release begins to be followed."""
        self.on_active: Callable[[Release], None] = lambda _: None
        """Called when it was decided whether a release is active."""

    def take(self, release: Release, plan: Plan, step: Step) -> None:
        """Makes the decision the newest status; its evidence and Events follow at the end of the round."""
        before = release.status.run.id if release.status.run else ""
        was_under_way, served = release.under_way, _served(release.status)
        release.status = plan.status
        if was_under_way and not release.under_way:
            self.teller.owe(release)
        release.take_owed()
        release.prune_due = release.prune_due or (was_under_way and not release.under_way)
        release.drop_told_regression()
        step.entries += plan.entries
        self._world.metrics.reverts.inc(sum(entry.kind is Reason.TRAFFIC_REVERTED for entry in plan.entries))
        step.events += plan.events
        run, followed = plan.status.run, release.frozen
        if run is None or run.end is not None:
            if release.frozen is not None:
                release.home = release.target
                release.freeze(None)
                self._store.reindex(release)
        elif run.id != before and release.resolved is not None:
            release.freeze(release.resolved)
        self.follow(release, active=plan.active)
        if _served(plan.status) and not served:
            self._world.measuring.rose(release.key, self._world.clock.now())
        if plan.status.preflight is None or plan.status.preflight.failed_at is not None or plan.active:
            self._world.checks.drop(release.key)
        if followed is not None and run is not None and run.end is Outcome.ROLLED_BACK and not run.dry:
            self._world.measuring.drain(release.key, followed, self._world.clock.now())

    def follow(self, release: Release, *, active: bool) -> None:
        """Has metrics asked for the release while it is active and there."""
        if self._store.get(release.key) is not release:
            release.active = False  # what is asked now, if anything, is asked for another one of this name
            return
        if active and release.spec is not None:
            self._world.measuring.follow(release.key, release.spec)
            if not release.active:
                seen = find(release.status.conditions, ConditionType.METRICS_AVAILABLE)
                if seen is not None and seen.status == "False":
                    self._world.measuring.was_blind(release.key)
                self.on_followed()
        elif release.active:
            self._world.measuring.drop(release.key)
        release.active = active
        self.on_active(release)

    # ------------------------------------------------------------ going back

    async def go_back(self, release: Release, plan: Plan) -> Facts | None:
        """The route, at once. Answers the facts with the route's answer in them, or None while the route refuses."""
        target, action = release.target, plan.route
        if target is None or action is None:
            return None
        applied = await self.routes.lower(release, target, action)
        if not done(applied) and not gone(applied):
            return None
        facts = self.gatherer.facts(release)
        rollback = release.status.rollback
        if rollback is not None and rollback.traffic_at is None:
            seconds = (applied.at - rollback.decided_at).total_seconds()
            self._world.metrics.rollback_seconds.observe(max(seconds, 0.0))
        return dataclasses.replace(facts, route=applied.route) if applied.route is not None else facts

    async def told(self, release: Release, step: Step) -> bool:
        """Brings evidence and status up to the decision; a release that goes away does not wait for them."""
        await self._record(release, step)
        written = await self.reporter.write(release) if self.reporter.due(release) else True
        return written or release.deleting

    # ------------------------------------------------------------ going on

    async def go_on(self, release: Release, plan: Plan, step: Step) -> tuple[Again, Facts | None]:
        """Evidence, finalizer, status, then the route; nothing after what fails. Answers facts to decide upon next."""
        await self._record(release, step)
        if not await self.read_back.supports(release, plan):
            return Again(), self.gatherer.facts(release)
        run = plan.status.run.id if plan.status.run else ""
        problem = await self.recorder.record(release, run, plan.entries, self._world.clock.now())
        if problem is not None and problem.reason is Reason.STATE_REGRESSED:
            return Again(), self.gatherer.facts(release)
        if problem is not None:
            return await self._hold_for_evidence(release, step)
        self.take(release, plan, step)
        step.entries.clear()
        release.take_chain()
        if plan.finalizer and not await self.reporter.finalizer(release, present=True):
            return Again(RETRY), None
        if not await self.reporter.write(release):
            return Again(RETRY), None
        self.reporter.say(release, step.events)
        step.events.clear()
        if plan.route is None:
            return Again(), self.gatherer.facts(release)
        if release.target is None or not await self._may_raise(release):
            return Again(RETRY), None
        applied = await self.routes.raise_weight(release, release.target, plan.route)
        if not done(applied):
            return Again(pause_after(release.route_failures + 4)), None
        step.raised = True
        facts = self.gatherer.facts(release)
        return Again(), dataclasses.replace(facts, route=applied.route) if applied.route is not None else facts

    async def _hold_for_evidence(self, release: Release, step: Step) -> tuple[Again, Facts | None]:
        """Evidence cannot be stored: decides again knowing that, so that everything but the raise goes on."""
        plan = self._decide(release, self.gatherer.facts(release))
        wait = max(release.chain.try_again_at - self._world.clock.monotonic(), 0.1)
        if not plan.raises(release.status) and not plan.urgent:
            self.take(release, plan, step)
            await self.finish(release, None, step)
        else:
            self._say_unstored(release)
            if self.reporter.due(release):
                await self.reporter.write(release)
        return Again(wait), None

    def _say_unstored(self, release: Release) -> None:
        """Says what holds the raise, and keeps everything else as it was decided before."""
        problem = release.chain.problem
        if problem is None:
            return
        said = set_condition(
            release.status.conditions,
            ConditionType.EVIDENCE_COMPLETE,
            "False",
            problem.reason,
            problem.message,
            generation=release.generation,
            now=self._world.clock.now(),
        )
        release.status = release.status.model_copy(update={"conditions": said})

    async def _may_raise(self, release: Release) -> bool:
        """The last look before weight rises: the release stays, leadership is sure, what was seen is not stale."""
        world = self._world
        if release.deleting or self._store.get(release.key) is not release:
            return False
        if not world.leadership.valid_for(LEASE_LEFT * world.config.lease.deadline.total_seconds()):
            return False
        age = self._store.age("SparkRelease")
        if age is not None and age < RELEASES_AGE:
            return True
        generation = release.generation
        fetched = await world.objects.fetch(release.key)
        if fetched.body is None:
            return False
        self._store.answered(release, fetched.body, asked=True)
        there = self._store.get(release.key) is release
        return there and release.generation == generation and not release.deleting

    # ------------------------------------------------------------ the end

    async def finish(self, release: Release, plan: Plan | None, step: Step) -> Again:
        """Evidence of what was done, status, Events, finalizer. `plan` is the last one, None after a failure."""
        checkpoint = any(entry.kind is Reason.CHECKPOINT for entry in step.entries)
        await self._record(release, step)
        if checkpoint:
            await self.read_back.look(release)
        if step.raised and plan is not None and not step.events:
            release.hushed_until = self._world.clock.monotonic() + HUSH
        hushed = self.hushed(release) if plan is not None and not step.events else 0.0
        if hushed > 0:
            return Again(hushed)
        written = await self.reporter.write(release) if self.reporter.due(release) else True
        self.reporter.say(release, step.events)
        step.events.clear()
        if release.prune_due and not release.under_way and written:
            await self._prune(release)
        present = plan.finalizer if plan is not None else None
        if present is not None and not await self.reporter.finalizer(release, present=present):
            return Again(RETRY)
        change = plan.change if plan is not None else None
        if change is not None and written and not release.chain.pending:
            return Again(await self.gatherer.mitigating.carry_out(release, change))
        step_wanted = plan.workload if plan is not None else None
        if step_wanted is not None and written and not release.chain.pending:
            return Again(await self.gatherer.keeping.carry_out(release, step_wanted))
        return self._next(release, plan, written=written)

    def hushed(self, release: Release) -> float:
        """Seconds for which the status keeps quiet: it told of a raise, and all it could add is that it is pending."""
        left = release.hushed_until - self._world.clock.monotonic()
        if left <= 0 or not release.under_way or release.status.weight.desired <= 0:
            return 0.0
        known = release.status.weight.verified and self._world.measuring.readings(release.key)
        return 0.0 if known else left

    async def _prune(self, release: Release) -> None:
        """Has the evidence of runs deleted that nobody asked to keep; nothing while it is not known how many are."""
        release.prune_due = False
        declared, run = release.declared, release.status.run
        if not isinstance(declared, SparkReleaseSpec) or run is None:
            return
        problem = await self._world.evidence.prune(release.key, declared.evidence.retain_runs, run.id)
        if problem is not None:
            log.info("%s/%s: %s", release.key.namespace, release.key.name, problem.message)

    async def _record(self, release: Release, step: Step) -> None:
        """Stores the evidence of what was done, or keeps it pending."""
        run = release.status.run.id if release.status.run else ""
        if step.entries and run:
            await self.recorder.record_or_keep(release, run, step.entries, self._world.clock.now())
            step.entries.clear()
        release.take_chain()

    def keep(self, release: Release, step: Step) -> None:
        """What a round that was cut short did not tell: its evidence stays pending, its Events are handed over."""
        run = release.status.run.id if release.status.run else ""
        if step.entries and run:
            self.recorder.keep(release, run, step.entries, self._world.clock.now())
            step.entries.clear()
            release.take_chain()
        self.reporter.say(release, step.events)
        step.events.clear()

    def _next(self, release: Release, plan: Plan | None, *, written: bool) -> Again:
        if plan is None:
            going_back = release.status.phase in _GOING_BACK or release.route_failures > 0
            return Again(pause_after(release.route_failures) if going_back else RETRY, urgent=going_back)
        waits = [] if written else [RETRY * 2 ** min(release.write_failures, 4)]
        if plan.wake_at is not None:
            waits.append(max((plan.wake_at - self._world.clock.now()).total_seconds(), 0.0))
        if release.chain.pending or release.chain.problem is not None:
            waits.append(max(release.chain.try_again_at - self._world.clock.monotonic(), 0.1))
        if release.chain.broken is not None and release.under_way:
            waits.append(max(release.chain.look_again_at - self._world.clock.monotonic(), 0.1))
        if release.workload is not None and release.workload_dirty:
            waits.append(TRY_AGAIN)
        if release.sides_dirty:
            waits.append(min(RETRY * 2 ** min(release.side_failures, 10), LONGEST_RETRY))
        return Again(min(waits)) if waits else Again()
