"""Checks before any value is written. Reads, and writes with dryRun only."""

from __future__ import annotations

from http import HTTPStatus

from sparkrelease.adapters.traffic.feature_flag.door import FlagDoor
from sparkrelease.adapters.traffic.feature_flag.flag import KIND, FlagObject, flag_of, label_of, value_problem
from sparkrelease.adapters.traffic.feature_flag.writes import Patch, decide_write
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ServiceRef
from sparkrelease.decide.facts import Finding, Problem, RouteMark
from sparkrelease.decide.plan import SetWeight
from sparkrelease.ports.gitops import missing_ignore_rule
from sparkrelease.ports.marks import RELEASE, epoch_of
from sparkrelease.ports.traffic import Target

_PROBE = "preflight"
_EVIDENCE = "sparkrelease.dev/evidence"


class Preflight:
    """The checks of one provider."""

    def __init__(self, door: FlagDoor) -> None:
        self._door = door

    async def findings(self, target: Target, seen: FlagObject | None) -> tuple[Finding, ...]:
        """All findings; a flag that says nothing is the only one."""
        problem = value_problem(target, seen)
        if problem is not None or seen is None:
            return (Finding("flag", True, problem),) if problem is not None else ()
        if seen.immutable:
            text = f"{label_of(target)} is immutable; use another ConfigMap"
            return (_fatal("flag", Reason.ROUTE_INVALID, text),)
        if any(label.startswith(_EVIDENCE) for label in seen.labels):
            text = f"{label_of(target)} holds evidence, which nobody changes; use another ConfigMap"
            return (_fatal("flag", Reason.ROUTE_INVALID, text),)
        found = await self._claimed(target, seen)
        for ref in (target.traffic.stable, target.traffic.canary):
            found += await self._service(target, ref)
        found = found if found else await self._permission(target, seen)
        return (*found, *_gitops(target, seen))

    async def _claimed(self, target: Target, seen: FlagObject) -> list[Finding]:
        """The marks of a run are on the ConfigMap as a whole: it serves one release at a time."""
        other = (seen.annotations or {}).get(RELEASE)
        if not other or other == target.release:
            return []
        reply = await self._door.release(target.namespace, other)
        if reply.not_found:
            return []
        text = f"{label_of(target)} is in the hands of SparkRelease {other}; wait for its end, or use another ConfigMap"
        return [_fatal("conflict", Reason.ROUTE_CONFLICT, text)]

    async def _service(self, target: Target, ref: ServiceRef) -> list[Finding]:
        reply = await self._door.service(target.namespace, ref.service)
        if reply.not_found:
            text = f"Service {ref.service} does not exist in namespace {target.namespace}"
            return [_fatal("services", Reason.SERVICE_NOT_FOUND, text)]
        return []

    async def _permission(self, target: Target, seen: FlagObject) -> list[Finding]:
        """Writes what the first weight would write beside the value, with dryRun: rights and admission answer."""
        epoch = epoch_of(seen.annotations)
        write = decide_write(seen, target, SetWeight(0, RouteMark(run=_PROBE, epoch=epoch)), epoch)
        if not isinstance(write, Patch):
            return [Finding("permission", True, write)] if isinstance(write, Problem) else []
        reply = await self._door.patch((target.namespace, target.route_name), write.ops, dry_run=True)
        if reply.ok:
            return []
        words = reply.problem.message if reply.problem is not None else ""
        text = f"{label_of(target)} cannot be written: {words}"
        if reply.status == HTTPStatus.FORBIDDEN:
            text = (
                f"the operator may not write {label_of(target)}; give it get, watch and patch of this ConfigMap "
                f"(manifests/namespaced/feature-flag): {words}"
            )
        return [_fatal("permission", Reason.ROUTE_WRITE_FAILED, text)]


def _gitops(target: Target, seen: FlagObject) -> list[Finding]:
    """A tool that sets the flag back to what Git says would end every run."""
    key = flag_of(target).key
    managers = {str(entry.get("manager")) for entry in seen.fields}
    marks = {**seen.labels, **(seen.annotations or {})}
    part, pointer = f'.data["{key}"]', f"/data/{key}"
    problem = missing_ignore_rule(label_of(target), KIND, managers, marks, jq=[part], pointer=pointer)
    return [Finding("gitops", False, problem)] if problem is not None else []


def _fatal(check: str, reason: Reason, message: str) -> Finding:
    return Finding(check, True, Problem(reason, message))
