"""Telling people: the status, written only when it says something new, and Events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from zlib import crc32

from sparkrelease.api.status import (
    Condition,
    Next,
    Phase,
    RuleVerdict,
    SparkReleaseStatus,
    StageStatus,
    WeightStatus,
    glance_fails,
)
from sparkrelease.decide.facts import Regression
from sparkrelease.decide.plan import EventDraft
from sparkrelease.engine.bodies import metadata_of, text_of
from sparkrelease.engine.release import Release
from sparkrelease.engine.store import Store, older
from sparkrelease.engine.telling import Teller
from sparkrelease.engine.world import World
from sparkrelease.ports.cluster import WriteOutcome, Written

log = logging.getLogger(__name__)

TRIES = 3
SPREAD = 0.2
"""Heartbeats of many releases spread over this part of their pause."""

DRIFT = timedelta(minutes=1)
"""By so much the time of what comes next may be off until the next heartbeat."""

SAID_FOR = 300.0
"""Seconds in which the same words of a run are not handed to the recorder again."""

_PLAIN = (
    "phase", "run", "verdict", "rollback", "settled", "refused", "pause", "command", "contested",
    "original_route", "preflight", "evidence", "pending_evidence", "history", "observed_generation", "stage_text",
    "untold", "watch", "mitigations",
)  # fmt: skip


def says_the_same(now: SparkReleaseStatus, told: SparkReleaseStatus) -> bool:
    """Whether nothing but time, counts, the wording of numbers and the writer's epoch differs from what was told.

    What was not touched is identical, which is what makes this cheap.
    """
    if now is told:
        return True
    for name in _PLAIN:
        mine, theirs = getattr(now, name), getattr(told, name)
        if mine is not theirs and mine != theirs:
            return False
    return (
        _same_next(now.next, told.next)
        and _same_weight(now.weight, told.weight)
        and _same_stage(now.stage, told.stage)
        and _same_conditions(now.conditions, told.conditions)
        and _same_verdicts(now.verdicts, told.verdicts)
        and _same_glances(now.glances, told.glances)
        and (now.gate_text == told.gate_text or now.phase is not Phase.AWAITING_APPROVAL)
    )


def _same_next(one: Next | None, other: Next | None) -> bool:
    """What comes next may come a little earlier or later: a heartbeat tells of that soon enough."""
    if one is None or other is None or one.at is None or other.at is None:
        return one == other
    return one.what == other.what and abs(one.at - other.at) < DRIFT


def _same_weight(one: WeightStatus, other: WeightStatus) -> bool:
    mine = (one.desired, one.observed, one.mirror, one.verified)
    return one is other or mine == (other.desired, other.observed, other.mirror, other.verified)


def _same_stage(one: StageStatus | None, other: StageStatus | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or (one.index, one.name, one.entered_at, one.started_at, one.stalled_since) == (
        other.index,
        other.name,
        other.entered_at,
        other.started_at,
        other.stalled_since,
    )


def _same_conditions(one: tuple[Condition, ...], other: tuple[Condition, ...]) -> bool:
    if one is other:
        return True
    return len(one) == len(other) and all(
        a is b
        or (a.type, a.status, a.reason, a.observed_generation) == (b.type, b.status, b.reason, b.observed_generation)
        for a, b in zip(one, other, strict=True)
    )


def _same_verdicts(one: tuple[RuleVerdict, ...], other: tuple[RuleVerdict, ...]) -> bool:
    if one is other:
        return True
    return len(one) == len(other) and all(
        a is b or (a.rule, a.kind, a.verdict, a.reason, a.since) == (b.rule, b.kind, b.verdict, b.reason, b.since)
        for a, b in zip(one, other, strict=True)
    )


def _same_glances(now: tuple[str, ...], told: tuple[str, ...]) -> bool:
    """What a threshold says now is news when it begins to fail; all else about it waits for the next heartbeat."""
    if now is told:
        return True
    pairs = zip(now, told, strict=False)
    return len(now) == len(told) and not any(
        mine != old and glance_fails(mine) and not glance_fails(old) for mine, old in pairs
    )


class Reporter:
    """The one place where the engine has a status, a finalizer or an Event written."""

    def __init__(self, world: World, store: Store, teller: Teller) -> None:
        self._world = world
        self._store = store
        self._teller = teller

    def due(self, release: Release) -> bool:
        """Whether the API server should be told: something new, or an active release unwritten for a heartbeat."""
        if not says_the_same(release.status, release.written):
            return True
        if not release.active:
            return release.status != release.written.model_copy(update={"epoch": release.status.epoch})
        age = self._world.clock.monotonic() - release.written_at
        return age >= self._heartbeat(release) and release.status != release.written

    def _heartbeat(self, release: Release) -> float:
        """Seconds an active status may go unwritten; a little different for each."""
        return self._world.config.heartbeat.total_seconds() * (1 + SPREAD * crc32(release.uid.encode()) / 2**32)

    async def write(self, release: Release) -> bool:
        """Writes the status as it is now; on a conflict it is rebuilt on the newer object. True when it is stored."""
        world = self._world
        for _ in range(TRIES):
            if not world.leadership.valid_for(0):
                return False
            status, version = release.status, release.resource_version
            written = await world.objects.write_status(release.key, version, status)
            world.metrics.writes.labels("status", written.outcome.value).inc()
            if written.outcome is WriteOutcome.DONE:
                release.written, release.written_at = status, world.clock.monotonic()
                release.write_failures = 0
                self._answered(release, written)
                return True
            if not await self._recover(release, written, version):
                return False
        return False

    async def finalizer(self, release: Release, *, present: bool) -> bool:
        """Adds or removes the finalizer; True when the object is so, or gone."""
        world = self._world
        for _ in range(TRIES):
            if release.finalizer is present:
                return True
            if not world.leadership.valid_for(0):
                return False
            version, known = release.resource_version, release.finalizers
            written = await world.objects.set_finalizer(release.key, version, present, known)
            world.metrics.writes.labels("finalizer", written.outcome.value).inc()
            if written.outcome is WriteOutcome.DONE:
                self._answered(release, written)
                return True
            if written.outcome is WriteOutcome.GONE:
                return not present
            if not await self._recover(release, written, version):
                return False
        return False

    def say(self, release: Release, events: Iterable[EventDraft]) -> None:
        """Has people told, each wording once in five minutes; of another run the same words are news."""
        now = self._world.clock.monotonic()
        run = release.status.run.id if release.status.run else ""
        new = []
        for event in (replace(draft, run=run) for draft in events):
            if now - release.said.get(event, -SAID_FOR) < SAID_FOR:
                continue
            if len(release.said) >= SAID_LIMIT:
                release.said = {n: at for n, at in release.said.items() if now - at < SAID_FOR}
            release.said[event] = now
            new.append(event)
        self._teller.tell(release, new)

    async def _recover(self, release: Release, written: Written, version: str) -> bool:
        """After a failed write: takes the newer object when that was the cause. True when another try makes sense.

        An object older than the `version` the write was guarded with is one of a cluster that was put back.
        """
        release.write_failures += 1
        if written.outcome is WriteOutcome.GONE:
            self._gone(release)
            return False
        if written.outcome is WriteOutcome.FAILED:
            why = written.problem.message if written.problem else "no answer"
            log.warning("%s/%s: status not written: %s", release.key.namespace, release.key.name, why)
            return False
        if written.body is None:
            written = await self._world.objects.fetch(release.key)
        if written.outcome is WriteOutcome.GONE:
            self._gone(release)
        if written.body is None or written.outcome is WriteOutcome.FAILED:
            return False
        now = text_of(metadata_of(written.body), "resourceVersion")
        if older(now, version) and release.under_way:
            text = f"the cluster came back older than it was known (resourceVersion {now} after {version})"
            release.regression = Regression(text)
            log.error("%s/%s: %s", release.key.namespace, release.key.name, text)
        self._answered(release, written, asked=True)
        return self._store.get(release.key) is release

    def _answered(self, release: Release, written: Written, *, asked: bool = False) -> None:
        if written.body is None:
            return
        self.mind_epoch(written.body)
        self._store.answered(release, written.body, asked=asked)

    def _gone(self, release: Release) -> None:
        if self._store.get(release.key) is release:
            self._store.remove(release.key)

    def mind_epoch(self, body: Mapping[str, object]) -> None:
        """Stops this process when a newer leader wrote the status."""
        status = body.get("status")
        epoch = status.get("epoch") if isinstance(status, Mapping) else None
        own = self._world.leadership.epoch
        if isinstance(epoch, int) and own and epoch > own:
            name = text_of(metadata_of(body), "name")
            self._world.fenced(f"a leader of epoch {epoch} wrote the status of {name}; this one is {own}")


SAID_LIMIT = 64
