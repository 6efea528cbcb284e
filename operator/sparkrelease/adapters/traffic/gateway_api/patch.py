"""JSON patches of a route. Every one of them tests what it was decided on, and changes nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject, objects
from sparkrelease.adapters.traffic.gateway_api.rules import ManagedRule
from sparkrelease.adapters.traffic.gateway_api.vocabulary import EPOCH, MARKS
from sparkrelease.adapters.traffic.gateway_api.weights import Pair

Op = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a managed rule should say: its weights, and the filter that mirrors to canary, if any.

    `empty` keeps a list of filters that nothing is left in.
    """

    pair: Pair
    mirror: Mapping[str, object] | None = None
    percent: float = 0.0
    empty: bool = False


def weight_patch(
    base: RouteObject, rules: Sequence[ManagedRule], wanted: Sequence[Wanted], marks: Mapping[str, str]
) -> tuple[Op, ...]:
    """Sets weights and mirror of every managed rule and our annotations in one write; empty when all is so already.

    Tested: identity, generation, epoch, and names, old weights and old filters in each rule. Not tested:
    resourceVersion, which every status write of the gateway moves on.
    """
    each = list(zip(rules, wanted, strict=True))
    weights = [op for rule, to in each for op in _weight_ops(rule, to.pair)]
    weights += [op for rule, to in each for op in _mirror_ops(base, rule, to)]
    annotations = _map_ops(base.annotations, "annotations", marks, [name for name in MARKS if name not in marks])
    if not weights and not annotations:
        return ()
    rule_tests = [op for rule in rules for op in _rule_tests(base, rule)]
    return (*_identity(base), _test("/metadata/generation", base.generation), *rule_tests, *weights, *annotations)


def unmark_patch(base: RouteObject) -> tuple[Op, ...]:
    """Takes our annotations off and leaves the rest alone; empty when there are none."""
    annotations = _map_ops(base.annotations, "annotations", {}, MARKS)
    return (*_identity(base), *annotations) if annotations else ()


def stamp_patch(base: RouteObject, epoch: int) -> tuple[Op, ...]:
    """Replaces the epoch on a marked route."""
    return (*_identity(base), *_map_ops(base.annotations, "annotations", {EPOCH: str(epoch)}, ()))


def takeover_patch(
    base: RouteObject,
    spec: Mapping[str, object],
    labels: tuple[Mapping[str, str], Sequence[str]],
    annotations: tuple[Mapping[str, str], Sequence[str]],
) -> tuple[Op, ...]:
    """Makes the route what it should be, whole, in one write: `labels` and `annotations` are (to set, to take off)."""
    return (
        *_identity(base),
        _test("/metadata/generation", base.generation),
        {"op": "replace", "path": "/spec", "value": spec},
        *_map_ops(base.labels, "labels", *labels),
        *_map_ops(base.annotations, "annotations", *annotations),
    )


def _identity(base: RouteObject) -> tuple[Op, ...]:
    """The object is the same and no other leader has stamped it since it was read."""
    if base.annotations is None:
        return _test("/metadata/uid", base.uid), _test("/metadata/annotations", None)
    return _test("/metadata/uid", base.uid), _test(_path("annotations", EPOCH), base.annotation(EPOCH))


def _rule_tests(base: RouteObject, rule: ManagedRule) -> list[Op]:
    at = f"/spec/rules/{rule.index}"
    backends = objects(base.rules[rule.index].get("backendRefs"))
    tests = [_test(f"{at}/name", rule.name)] if rule.name else []
    for place in (rule.stable_at, rule.canary_at):
        tests.append(_test(f"{at}/backendRefs/{place}/name", backends[place].get("name")))
        tests.append(_test(f"{at}/backendRefs/{place}/weight", backends[place].get("weight")))
    return tests


def _weight_ops(rule: ManagedRule, wanted: Pair) -> list[Op]:
    if rule.now == wanted:
        return []
    at = f"/spec/rules/{rule.index}/backendRefs"
    # "add" and not "replace": it also writes a weight that an old object was stored without.
    return [
        {"op": "add", "path": f"{at}/{rule.stable_at}/weight", "value": wanted.stable},
        {"op": "add", "path": f"{at}/{rule.canary_at}/weight", "value": wanted.canary},
    ]


def _mirror_ops(base: RouteObject, rule: ManagedRule, wanted: Wanted) -> list[Op]:
    """Puts our filter behind those that are there, or takes off every one that mirrors to canary."""
    at = f"/spec/rules/{rule.index}/filters"
    said = base.rules[rule.index].get("filters")
    filters = objects(said)
    kept = [one for place, one in enumerate(filters) if place not in rule.mirrors]
    as_wanted = rule.mirrored == wanted.percent and len(rule.mirrors) == (wanted.mirror is not None)
    if as_wanted and not (wanted.empty and said is None):
        return []
    new = [*kept, wanted.mirror] if wanted.mirror is not None else kept
    if new or wanted.empty:
        return [_test(at, said), {"op": "add", "path": at, "value": new}]
    return [_test(at, said), {"op": "remove", "path": at}]


def _map_ops(now: Mapping[str, str] | None, which: str, wanted: Mapping[str, str], gone: Sequence[str]) -> list[Op]:
    """Changes single keys of labels or annotations; a map that is not there is made, tested to be absent."""
    if now is None:
        whole = f"/metadata/{which}"
        return [_test(whole, None), {"op": "add", "path": whole, "value": dict(wanted)}] if wanted else []
    changed = [(key, value) for key, value in wanted.items() if now.get(key) != value]
    adds: list[Op] = [{"op": "add", "path": _path(which, key), "value": value} for key, value in changed]
    return adds + [{"op": "remove", "path": _path(which, key)} for key in gone if key in now]


def _path(which: str, key: str) -> str:
    escaped = key.replace("~", "~0").replace("/", "~1")
    return f"/metadata/{which}/{escaped}"


def _test(path: str, value: object) -> Op:
    return {"op": "test", "path": path, "value": value}
