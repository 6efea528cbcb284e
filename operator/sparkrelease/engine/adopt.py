"""Taking a release over: its status from the object, its frozen spec from the evidence, its route by a stamp."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from zlib import crc32

from pydantic import ValidationError

from sparkrelease.api.objects import parse_status
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import SparkReleaseSpec, Stage
from sparkrelease.api.status import Phase
from sparkrelease.decide.evidence import parse_entry
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.resolve import ResolvedSpec, digest, with_live_fields
from sparkrelease.engine.apply import RouteWriter
from sparkrelease.engine.readback import ReadBack
from sparkrelease.engine.record import Recorder
from sparkrelease.engine.release import Release
from sparkrelease.engine.world import World

log = logging.getLogger(__name__)

AT_REST = frozenset({Phase.SUCCEEDED.value, Phase.ROLLED_BACK.value})
"""Phases in which only a new wish starts anything."""


class Adopter:
    """Makes a release ready for its first decision under this leadership."""

    def __init__(self, world: World, recorder: Recorder, read_back: ReadBack, routes: RouteWriter) -> None:
        self._world = world
        self._recorder = recorder
        self._read_back = read_back
        self._routes = routes

    async def ready(self, release: Release) -> bool:
        """Does what is still missing; False when the cluster does not let it yet."""
        if not release.adopted:
            self._adopt(release)
        if release.under_way and release.frozen is None:
            await self._thaw(release)
            if release.spec is None and not release.deleting:
                return False
        if release.stamped_epoch != self._world.leadership.epoch and release.target is not None:
            if release.under_way and not self._world.traffic.observe(release.target).exists:
                route = await self._world.traffic.refresh(release.target)
                if not (route.exists or route.gone or release.deleting):
                    log.warning("%s/%s: %s", release.key.namespace, release.key.name, route.message)
                    return False
            return await self._routes.stamp(release, release.target)
        return True

    def _adopt(self, release: Release) -> None:
        status, unread = parse_status({"status": release.seen_status()})
        if unread is not None:
            log.error("%s/%s: %s", release.key.namespace, release.key.name, unread.message)
        release.status = release.written = status
        # As if written at some time within the last heartbeat, so that the first ones of a fleet are spread over one.
        share = crc32(release.uid.encode()) / 2**32
        heartbeat = self._world.config.heartbeat.total_seconds()
        release.written_at = self._world.clock.monotonic() - share * heartbeat
        release.keep_status(None)
        release.adopted = True
        release.owed = dict.fromkeys(status.untold)
        self._recorder.adopt(release)
        self._read_back.adopt(release)

    async def _thaw(self, release: Release) -> None:
        """Finds the spec of the run under way: the object's own when the digests agree, else the recorded one."""
        run = release.status.run
        if run is None:
            return
        if release.resolved is not None and release.resolved_digest == run.spec_digest:
            release.freeze(release.resolved)
            release.frozen_problem = None
            return
        found = await self._recorded_spec(release)
        if isinstance(found, Problem):
            if release.frozen_problem != found:
                log.error("%s/%s: %s", release.key.namespace, release.key.name, found.message)
            release.frozen_problem, release.stand_in = found, _stand_in(release)
            return
        release.freeze(found)
        release.frozen_problem = None

    async def _recorded_spec(self, release: Release) -> ResolvedSpec | Problem:
        """The spec in the entry of the run's start: in the first ConfigMap, unless it is too large or there are two."""
        names = release.status.evidence.config_maps
        for part in (names[:1], names):
            lines = await self._world.evidence.load(release.key.namespace, part)
            if isinstance(lines, Problem):
                return Problem(lines.reason, f"the spec this run follows cannot be read: {lines.message}")
            spec = _spec_in(release, lines)
            if spec is not None:
                return spec
        return Problem(Reason.EVIDENCE_MISSING, "the spec this run follows is not in its evidence")


def _spec_in(release: Release, lines: Sequence[str]) -> ResolvedSpec | None:
    run = release.status.run
    for entry in map(parse_entry, lines):
        if entry is None or "spec" not in entry.data:
            continue
        try:
            spec = ResolvedSpec.model_validate(entry.data["spec"])
        except ValidationError:
            return None
        if run is not None and digest(spec) == run.spec_digest:
            return spec
    return None


_SOME = 100.0
"""A weight for a run that has none now: the last stage must have some, and nothing rises on a spec that stands in."""


def _stand_in(release: Release) -> ResolvedSpec | None:
    """Enough of a spec to take traffic back by: one stage at the present weight, and no rule."""
    declared, run, weight = release.declared, release.status.run, release.status.weight.desired
    if not isinstance(declared, SparkReleaseSpec) or run is None:
        return None
    spec = ResolvedSpec(
        version=run.version,
        prometheus=declared.prometheus,
        traffic=declared.traffic,
        stages=(Stage(name="as-it-is", weight=weight or _SOME, duration=timedelta(hours=1)),),
    )
    return with_live_fields(spec, declared)


def nothing_to_do(release: Release) -> bool:
    """Whether the object says of itself that it is at rest, so that it needs no round until something changes.

    Never of a managed workload: its template may have changed while nobody watched, and nobody watches before a look.
    """
    body = release.seen_status()
    if release.managed:
        return False
    if body is None or release.deleting or release.finalizer or body.get("observedGeneration") != release.generation:
        return False
    run, command = body.get("run"), body.get("command")
    ended = isinstance(run, Mapping) and run.get("end") is not None
    if not ended or body.get("phase") not in AT_REST or body.get("pendingEvidence") or body.get("untold"):
        return False
    if not _closed(release.wanted_version, body):
        return False
    nonce = command.get("nonce") if isinstance(command, Mapping) else None
    return release.command_problem is None and (release.command is None or release.command.nonce == nonce)


def goes_back(release: Release) -> bool:
    """Whether the object says of itself that its traffic is on the way back: that waits for nothing but the stamp."""
    body = release.seen_status()
    return body is not None and body.get("phase") == Phase.ROLLING_BACK.value


def _closed(version: str, status: Mapping[str, object]) -> bool:
    """Whether the version was settled or refused: no pod that comes or goes makes it start again."""
    settled, refused = status.get("settled"), status.get("refused")
    by_run = isinstance(settled, Mapping) and not settled.get("observed")
    names = [settled if by_run else None, *(refused if isinstance(refused, list) else ())]
    return version in {name.get("version") for name in names if isinstance(name, Mapping)}


def closed(release: Release) -> bool:
    """The same of a release that was adopted."""
    status = release.status
    if release.managed or release.under_way or status.phase.value not in AT_REST:
        return False
    known = status.settled
    settled = known is not None and not known.observed and known.version == release.wanted_version
    return settled or any(r.version == release.wanted_version for r in status.refused)
