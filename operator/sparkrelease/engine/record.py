"""Evidence before action: drafts are linked to the chain of their run and stored, or kept pending."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import link, relink
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.engine.ahead import (
    begin_alike,
    digest_of,
    entries_of,
    next_index,
    not_in,
    read_ahead,
    take_in,
    unknown_to,
    what_it_shows,
    without_repetitions,
)
from sparkrelease.engine.release import Chain, Release
from sparkrelease.engine.world import World

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between tries of storing what could not be stored."""

PATIENCE = 2.0
"""Seconds a decision that does not raise weight waits for its evidence."""


class Recorder:
    """The one place where the engine has evidence stored."""

    def __init__(self, world: World) -> None:
        self._world = world

    def adopt(self, release: Release) -> None:
        """Takes up the chain where the status says it stands."""
        status = release.status
        run = status.run.id if status.run else ""
        release.chain = Chain(run=run, stored=status.evidence, pending=status.pending_evidence)

    async def record(self, release: Release, run: str, drafts: Sequence[EntryDraft], now: datetime) -> Problem | None:
        """Stores the drafts, and what is pending before them, for the run; a Problem when anything is left unstored."""
        chain = release.chain
        if run != chain.run:
            if chain.pending and (problem := await self._store(release, chain.pending)):
                return problem
            self._turn_to(release, run)
        lines = release.chain.pending + self._linked(release, drafts, now)
        return await self._store(release, lines) if lines else None

    async def record_or_keep(self, release: Release, run: str, drafts: Sequence[EntryDraft], now: datetime) -> None:
        """Stores the drafts if that goes quickly; else they stay pending and the decision does not wait for them."""
        chain = release.chain
        paused = chain.problem is not None and self._world.clock.monotonic() < chain.try_again_at
        if not paused:
            try:
                async with asyncio.timeout(PATIENCE):
                    if await self.record(release, run, drafts, now) is None:
                        return
            except TimeoutError:
                self._failed(release, Problem(Reason.EVIDENCE_NOT_STORED, f"no answer within {PATIENCE:g} s"))
        self.keep(release, run, drafts, now)

    def keep(self, release: Release, run: str, drafts: Sequence[EntryDraft], now: datetime) -> None:
        """Leaves the drafts pending. Those that were stored although nobody heard the answer are not stored twice."""
        if run != release.chain.run and not release.chain.pending:
            self._turn_to(release, run)
        if run == release.chain.run:
            release.chain.pending += self._linked(release, drafts, now)

    def _turn_to(self, release: Release, run: str) -> None:
        """Goes on with the chain of this run, from where the status says it stands."""
        status = release.status
        known = status.run is not None and status.run.id == run
        release.chain = Chain(run=run, stored=status.evidence) if known else Chain(run=run)

    async def flush(self, release: Release) -> None:
        """Tries again to store what is pending, once its pause is over; else clears the way for the next try."""
        chain = release.chain
        if self._world.clock.monotonic() < chain.try_again_at:
            return
        if chain.pending:
            await self._store(release, chain.pending)
        else:
            chain.problem = None

    def _linked(self, release: Release, drafts: Sequence[EntryDraft], now: datetime) -> tuple[str, ...]:
        chain = release.chain
        head, number = chain.stored.head, chain.stored.entries
        if chain.pending:
            head, number = digest_of(chain.pending[-1]), number + len(chain.pending)
        name = f"{release.key.namespace}/{release.key.name}"
        lines = []
        for draft in drafts:
            number += 1
            entry = link(head, number, at=now, release=name, run=chain.run, draft=draft)
            lines.append(entry.line)
            head = entry.digest
        return tuple(lines)

    async def _store(self, release: Release, lines: tuple[str, ...]) -> Problem | None:
        world, chain = self._world, release.chain
        if not world.leadership.valid_for(0):
            return Problem(Reason.EVIDENCE_NOT_STORED, "this process does not lead")
        answer = await world.evidence.store(release.key, chain.run, next_index(chain.stored), lines)
        if isinstance(answer, Problem) and answer.reason is Reason.EVIDENCE_DIFFERS:
            lines, answer = await self._behind_what_is_there(release, lines, answer)
        world.metrics.writes.labels("evidence", "Failed" if isinstance(answer, Problem) else "Done").inc()
        if isinstance(answer, Problem):
            if answer.reason is not Reason.STATE_REGRESSED:
                self._failed(release, answer)
            return answer
        if lines:
            take_in(chain, lines, answer)
            world.metrics.evidence_entries.inc(len(lines))
        chain.pending, chain.problem, chain.failures, chain.try_again_at = (), None, 0, 0.0
        return None

    def _failed(self, release: Release, problem: Problem) -> None:
        chain = release.chain
        chain.failures += 1
        pause = min(FIRST_PAUSE * 2 ** (chain.failures - 1), LONGEST_PAUSE)
        chain.try_again_at = self._world.clock.monotonic() + pause
        chain.problem = Problem(Reason.EVIDENCE_NOT_STORED, f"evidence is not stored: {problem.message}")
        name = f"{release.key.namespace}/{release.key.name}"
        log.warning("%s: evidence not stored (try %d): %s", name, chain.failures, problem.message)

    async def _behind_what_is_there(
        self, release: Release, lines: tuple[str, ...], answer: Problem
    ) -> tuple[tuple[str, ...], Problem | tuple[str, ...]]:
        """Adopts entries that a crash, or a round cut short, left behind before the status, if they continue the chain.

        The same decision again is not stored twice, alone or before others; any other one is linked behind. Neither is
        what was stored and not heard of, however it was linked.
        """
        chain, store = release.chain, self._world.evidence
        ahead = await read_ahead(store, release)
        if isinstance(ahead, Problem):
            return lines, ahead
        if not ahead:
            return lines, answer
        unknown = unknown_to(lines, ahead)
        lines, chain.pending = not_in(ahead, lines), not_in(ahead, chain.pending)
        for one in ahead:
            log.info("%s/%s: adopting what is in %s", release.key.namespace, release.key.name, one.name)
            take_in(chain, one.lines, (one.name,))
        unknown, told = without_repetitions(unknown, chain.pending)
        lines, chain.pending = lines[told:], chain.pending[told:]
        shown, mine = what_it_shows(chain, unknown), entries_of(lines)
        if len(unknown) == 1 and begin_alike(unknown[0].entries, mine):
            shown, lines = None, lines[len(unknown[0].entries) :]
        chain.pending = self._behind(chain, chain.pending)
        if shown is not None and not any("outcome" in entry.data for entry in mine):
            release.regression = shown
            return lines, Problem(Reason.STATE_REGRESSED, shown.message)
        if not lines:
            return (), ()
        lines = self._behind(chain, lines)
        return lines, await store.store(release.key, chain.run, next_index(chain.stored), lines)

    def _behind(self, chain: Chain, lines: tuple[str, ...]) -> tuple[str, ...]:
        """Lines that are not stored yet, linked behind what is."""
        return tuple(one.line for one in relink(lines, head=chain.stored.head, number=chain.stored.entries))
