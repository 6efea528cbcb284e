"""The facts of one release: what the watches showed, what was measured, and what only a request can tell."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime

from sparkrelease.api.objects import APPROVAL_KIND
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Facts, Finding, Route, Side
from sparkrelease.decide.flagging import in_force
from sparkrelease.decide.managed import findings_of
from sparkrelease.decide.metricchecks import baseline_findings
from sparkrelease.decide.plan import Wants
from sparkrelease.decide.stages import mirrors_of
from sparkrelease.engine.keeping import Keeping
from sparkrelease.engine.mitigating import Mitigating
from sparkrelease.engine.needs import counted_since
from sparkrelease.engine.release import Release
from sparkrelease.engine.store import Store
from sparkrelease.engine.targets import FLAG
from sparkrelease.engine.telling import unknown_targets
from sparkrelease.engine.world import World
from sparkrelease.ports.traffic import Target

_UNKNOWN = Side(problem=Problem(Reason.PODS_UNKNOWN, "nobody has looked at its pods yet"))
"""A side before the first look: a rollback does not wait for it."""


class Gatherer:
    """Builds the facts of a round."""

    def __init__(self, world: World, store: Store) -> None:
        self._world = world
        self._store = store
        self.mitigating = Mitigating(world)
        self.keeping = Keeping(world)

    def facts(self, release: Release) -> Facts:
        """What is known at this instant, without asking anybody; cheap enough for every release at every tick."""
        world = self._world
        active, measuring = release.active, world.measuring
        since = counted_since(release.spec, release.status) if active and release.spec is not None else {}
        return Facts(
            namespace=release.key.namespace,
            name=release.key.name,
            uid=release.uid,
            generation=release.generation,
            tick=world.config.tick,
            epoch=world.leadership.epoch,
            deleting=release.deleting,
            has_finalizer=release.finalizer,
            spec_problem=release.spec_problem,
            frozen_problem=release.frozen_problem if release.under_way else None,
            resolved_digest=release.resolved_digest,
            wanted_version=release.wanted_version,
            paused_by_spec=release.paused_by_spec,
            command=release.command,
            command_problem=release.command_problem,
            route=self._route(release),
            share=measuring.share(release.key) if active else None,
            stable=release.stable or _UNKNOWN,
            canary=release.canary or _UNKNOWN,
            workload=self.keeping.seen(release),
            one_workload=_one_workload(release),
            metrics=measuring.readings(release.key) if active else {},
            scraped=measuring.scraped(release.key) if active else {},
            asked=measuring.asked_besides(release.key) if active else {},
            history=measuring.histories(release.key) if active else {},
            windows=measuring.windows(release.key, since) if since else {},
            approvals=self._store.approvals.of(release),
            approvals_problem=self._unreadable(),
            settings=self.mitigating.failed_lately(release),
            evidence_problem=release.chain.broken or release.chain.problem,
            regression=release.regression,
            connections=None if release.active else world.measuring.connections(release.key),
        )

    def _unreadable(self) -> Problem | None:
        if APPROVAL_KIND not in self._store.missing:
            return None
        text = "ReleaseApprovals cannot be read; apply this version's definitions and rights (see docs/install.md)"
        return Problem(Reason.APPROVALS_UNREADABLE, text)

    async def sides(self, release: Release) -> None:
        """Looks at the pods behind both Services again when something about them changed."""
        spec = release.spec
        if spec is None or not (release.sides_dirty or release.stable is None or release.canary is None):
            return
        release.sides_dirty, looked = False, False
        namespace, workloads = release.key.namespace, self._world.workloads
        try:
            stable, canary = await asyncio.gather(
                workloads.side(namespace, spec.traffic.stable.service),
                workloads.side(namespace, spec.traffic.canary.service),
            )
            release.stable, release.canary = stable, canary
            looked = stable.problem is None and canary.problem is None
        finally:
            # Also when the round was cut short: what changed is still to be looked at.
            release.sides_dirty = release.sides_dirty or not looked
        release.side_failures = 0 if looked else release.side_failures + 1

    async def route(self, release: Release) -> None:
        """Asks the API server for a route no watch has shown yet, and for a flag, which is watched in a run alone."""
        target = release.target
        if target is None or (target.kind != FLAG and self._world.traffic.observe(target).exists):
            release.route_problem = None
        elif target.kind in self._store.missing:
            text = f"the cluster does not serve {target.kind}; install the Gateway API"
            release.route_problem = Problem(Reason.ROUTE_API_MISSING, text)
        else:
            release.route_problem = (await self._world.traffic.refresh(target)).problem

    def _route(self, release: Release) -> Route:
        if release.home is not None and not self._bears_mark(release, release.home):
            release.home = None
            self._store.reindex(release)
        if release.target is None:
            return Route()
        route = self._world.traffic.observe(release.target)
        if release.target.kind == FLAG and release.active:
            ready = release.canary.pods if release.canary is not None else frozenset[str]()
            seen, since = self._world.measuring.flag(release.key), release.status.weight.changed_at
            route = in_force(route, ready, seen, since)
        if release.route_problem is None or route.exists:
            return route
        return dataclasses.replace(route, problem=release.route_problem)

    def _bears_mark(self, release: Release, target: Target) -> bool:
        run, mark = release.status.run, self._world.traffic.observe(target).mark
        return run is not None and mark is not None and mark.run == run.id

    async def wanted(self, release: Release, wants: Wants, facts: Facts, now: datetime) -> Facts:
        """Asks what the plan asked for, and adds it to the facts."""
        spec = release.spec
        if spec is None:
            return facts
        if wants.preflight:
            findings, baselines = await asyncio.gather(
                self._preflight(release, now), self._world.measuring.baselines(release.key, spec, now)
            )
            findings += baseline_findings(spec, baselines)
            facts = dataclasses.replace(facts, preflight=findings, baselines=baselines)
        if wants.checks:
            checks = await self._world.checks.look(release.key, release.uid, spec, wants.checks)
            facts = dataclasses.replace(facts, checks=checks)
        if wants.gate_over is not None:
            gate = await self._world.measuring.gate(release.key, spec, wants.gate_over, now)
            facts = dataclasses.replace(facts, gate=gate)
        if wants.spans:
            spans = await self._world.measuring.spans(release.key, spec, wants.spans, now)
            facts = dataclasses.replace(facts, spans=spans)
        if wants.after:
            facts = dataclasses.replace(facts, after=await self._world.measuring.after(release.key, spec, now))
        if wants.settings is not None:
            facts = dataclasses.replace(facts, settings=await self.mitigating.read(release, wants.settings))
        return facts

    async def _preflight(self, release: Release, now: datetime) -> tuple[Finding, ...]:
        spec, target = release.spec, release.target
        if spec is None or target is None:
            return ()
        measured, routed, alerted = await asyncio.gather(
            self._world.measuring.preflight(release.key, spec, now),
            self._world.traffic.preflight(target, mirrors_of(spec)),
            self._world.checks.built_in(release.key, spec),
        )
        kept = findings_of(self.keeping.seen(release))
        return (*routed, *measured, *alerted, *kept, *unknown_targets(self._world, release))


def _one_workload(release: Release) -> bool:
    """Whether both Services are in front of the same pods, which split their users by a flag."""
    if release.target is None or release.target.kind != FLAG or release.stable is None or release.canary is None:
        return False
    return bool(release.canary.pods) and release.stable.pods == release.canary.pods
