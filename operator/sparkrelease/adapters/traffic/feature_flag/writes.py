"""What to write: from a flag as it is and an action to a JSON patch, or to why there is none. Pure.

Every patch tests the object's identity, the value it was decided on and the epoch, and changes one key and our own
annotations. It does not test the resourceVersion: other keys of the ConfigMap are other people's, and a write of
theirs must not hold up a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.adapters.traffic.feature_flag.flag import FlagObject, flag_of, label_of, value_problem
from sparkrelease.api.flags import LADDER, value_of, weight_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.marks import EPOCH, MARKS, RELEASE, annotations_of, epoch_of
from sparkrelease.ports.traffic import Target

Op = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Nothing:
    """All is so already."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A newer leader has stamped the flag."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Send these operations."""

    ops: tuple[Op, ...]


Write = Nothing | Fence | Patch | Problem


def decide_write(
    seen: FlagObject | None, target: Target, action: SetWeight | ReleaseRoute, epoch: int, *, gone: str = ""
) -> Write:
    """What to send so that the flag is as the action wants it. `gone`: a release whose marks nobody minds any more."""
    if seen is None:
        return Nothing() if isinstance(action, ReleaseRoute) else _gone(target)
    if epoch_of(seen.annotations) > epoch:
        return Fence()
    if isinstance(action, ReleaseRoute):
        return _release(seen, target, action.original or LADDER[0.0])
    value = value_of(action.canary)
    if value is None:
        return Problem(Reason.ROUTE_INVALID, f"{label_of(target)} has no value for {action.canary:g} %")
    if action.canary > (weight_of(seen.value(flag_of(target).key) or "") or 0.0):
        problem = _no_raise(seen, target, gone) or value_problem(target, seen)
        if problem is not None:
            return problem
    return _patch(_changed(seen, flag_of(target).key, value, annotations_of(action.mark, target.release, epoch)))


def other_release(seen: FlagObject | None, target: Target) -> str:
    """The other release whose marks the flag bears; empty when there is none."""
    other = (seen.annotations or {}).get(RELEASE, "") if seen is not None else ""
    return "" if other == target.release else other


def stamped(seen: FlagObject, epoch: int) -> tuple[Op, ...]:
    """Replaces the epoch on a marked flag."""
    return (*_identity(seen), *_annotated(seen, {EPOCH: str(epoch)}, ()))


def tested(seen: FlagObject, key: str) -> tuple[object, ...]:
    """What a write is decided on: with all of it as it was, a refusal has another reason."""
    return (seen.uid, seen.value(key), (seen.annotations or {}).get(EPOCH))


def _release(seen: FlagObject, target: Target, value: str) -> Write:
    """The value of before, without our marks; nothing where the flag is in another release's hands by now."""
    if other_release(seen, target):
        return Nothing()
    key = flag_of(target).key
    return _patch(_unmarked(seen) if seen.value(key) is None else _changed(seen, key, value, {}))


def _no_raise(seen: FlagObject, target: Target, gone: str) -> Problem | None:
    """Why a flag that is in somebody else's hands is not raised; off can always be written."""
    other = other_release(seen, target)
    if not other or other == gone:
        return None
    text = f"{label_of(target)} is in the hands of SparkRelease {other}; one ConfigMap serves one release at a time"
    return Problem(Reason.ROUTE_CONFLICT, text)


def _gone(target: Target) -> Problem:
    return value_problem(target, None) or Problem(Reason.ROUTE_NOT_FOUND, label_of(target))


def _changed(seen: FlagObject, key: str, value: str, marks: Mapping[str, str]) -> tuple[Op, ...]:
    at, now = f"/data/{_escaped(key)}", seen.value(key)
    if seen.data is None:
        values = [_test("/data", None), _add("/data", {key: value})]
    else:
        values = [] if now == value else [_add(at, value)]
    annotations = _annotated(seen, marks, [name for name in MARKS if name not in marks])
    if not values and not annotations:
        return ()
    return (*_identity(seen), _test(at, now), *values, *annotations)


def _unmarked(seen: FlagObject) -> tuple[Op, ...]:
    annotations = _annotated(seen, {}, MARKS)
    return (*_identity(seen), *annotations) if annotations else ()


def _identity(seen: FlagObject) -> tuple[Op, ...]:
    """The object is the same, and no other leader has stamped it since it was read."""
    if seen.annotations is None:
        return _test("/metadata/uid", seen.uid), _test("/metadata/annotations", None)
    return _test("/metadata/uid", seen.uid), _test(_annotation(EPOCH), seen.annotations.get(EPOCH))


def _annotated(seen: FlagObject, wanted: Mapping[str, str], gone: Sequence[str]) -> list[Op]:
    """Changes our annotations one by one; a map that is not there is made, for the patch tests that it is absent."""
    if seen.annotations is None:
        return [_add("/metadata/annotations", dict(wanted))] if wanted else []
    now = seen.annotations
    adds = [_add(_annotation(name), value) for name, value in wanted.items() if now.get(name) != value]
    return adds + [{"op": "remove", "path": _annotation(name)} for name in gone if name in now]


def _patch(ops: tuple[Op, ...]) -> Write:
    return Patch(ops) if ops else Nothing()


def _annotation(name: str) -> str:
    return f"/metadata/annotations/{_escaped(name)}"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _test(path: str, value: object) -> Op:
    return {"op": "test", "path": path, "value": value}


def _add(path: str, value: object) -> Op:
    return {"op": "add", "path": path, "value": value}
