from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.traffic.gateway_api.document import read_route
from sparkrelease.adapters.traffic.gateway_api.rules import record
from sparkrelease.adapters.traffic.gateway_api.vocabulary import MARKS
from sparkrelease.adapters.traffic.gateway_api.weights import pair_of
from sparkrelease.adapters.traffic.gateway_api.writes import Fence, Nothing, Patch, Write, decide_write, rules_of
from sparkrelease.decide.facts import Problem, RouteMark
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from unit.traffic.fakeapi import Body, PatchTestError, apply_patch, backend, http_route, referenced, split_rule

EPOCH = "sparkrelease.dev/epoch"


def _live(*rules: Body, **metadata: object) -> Body:
    return http_route(*rules, uid="u1", generation=3, resourceVersion="9", **metadata)


def _decide(live: Body, action: SetWeight | ReleaseRoute, epoch: int = 7, rule: str | None = None) -> Write:
    return decide_write(read_route("HTTPRoute", live), referenced(rule), action, epoch)


def _patched(live: Body, action: SetWeight | ReleaseRoute, epoch: int = 7, rule: str | None = None) -> Body:
    write = _decide(live, action, epoch, rule)
    assert isinstance(write, Patch), write
    return apply_patch(live, [dict(op) for op in write.ops])


def _set(canary: float, run: str = "v2-abc") -> SetWeight:
    return SetWeight(canary, RouteMark(run=run, weight=canary))


def _without_ours(body: Body) -> Body:
    rest = copy.deepcopy(body)
    annotations = {k: v for k, v in (rest["metadata"].pop("annotations", None) or {}).items() if k not in MARKS}
    rest["metadata"]["annotations"] = annotations
    for rule in rest["spec"]["rules"]:
        refs = rule["backendRefs"]
        if {"shop-stable", "shop-canary"} <= {ref["name"] for ref in refs}:
            for ref in refs:
                if ref["name"] in {"shop-stable", "shop-canary"}:
                    del ref["weight"]
    return rest


names = st.sampled_from(["", "api", "web", "admin"])
foreign_rules = st.builds(
    lambda refs, name: {"backendRefs": refs, **({"name": name} if name else {})},
    st.lists(st.builds(backend, st.sampled_from(["search", "shop-canary", "legacy"]), st.integers(0, 9)), max_size=3),
    names,
)
split_rules = st.builds(
    lambda stable, canary, name, swap, extra: {
        "matches": [{"path": {"type": "PathPrefix", "value": "/x"}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}],
        "backendRefs": [
            *([backend("legacy", 0)] if extra else []),
            *[backend("shop-stable", stable), backend("shop-canary", canary)][:: -1 if swap else 1],
        ],
        **({"name": name} if name else {}),
    },
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    names,
    st.booleans(),
    st.booleans(),
)
annotations = st.one_of(
    st.none(), st.dictionaries(st.sampled_from([*MARKS, "team", "a/b~c"]), st.sampled_from(["1", "2", "shop"]))
)
routes = st.builds(
    lambda rules, split, marks: _live(*rules, split, **({} if marks is None else {"annotations": marks})),
    st.lists(st.one_of(foreign_rules, split_rules), max_size=6),
    split_rules,
    annotations,
)


@given(routes, st.integers(0, 100_000), st.sampled_from(["", "v2-abc"]))
def test_a_patch_changes_the_weights_of_managed_rules_and_our_annotations_and_nothing_else(
    live: Body, thousandths: int, run: str
) -> None:
    action = _set(thousandths / 1000, run)
    write = _decide(live, action)
    if isinstance(write, Nothing):
        return
    after = _patched(live, action)
    assert _without_ours(after) == _without_ours(live)
    wanted = pair_of(thousandths / 1000)
    for rule in after["spec"]["rules"]:
        weights = {ref["name"]: ref["weight"] for ref in rule["backendRefs"]}
        if {"shop-stable", "shop-canary"} <= set(weights):
            assert (weights["shop-stable"], weights["shop-canary"]) == (wanted.stable, wanted.canary)
    assert isinstance(_decide(after, action), Nothing)


@given(routes, st.integers(0, 100_000))
def test_releasing_brings_back_the_recorded_spec_and_leaves_no_annotation_of_ours(live: Body, thousandths: int) -> None:
    state = _recorded(live)
    moved = _decide(live, _set(thousandths / 1000))
    during = _patched(live, _set(thousandths / 1000)) if isinstance(moved, Patch) else live
    back = _decide(during, ReleaseRoute(state))
    after = _patched(during, ReleaseRoute(state)) if isinstance(back, Patch) else during
    assert after["spec"] == live["spec"]
    assert not set(after["metadata"].get("annotations", {})) & set(MARKS)


def _recorded(live: Body) -> str | None:
    rules = rules_of(referenced(), read_route("HTTPRoute", live))
    assert not isinstance(rules, Problem)
    named = [rule.name for rule in rules if rule.name]
    if len(set(named)) != len(named):
        # The API refuses two rules of one name; here the first is renamed so that the record is unambiguous.
        for i, rule in enumerate(live["spec"]["rules"]):
            rule["name"] = f"r{i}"
        return _recorded(live)
    return record(rules)


def _change(live: Body, path: list[Any], value: object) -> Body:
    changed = copy.deepcopy(live)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


MARKED = {EPOCH: "6", "sparkrelease.dev/release": "shop", "sparkrelease.dev/run": "v2-abc"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "uid"], "u2"),
        (["metadata", "generation"], 4),
        (["metadata", "annotations", EPOCH], "8"),
        (["metadata", "annotations"], {}),
        (["spec", "rules", 0, "name"], "renamed"),
        (["spec", "rules", 0, "backendRefs", 0, "name"], "other"),
        (["spec", "rules", 1, "backendRefs", 1, "name"], "other"),
        (["spec", "rules", 0, "backendRefs", 1, "weight"], 50),
        (["spec", "rules", 1, "backendRefs", 0, "weight"], 50),
        (["spec", "rules"], []),
    ],
)
def test_a_patch_fails_on_everything_it_was_decided_on(path: list[Any], value: object) -> None:
    live = _live(split_rule(99, 1, name="main"), split_rule(99, 1), annotations=MARKED)
    write = _decide(live, _set(5))
    assert isinstance(write, Patch)
    with pytest.raises(PatchTestError):
        apply_patch(_change(live, path, value), [dict(op) for op in write.ops])


@pytest.mark.parametrize("run", ["", "v2-abc"])
@pytest.mark.parametrize("annotations", [{}, {"annotations": {"team": "a"}}])
def test_a_first_write_fails_when_another_leader_marked_the_route_meanwhile(annotations: Body, run: str) -> None:
    live = _live(split_rule(), **annotations)
    write = _decide(live, _set(1, run))
    assert isinstance(write, Patch)
    with pytest.raises(PatchTestError):
        apply_patch(_change(live, ["metadata", "annotations"], {EPOCH: "8"}), [dict(op) for op in write.ops])


def test_a_status_write_of_the_gateway_does_not_disturb() -> None:
    live = _live(split_rule())
    write = _decide(live, _set(1))
    assert isinstance(write, Patch)
    later = {**_change(live, ["metadata", "resourceVersion"], "10"), "status": {"parents": [{}]}}
    assert apply_patch(later, [dict(op) for op in write.ops])["spec"]["rules"][0]["backendRefs"][1]["weight"] == 1


def test_a_route_stamped_by_a_newer_leader_is_not_written() -> None:
    live = _live(split_rule(), annotations={**MARKED, EPOCH: "8"})
    for action in (_set(0), ReleaseRoute(), ReleaseRoute(remove=True)):
        assert _decide(live, action) == Fence(8)


def test_all_rules_change_in_one_patch_even_where_only_one_differs() -> None:
    live = _live(split_rule(99, 1), split_rule(75, 25))
    after = _patched(live, _set(1))
    assert [rule["backendRefs"][1]["weight"] for rule in after["spec"]["rules"]] == [1, 1]


def test_a_third_backend_with_weight_refuses_a_raise_but_never_a_fall() -> None:
    rule = split_rule(80, 10)
    rule["backendRefs"].append(backend("legacy", 10))
    refused = _decide(_live(rule), _set(25))
    assert isinstance(refused, Problem)
    assert "further backends with weight 10" in refused.message
    refs = _patched(_live(rule), _set(0))["spec"]["rules"][0]["backendRefs"]
    assert [ref["weight"] for ref in refs] == [100, 0, 10]


def test_a_third_backend_without_weight_is_left_alone() -> None:
    rule = split_rule(100, 0)
    rule["backendRefs"].insert(0, backend("legacy", 0))
    refs = _patched(_live(rule), _set(25))["spec"]["rules"][0]["backendRefs"]
    assert [ref["weight"] for ref in refs] == [0, 75, 25]


def test_releasing_a_route_whose_rules_are_no_longer_ours_takes_only_our_annotations_off() -> None:
    live = _live({"backendRefs": [backend("other", 1)]}, annotations={**MARKED, "team": "a"})
    after = _patched(live, ReleaseRoute("[]"))
    assert after["spec"] == live["spec"]
    assert after["metadata"]["annotations"] == {"team": "a"}


def test_a_rollback_leaves_its_trigger_on_the_route_in_the_same_write() -> None:
    live = _live(split_rule(75, 25), annotations=MARKED)
    after = _patched(live, SetWeight(0, RouteMark(run="v2-abc", weight=0, rollback="http-5xx")))
    assert after["metadata"]["annotations"]["sparkrelease.dev/rollback"] == "http-5xx"
    assert after["metadata"]["annotations"][EPOCH] == "7"


def _weights(body: Body) -> list[int]:
    return [ref["weight"] for ref in body["spec"]["rules"][0]["backendRefs"]]


def test_a_gateway_is_asked_again_by_the_same_share_in_other_numbers_and_back() -> None:
    """Each is a change of the spec, so that it has a generation of its own: some gateways look at nothing less."""
    live = _patched(_live(split_rule(100, 0)), _set(25))
    seen = []
    for asked in (1, 2, 3):
        live = _patched(live, SetWeight(25, RouteMark(run="v2-abc", weight=25, asked=asked)))
        seen.append((_weights(live), live["metadata"]["annotations"]["sparkrelease.dev/asked-again"]))
    assert seen == [([750, 250], "1"), ([75, 25], "2"), ([750, 250], "3")]
    live = _patched(live, _set(50))
    assert _weights(live) == [50, 50]
    assert "sparkrelease.dev/asked-again" not in live["metadata"]["annotations"]
