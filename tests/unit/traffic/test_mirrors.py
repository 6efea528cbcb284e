"""A RequestMirror filter beside the weights: put there, read, taken away, and nobody else's filter touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.traffic.gateway_api.document import read_route
from sparkrelease.adapters.traffic.gateway_api.mirrors import mirror_filter
from sparkrelease.adapters.traffic.gateway_api.observe import WriteNote, facts_of
from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider
from sparkrelease.adapters.traffic.gateway_api.writes import Create, Nothing, Patch, decide_write
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Route, RouteMark
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import ApplyOutcome, Target
from unit.traffic.fakeapi import Body, FakeAPI, apply_patch, http_route, owned, referenced, split_rule

MIRROR = "sparkrelease.dev/mirror"
HEADER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}


def mirror_to(service: str, **more: object) -> Body:
    backend = {"group": "", "kind": "Service", "name": service, "port": 80}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend, **more}}


OURS = mirror_to("shop-canary")
AUDIT = mirror_to("audit")


def live(*rules: Body) -> Body:
    return http_route(*rules, uid="u1", generation=3, resourceVersion="9")


def act(body: Body, action: SetWeight | ReleaseRoute, target: Target | None = None) -> Body:
    write = decide_write(read_route("HTTPRoute", body), target or referenced(), action, 7)
    if isinstance(write, Nothing):
        return body
    assert isinstance(write, Patch), write
    return apply_patch(body, [dict(op) for op in write.ops])


def mirror(percent: float, canary: float = 0.0) -> SetWeight:
    return SetWeight(canary, RouteMark(run="v2-abc", weight=canary, mirror=percent), percent)


def seen(body: Body, target: Target | None = None) -> Route:
    return facts_of(target or referenced(), read_route("HTTPRoute", body), lambda _: None, WriteNote())


# ---------------------------------------------------------------- what is written


@pytest.mark.parametrize(
    ("percent", "said"),
    [
        (100, {}),
        (10, {"percent": 10}),
        (12.5, {"fraction": {"numerator": 12500, "denominator": 100000}}),
        (0.001, {"fraction": {"numerator": 1, "denominator": 100000}}),
    ],
)
def test_a_share_is_said_in_the_simplest_way_and_read_back(percent: float, said: dict[str, object]) -> None:
    after = act(live(split_rule(name="main")), mirror(percent))
    assert after["spec"]["rules"][0]["filters"] == [mirror_to("shop-canary", **said)]
    assert after["metadata"]["annotations"][MIRROR] == f"{percent:g}"
    facts = seen(after)
    assert (facts.canary_weight, facts.mirror) == (0, percent)
    assert facts.mark is not None
    assert facts.mark.mirror == percent


@given(st.integers(1, 100_000))
def test_every_share_is_read_back_as_it_was_written(thousandths: int) -> None:
    percent = thousandths / 1000
    body = live(split_rule() | {"filters": [mirror_filter(referenced().traffic.canary, percent)]})
    assert seen(body).mirror == percent


def test_every_managed_rule_is_mirrored_and_no_other() -> None:
    preview = {"backendRefs": [{"group": "", "kind": "Service", "name": "shop-canary", "port": 80, "weight": 1}]}
    after = act(live(split_rule(), preview, split_rule()), mirror(100))
    assert [rule.get("filters") for rule in after["spec"]["rules"]] == [[OURS], None, [OURS]]


def test_a_weight_takes_the_mirror_away_in_the_same_patch() -> None:
    before = act(live(split_rule(name="main")), mirror(100))
    after = act(before, SetWeight(5, RouteMark(run="v2-abc", weight=5)))
    assert "filters" not in after["spec"]["rules"][0]
    assert MIRROR not in after["metadata"]["annotations"]
    assert [ref["weight"] for ref in after["spec"]["rules"][0]["backendRefs"]] == [95, 5]


filters = st.lists(st.sampled_from([HEADER, AUDIT, mirror_to("audit", percent=5)]), max_size=3, unique_by=str)
kept = st.one_of(st.none(), filters)


@given(st.lists(kept, min_size=1, max_size=3), st.sampled_from([100.0, 10.0, 0.5]), st.booleans())
def test_a_mirror_comes_and_goes_and_the_route_is_what_it_was(
    each: list[list[Body] | None], percent: float, twice: bool
) -> None:
    before = live(*(split_rule(**({} if one is None else {"filters": one})) for one in each))
    original = seen(before).original
    body = act(copy.deepcopy(before), mirror(percent))
    for rule, one in zip(body["spec"]["rules"], each, strict=True):
        assert rule["filters"][:-1] == (one or [])
    if twice:
        body = act(body, mirror(40))
        assert seen(body).mirror == 40
    body = act(body, SetWeight(1, RouteMark(run="v2-abc", weight=1)))
    body = act(body, ReleaseRoute(original))
    assert body["spec"] == before["spec"]


def test_what_is_there_already_is_not_written_again() -> None:
    body = act(live(split_rule()), mirror(10))
    assert isinstance(decide_write(read_route("HTTPRoute", body), referenced(), mirror(10), 7), Nothing)


@pytest.mark.parametrize("more", [[mirror_to("shop-canary", percent=50)], [OURS, OURS], []])
def test_what_somebody_made_of_the_mirror_is_seen_and_mended(more: list[Body]) -> None:
    body = act(live(split_rule()), mirror(100))
    body["spec"]["rules"][0]["filters"] = [HEADER, *more]
    assert seen(body).mirror != 100
    assert act(body, mirror(100))["spec"]["rules"][0]["filters"] == [HEADER, OURS]


def test_rules_that_mirror_differently_have_no_mirror_in_common() -> None:
    body = live(split_rule(filters=[OURS]), split_rule())
    assert seen(body).mirror is None


@pytest.mark.parametrize(
    "other",
    [
        AUDIT,
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shop-canary", "namespace": "elsewhere"}}},
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shop-canary", "kind": "Bucket"}}},
        {"type": "RequestMirror"},
        {"type": "URLRewrite", "urlRewrite": {}},
    ],
)
def test_a_filter_that_is_no_mirror_to_canary_is_nobody_of_ours(other: Body) -> None:
    body = live(split_rule(filters=[other]))
    assert seen(body).mirror == 0
    assert act(body, mirror(100))["spec"]["rules"][0]["filters"] == [other, OURS]


@pytest.mark.parametrize("odd", [{"percent": "x"}, {"percent": -1}, {"fraction": {}}, {"fraction": {"denominator": 0}}])
def test_a_mirror_that_cannot_be_read_is_unknown_and_not_none(odd: dict[str, Any]) -> None:
    assert seen(live(split_rule(filters=[mirror_to("shop-canary", **odd)]))).mirror is None


# ---------------------------------------------------------------- owned routes


def test_an_owned_route_is_made_with_its_mirror() -> None:
    write = decide_write(None, owned(), mirror(100), 7)
    assert isinstance(write, Create)
    assert write.manifest["spec"]["rules"][0]["filters"] == [OURS]  # type: ignore[index]


def test_an_owned_route_stays_ours_while_it_mirrors() -> None:
    target = owned()
    write = decide_write(None, target, mirror(0), 7)
    assert isinstance(write, Create)
    body = {**copy.deepcopy(dict(write.manifest))}
    body["metadata"] |= {"uid": "u1", "generation": 1, "resourceVersion": "2"}
    mirrored = act(body, mirror(100), target)
    assert (seen(mirrored, target).canary_weight, seen(mirrored, target).mirror) == (0, 100)
    back = act(mirrored, SetWeight(0, RouteMark(run="v2-abc")), target)
    assert back["spec"] == body["spec"]


def test_a_filter_that_somebody_adds_to_an_owned_route_is_taken_off_again() -> None:
    target = owned()
    write = decide_write(None, target, mirror(100), 7)
    assert isinstance(write, Create)
    body = copy.deepcopy(dict(write.manifest))
    body["metadata"] |= {"uid": "u1", "generation": 1, "resourceVersion": "2"}
    body["spec"]["rules"][0]["filters"].append(HEADER)
    assert seen(body, target).canary_weight is None
    assert act(body, mirror(100), target)["spec"]["rules"][0]["filters"] == [OURS]


# ---------------------------------------------------------------- guards


async def test_an_edit_of_the_filters_at_the_moment_of_a_write_is_a_conflict_and_stands(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule(filters=[HEADER])))
    await provider.refresh(referenced())
    edited = {"spec": {**api.route()["spec"], "rules": [split_rule(filters=[HEADER, AUDIT])]}}
    api.before_write = lambda: (api.edit("httproutes", "shop", lambda body: body.update(edited)), None)[1]
    assert (await provider.apply(referenced(), mirror(100), 7)).outcome is ApplyOutcome.CONFLICT
    assert (await provider.apply(referenced(), mirror(100), 7)).outcome is ApplyOutcome.CHANGED
    assert api.route()["spec"]["rules"][0]["filters"] == [HEADER, AUDIT, OURS]


# ---------------------------------------------------------------- preflight


def gateway(provider: GatewayAPIProvider, *features: str) -> None:
    """Shows a Gateway whose class supports these features."""
    provider.see(
        "Gateway", None, {"metadata": {"namespace": "trading", "name": "front"}, "spec": {"gatewayClassName": "c"}}
    )
    said = {"supportedFeatures": [{"name": name} for name in features]}
    spec = {"controllerName": "example.com/c"}
    provider.see("GatewayClass", None, {"metadata": {"name": "c"}, "spec": spec, "status": said})


async def findings(provider: GatewayAPIProvider, target: Target, *mirrors: float) -> list[tuple[bool, str]]:
    found = [f for f in await provider.preflight(target, mirrors) if f.problem.reason is Reason.MIRROR_UNSUPPORTED]
    return [(finding.fatal, finding.problem.message) for finding in found]


@pytest.mark.parametrize("target", [referenced(), owned()])
async def test_a_gateway_that_says_it_can_mirror_is_believed(
    api: FakeAPI, provider: GatewayAPIProvider, target: Target
) -> None:
    api.put("httproutes", http_route(split_rule()))
    gateway(provider, "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror")
    assert await findings(provider, target, 100, 10) == []
    assert await findings(provider, target) == []


@pytest.mark.parametrize(
    ("features", "mirrors", "words"),
    [
        (("HTTPRouteMethodMatching",), (100,), "does not mirror requests; remove the stages that mirror"),
        (("HTTPRouteRequestMirror",), (100, 10), "mirrors all requests or none; set mirror to 100"),
    ],
)
async def test_a_gateway_that_says_what_it_can_and_not_this_refuses_the_run(
    api: FakeAPI, provider: GatewayAPIProvider, features: tuple[str, ...], mirrors: tuple[float, ...], words: str
) -> None:
    api.put("httproutes", http_route(split_rule()))
    gateway(provider, *features)
    ((fatal, message),) = await findings(provider, referenced(), *mirrors)
    assert fatal
    assert message == f"HTTPRoute trading/shop: Gateway trading/front {words}"


async def test_a_gateway_that_says_nothing_is_warned_of(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule()))
    ((fatal, message),) = await findings(provider, referenced(), 10)
    assert not fatal
    assert "does not say whether it mirrors requests, or a part of them; measured requests will tell" in message


async def test_a_second_mirror_needs_a_gateway_that_has_several(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule(filters=[AUDIT])))
    gateway(provider, "HTTPRouteRequestMirror")
    ((fatal, message),) = await findings(provider, referenced(), 100)
    assert fatal
    assert "mirrors to one Service only" in message
    gateway(provider, "HTTPRouteRequestMirror", "HTTPRouteRequestMultipleMirrors")
    assert await findings(provider, referenced(), 100) == []


async def test_an_api_server_that_drops_the_percentage_refuses_the_run(
    api: FakeAPI, provider: GatewayAPIProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.put("httproutes", http_route(split_rule()))
    gateway(provider, "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror")

    def pruned(document: Body, ops: list[Body]) -> Body:
        after = apply_patch(document, ops)
        for rule in after["spec"]["rules"]:
            for one in rule.get("filters", []):
                one["requestMirror"].pop("percent", None)
        return after

    monkeypatch.setattr("unit.traffic.fakeapi.apply_patch", pruned)
    ((fatal, message),) = await findings(provider, referenced(), 10)
    assert fatal
    assert "keeps no mirror of 10 %" in message
    assert await findings(provider, referenced(), 100) == []


async def test_argo_cd_is_to_ignore_the_filters_of_a_rule_that_mirrors(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    tracked = {"argocd.argoproj.io/tracking-id": "shop:gateway/HTTPRoute:trading/shop"}
    api.put("httproutes", http_route(split_rule(name="main"), annotations=tracked))
    weights, filters = (
        f"'.spec.rules[]? | select(.name==\"main\") | .{field}'" for field in ("backendRefs[]?.weight", "filters")
    )
    for mirrors, paths in (((), weights), ((100.0,), f"{weights}, {filters}")):
        found = await provider.preflight(referenced("main"), mirrors)
        (told,) = (f.problem.message for f in found if f.problem.reason is Reason.IGNORE_RULE_MISSING)
        assert told.endswith(f"jqPathExpressions [{paths}]")
