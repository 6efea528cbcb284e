"""One operator process: everything of the engine put together, from the first list to a clean stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from sparkrelease.api.conditions import ConditionType, Status, set_condition
from sparkrelease.api.objects import APPROVAL_KIND
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.engine.adopt import goes_back, nothing_to_do
from sparkrelease.engine.farewell import bring_home, left_traffic
from sparkrelease.engine.flags import FlagWatches
from sparkrelease.engine.health import LONGEST_LAG, HealthServer, LoopLag
from sparkrelease.engine.intake import KINDS, Intake
from sparkrelease.engine.release import Release
from sparkrelease.engine.resync import Resync
from sparkrelease.engine.round import Rounds
from sparkrelease.engine.scheduler import Scheduler
from sparkrelease.engine.store import Store
from sparkrelease.engine.ticker import Ticker
from sparkrelease.engine.world import World
from sparkrelease.ports.cluster import ObjectKey

log = logging.getLogger(__name__)

ROUNDS_PER_WRITE = 4
"""Rounds under way per write allowed: most of a round is waiting, and the connections bound the writes."""

SICK_TICKS = 6
"""Ticks without a finished one after which a leading process counts as dead; at least a minute."""


class Engine:
    """Keeps the store warm from the start; decides and writes from `lead` on."""

    def __init__(
        self,
        world: World,
        *,
        api_appeared: Callable[[str], None] = lambda _: None,
        watching: Callable[[], bool] = lambda: True,
    ) -> None:
        self._watching = watching
        self.world = world
        self.store = Store(world.clock)
        self.rounds = Rounds(world, self.store)
        self.scheduler = Scheduler(
            self.rounds.run,
            world.clock,
            world.metrics,
            world.config.concurrent_writes * ROUNDS_PER_WRITE,
            self._round_failed,
        )
        self.intake = Intake(
            self.store,
            world.caches,
            world.metrics,
            wake=self._wake,
            mind_epoch=self.rounds.reporter.mind_epoch,
        )
        self.flags = FlagWatches(world.named, self.intake.see)
        self._look_anew = api_appeared
        self.resync = Resync(
            world.lister,
            self.intake,
            world.config.relist.total_seconds(),
            missing=self.store.missing,
            api_appeared=self._api_appeared,
        )
        self.ticker = Ticker(world, self.store, self.rounds, self.scheduler, self._look_failed)
        self.rounds.effects.on_followed = self.ticker.want
        self.rounds.effects.on_active = self.flags.mind
        self.rounds.effects.teller.wake = self._wake
        self._lag = LoopLag(world.clock, world.metrics)
        self._leading = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._vital: set[asyncio.Task[None]] = set()
        self.health = HealthServer(world.metrics, self.sick, self.unready)
        world.checks.wake = self._wake
        self.store.on_removed, self.store.on_wish = self._removed, self._wake

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Begins to list; writes nothing."""
        self._spawn(self.resync.serve(), "lists")
        self._spawn(self._lag.serve(), "loop lag")
        self._spawn(self._observe(), "gauges")

    def lead(self) -> None:
        """Leadership was won: adopts every release once the first lists are done, and goes to work."""
        self._leading = True
        self.world.metrics.leading.set(1)
        self.world.metrics.epoch.set(self.world.leadership.epoch)
        self._spawn(self._work(), "work")

    async def stop(self) -> None:
        """Ends every task; rounds under way are cut short between two writes."""
        self._leading = False
        self.world.metrics.leading.set(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.scheduler.stop()
        await self.flags.stop()

    async def _work(self) -> None:
        await self.resync.first_lists()
        log.info("leading with epoch %d, %d releases", self.world.leadership.epoch, len(self.store))
        self.adopt()
        self.ticker.last_at = self.world.clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.scheduler.serve())
            tasks.create_task(self.ticker.serve())

    def adopt(self) -> None:
        """Gives every release that is not at rest its first round; all are due now, so no second one comes before."""
        for release in self.store:
            if not nothing_to_do(release):
                self.scheduler.wake(release.key, urgent=goes_back(release))
        self.scheduler.open()

    # ------------------------------------------------------------ what happens

    def _api_appeared(self, kind: str) -> None:
        self._look_anew(kind)
        for release in self.store:
            signs = kind == APPROVAL_KIND and release.status.phase is Phase.AWAITING_APPROVAL
            if signs or (release.target is not None and release.target.kind == kind):
                self._wake(release.key)

    def _wake(self, key: ObjectKey) -> None:
        if self._leading and self.resync.done:
            self.scheduler.wake(key)

    def _removed(self, release: Release) -> None:
        self.scheduler.forget(release.key)
        self.world.measuring.drop(release.key)
        self.world.checks.drop(release.key)
        self.flags.drop(release.key)
        if self._leading and left_traffic(release):
            self._spawn(
                bring_home(self.world, self.rounds.effects.routes, release), f"farewell {release.key.name}", vital=False
            )

    def _round_failed(self, key: ObjectKey, problem: BaseException) -> None:
        release = self.store.get(key)
        if release is not None:
            self._tell_error(release, problem)

    def _look_failed(self, release: Release, problem: Exception) -> None:
        name = f"{release.key.namespace}/{release.key.name}"
        log.error("cannot decide for %s; others go on", name, exc_info=problem)
        self.world.metrics.rounds.labels("error").inc()
        self._tell_error(release, problem)

    def _tell_error(self, release: Release, problem: BaseException) -> None:
        text = f"the operator failed on this release and tries again: {type(problem).__name__}"
        self.rounds.reporter.say(release, [EventDraft(Reason.INTERNAL_ERROR, text, Severity.WARNING)])
        if release.adopted:
            self._spawn(self._confess(release, text), f"error of {release.key.name}", vital=False)

    async def _confess(self, release: Release, text: str) -> None:
        """Shows the error in the conditions; the next round that goes well takes it back."""
        conditions = release.status.conditions
        said: tuple[tuple[ConditionType, Status], ...] = (
            (ConditionType.READY, "False"),
            (ConditionType.STALLED, "True"),
        )
        for kind, value in said:
            conditions = set_condition(
                conditions,
                kind,
                value,
                Reason.INTERNAL_ERROR,
                text,
                generation=release.generation,
                now=self.world.clock.now(),
            )
        if conditions is release.status.conditions:
            return
        release.status = release.status.model_copy(update={"conditions": conditions})
        await self.rounds.reporter.write(release)

    # ------------------------------------------------------------ health

    def sick(self) -> list[str]:
        """Why this process should be started anew."""
        reasons = []
        if self._lag.seconds > LONGEST_LAG:
            reasons.append(f"the event loop is {self._lag.seconds:.0f} s late")
        if not self._watching():
            reasons.append("the watches ended")
        limit = max(SICK_TICKS * self.world.config.tick.total_seconds(), 60.0)
        age = self.world.clock.monotonic() - self.ticker.last_at
        if self._leading and self.resync.done and age > limit:
            reasons.append(f"no tick for {age:.0f} s")
        return reasons

    def unready(self) -> list[str]:
        """Why this process cannot take over at once."""
        return [] if self.resync.done else ["the first lists are not done"]

    async def _observe(self) -> None:
        while True:
            metrics = self.world.metrics
            metrics.known.set(len(self.store))
            for kind in KINDS:
                age = self.store.age(kind)
                if age is not None:
                    metrics.watch_age.labels(kind).set(age)
            metrics.evidence_pending.set(sum(1 for r in self.store if r.chain.pending))
            for target, count in self.world.notifier.waiting().items():
                metrics.notifications_waiting.labels(target).set(count)
            metrics.rollbacks_stuck.set(sum(1 for r in self.store if r.route_failures))
            await asyncio.sleep(5)

    def _spawn(self, work: Coroutine[None, None, None], name: str, *, vital: bool = True) -> None:
        """Runs a task beside the others; the end of a vital one by an error ends the process."""
        task = asyncio.create_task(work, name=name)
        if vital:
            self._vital.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        vital = task in self._vital
        self._vital.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        if not vital:
            log.error("%s failed", task.get_name(), exc_info=task.exception())
        else:
            log.critical("%s ended", task.get_name(), exc_info=task.exception())
            self.world.fenced(f"{task.get_name()} ended: {task.exception()!r}")
