"""Moves traffic by the value of a feature flag: the application splits its users by what it reads there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from sparkrelease.adapters.traffic.feature_flag.door import FlagDoor
from sparkrelease.adapters.traffic.feature_flag.flag import (
    KIND,
    FlagObject,
    Place,
    WriteNote,
    facts_of,
    flag_of,
    label_of,
    read_flag,
)
from sparkrelease.adapters.traffic.feature_flag.preflight import Preflight
from sparkrelease.adapters.traffic.feature_flag.writes import (
    Fence,
    Nothing,
    Patch,
    Write,
    decide_write,
    other_release,
    stamped,
    tested,
)
from sparkrelease.api.flags import LADDER
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Problem, Route
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.api_server import ApiServer, Reply
from sparkrelease.ports.clock import Clock
from sparkrelease.ports.marks import EPOCH, epoch_of
from sparkrelease.ports.traffic import Acceptance, Applied, ApplyOutcome, Capabilities, Target

_TRIES = 3
"""Attempts at a stamp that only another write of the same ConfigMap can have got in the way of."""

_NO_NOTE = WriteNote()


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of apply, and the lane it goes over."""

    target: Target
    action: SetWeight | ReleaseRoute
    epoch: int
    door: FlagDoor
    gone: str = ""
    """A release whose marks are on the flag, and which is not there any more."""

    @property
    def place(self) -> Place:
        return _place(self.target)

    def decide(self, seen: FlagObject | None) -> Write:
        return decide_write(seen, self.target, self.action, self.epoch, gone=self.gone)


class FeatureFlagProvider:
    """TrafficProvider and ObjectCache for a key of a ConfigMap.

    It cannot tell whether a value is in force: that is what the application's own metric is for.

    Args:
        lane: for reading and raising.
        urgent: for writes by which canary loses traffic; short of patience, behind nothing else.
        clock: tells when a write was answered.
    """

    def __init__(self, lane: ApiServer, urgent: ApiServer, clock: Clock) -> None:
        self._door = FlagDoor(lane)
        self._urgent = FlagDoor(urgent)
        self._clock = clock
        self._flags: dict[Place, FlagObject | None] = {}
        """None where the API server said that there is none; what nobody has read yet is not in it."""
        self._notes: dict[tuple[Place, str], WriteNote] = {}

    # ------------------------------------------------------------ reading

    def capabilities(self) -> Capabilities:
        """The rungs of the ladder and nothing between; whether one is in force is not seen here."""
        return Capabilities(granularity=1, acceptance=Acceptance.NONE, owned=False, weights=tuple(LADDER))

    def kinds(self) -> frozenset[str]:
        """ConfigMaps; those of releases under way are shown, and no others."""
        return frozenset({KIND})

    def see(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        """Takes what a watch shows; something older than what is known is left alone."""
        if kind != KIND:
            return
        seen = read_flag(body)
        known = self._flags.get(seen.place)
        if event == "DELETED":
            if known is None or known.uid == seen.uid or not seen.uid:
                self._flags[seen.place] = None
        elif known is None or known.uid != seen.uid or seen.order >= known.order:
            self._flags[seen.place] = seen

    def observe(self, target: Target) -> Route:
        """The flag as last seen, without asking."""
        place, note = _place(target), self._notes.get(_noted(target), _NO_NOTE)
        if place not in self._flags:
            problem = Problem(Reason.ROUTE_PENDING, f"{label_of(target)} has not been read yet")
            return Route(message=problem.message, problem=problem, write_problem=note.problem)
        return facts_of(target, self._flags[place], note)

    async def refresh(self, target: Target) -> Route:
        """The flag as the API server has it now; with `problem` when it does not say."""
        reply = await self._get(_place(target), self._door)
        if not _unread(reply):
            return self.observe(target)
        problem, seen = _problem(target, reply, "read"), self.observe(target)
        return Route(exists=seen.exists, message=problem.message, problem=problem, write_problem=seen.write_problem)

    async def preflight(self, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        """What would keep a value from being reached; a flag sends no copies of requests to anybody."""
        if mirrors:
            text = "a feature flag mirrors no requests; remove mirror from the stages, or use traffic.gatewayAPI"
            return (Finding("mirror", True, Problem(Reason.MIRROR_UNSUPPORTED, text)),)
        reply = await self._get(_place(target), self._door)
        if _unread(reply):
            return (Finding("flag", True, _problem(target, reply, "read")),)
        return await Preflight(self._door).findings(target, self._flags.get(_place(target)))

    # ------------------------------------------------------------ writing

    async def apply(self, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Applied:
        """Carries the action out in one guarded write.

        "Unchanged" is only said of what the API server answered during this call, never of what was known before.
        """
        call = _Call(target, action, epoch, self._lane_for(target, action))
        base = self._flags.get(call.place)
        write = call.decide(base)
        if base is None or not isinstance(write, Patch):
            reply = await self._get(call.place, call.door)
            if _unread(reply):
                return self._failed(target, _problem(target, reply, "read"))
            base = self._flags.get(call.place)
            call = await self._past_the_gone(call, base)
            write = call.decide(base)
        if not isinstance(write, Patch):
            return self._unwritten(target, write)
        reply = await call.door.patch(call.place, write.ops)
        if reply.ok:
            return self._written(target, base, reply)
        if reply.guard_failed or reply.not_found:
            return await self._refused(call, base)
        return self._failed(target, _problem(target, reply, "written"))

    async def _past_the_gone(self, call: _Call, base: FlagObject | None) -> _Call:
        """Minds no marks of a release that was deleted without taking them off (Orphan, or by force)."""
        other = other_release(base, call.target)
        if not other or not (await call.door.release(call.target.namespace, other)).not_found:
            return call
        return replace(call, gone=other)

    async def _refused(self, call: _Call, base: FlagObject | None) -> Applied:
        """Tells apart why a write was refused, by reading the flag again.

        Where neither the value nor the leader changed, somebody wrote the first annotation or key of the object: that
        is no conflict about the flag, and the write is sent once more.
        """
        target = call.target
        reply = await self._get(call.place, call.door)
        if _unread(reply):
            return self._failed(target, _problem(target, reply, "read"))
        now = self._flags.get(call.place)
        write = call.decide(now)
        if not isinstance(write, Patch):
            return self._unwritten(target, write)
        key = flag_of(target).key
        moved = base is None or now is None or tested(now, key) != tested(base, key)
        if moved:
            return self._applied(target, ApplyOutcome.CONFLICT)
        again = await call.door.patch(call.place, write.ops)
        if again.ok:
            return self._written(target, now, again)
        if again.status == HTTPStatus.CONFLICT:
            return self._applied(target, ApplyOutcome.CONFLICT)
        return self._failed(target, _problem(target, again, "written"))

    def _unwritten(self, target: Target, write: Nothing | Fence | Problem) -> Applied:
        match write:
            case Nothing():
                return self._unchanged(target)
            case Fence():
                return self._applied(target, ApplyOutcome.FENCED)
            case Problem():
                return self._failed(target, write)

    async def stamp(self, target: Target, epoch: int, *, over: bool = False) -> Applied:
        """Writes the epoch on a marked flag; tests only that no other leader did meanwhile."""
        place = _place(target)
        reply = Reply(HTTPStatus.NOT_FOUND)
        if place not in self._flags and _unread(first := await self._get(place, self._door)):
            return self._failed(target, _problem(target, first, "read"))
        for _ in range(_TRIES):
            seen = self._flags.get(place)
            if seen is None or EPOCH not in (seen.annotations or {}):
                return self._applied(target, ApplyOutcome.UNCHANGED)
            found = epoch_of(seen.annotations)
            if found == epoch or (found > epoch and not over):
                return self._applied(target, ApplyOutcome.FENCED if found > epoch else ApplyOutcome.UNCHANGED)
            reply = await self._door.patch(place, stamped(seen, epoch))
            if reply.ok:
                self._take(reply)
                return self._applied(target, ApplyOutcome.CHANGED)
            if not (reply.guard_failed or reply.not_found):
                break
            again = await self._get(place, self._door)
            if _unread(again):
                return self._failed(target, _problem(target, again, "read"))
        return self._failed(target, _problem(target, reply, "stamped"))

    # ------------------------------------------------------------ answering

    def _applied(self, target: Target, outcome: ApplyOutcome, problem: Problem | None = None) -> Applied:
        return Applied(outcome, self._clock.now(), self.observe(target), problem)

    def _failed(self, target: Target, problem: Problem) -> Applied:
        self._note(target, problem)
        return self._applied(target, ApplyOutcome.FAILED, problem)

    def _unchanged(self, target: Target) -> Applied:
        self._note(target, None)
        return self._applied(target, ApplyOutcome.UNCHANGED)

    def _written(self, target: Target, base: FlagObject | None, reply: Reply) -> Applied:
        seen, at = self._take(reply), self._clock.now()
        self._notes[_noted(target)] = WriteNote(seen.uid, seen.value(flag_of(target).key) or "", at)
        same = base is not None and base.resource_version == seen.resource_version
        return Applied(ApplyOutcome.UNCHANGED if same else ApplyOutcome.CHANGED, at, self.observe(target))

    def _note(self, target: Target, problem: Problem | None) -> None:
        old = self._notes.get(_noted(target), _NO_NOTE)
        self._notes[_noted(target)] = WriteNote(old.uid, old.value, old.at, problem)

    def _take(self, reply: Reply) -> FlagObject:
        """Takes what the API server answered; of a cluster that was put back it may be older than what was known."""
        seen = read_flag(reply.body)
        self._flags[seen.place] = seen
        return seen

    async def _get(self, place: Place, door: FlagDoor) -> Reply:
        reply = await door.get(place)
        if reply.ok:
            self._take(reply)
        elif reply.not_found:
            self._flags[place] = None
        return reply

    def _lane_for(self, target: Target, action: SetWeight | ReleaseRoute) -> FlagDoor:
        if isinstance(action, ReleaseRoute) or action.mark.rollback:
            return self._urgent
        seen = self.observe(target).canary_weight
        return self._urgent if seen is not None and action.canary < seen else self._door


def _place(target: Target) -> Place:
    return target.namespace, target.route_name


def _noted(target: Target) -> tuple[Place, str]:
    """Under which a note is kept: several releases may take turns with the keys of one ConfigMap."""
    return _place(target), flag_of(target).key


def _unread(reply: Reply) -> bool:
    """Whether a read neither showed the object nor said that there is none."""
    return not reply.ok and not reply.not_found


def _problem(target: Target, reply: Reply, done: str) -> Problem:
    words = reply.problem.message if reply.problem is not None else ""
    text = f"{label_of(target)} cannot be {done}: {words}"
    if reply.status == HTTPStatus.FORBIDDEN:
        text += "; give the operator get, watch and patch of this ConfigMap (manifests/namespaced/feature-flag)"
    return Problem(Reason.ROUTE_WRITE_FAILED, text)
