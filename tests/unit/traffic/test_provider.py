from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sparkrelease.adapters.kubernetes.client import Lane
from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import RouteMark, Verification
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import ApplyOutcome
from unit.traffic.fakeapi import Body, FakeAPI, FixedClock, http_route, lane_to, owned, referenced, split_rule

EPOCH = "sparkrelease.dev/epoch"


def _set(canary: float, run: str = "v2-abc", rollback: str = "") -> SetWeight:
    return SetWeight(canary, RouteMark(run=run, weight=canary, rollback=rollback))


def _weights(body: Body) -> list[list[int]]:
    return [[ref["weight"] for ref in rule["backendRefs"]] for rule in body["spec"]["rules"]]


def _mark(epoch: int) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})[EPOCH] = str(epoch)

    return change


async def test_a_weight_is_written_once_and_answered_as_the_server_has_it(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    first = await provider.apply(referenced(), _set(25), 7)
    assert first.outcome is ApplyOutcome.CHANGED
    assert first.route is not None
    assert (first.route.canary_weight, first.route.generation) == (25, 2)
    assert first.route.written_at == FixedClock().now()
    assert first.route.mark == RouteMark("v2-abc", 7, 25)
    assert first.route.verification is Verification.PENDING
    second = await provider.apply(referenced(), _set(25), 7)
    assert second.outcome is ApplyOutcome.UNCHANGED
    assert api.writes == 1
    assert set(api.managers) == {"sparkrelease"}


async def test_status_writes_of_the_gateway_between_look_and_write_do_no_harm(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    provider.see("HTTPRoute", None, api.put("httproutes", http_route(split_rule())))
    api.edit("httproutes", "shop", lambda body: body.update(status={"parents": []}))
    assert (await provider.apply(referenced(), _set(1), 7)).outcome is ApplyOutcome.CHANGED


async def test_an_edit_between_look_and_write_is_a_conflict_and_the_next_try_keeps_it(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    provider.see("HTTPRoute", None, api.put("httproutes", http_route(split_rule())))
    api.edit("httproutes", "shop", lambda body: body["spec"].update(hostnames=["new.example"]))
    answer = await provider.apply(referenced(), _set(1), 7)
    assert answer.outcome is ApplyOutcome.CONFLICT
    assert answer.route is not None
    assert answer.route.generation == 2
    assert (await provider.apply(referenced(), _set(1), 7)).outcome is ApplyOutcome.CHANGED
    assert api.route()["spec"]["hostnames"] == ["new.example"]


async def test_an_edit_at_the_very_moment_of_the_write_is_a_conflict(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    rules = [split_rule(50, 50)]
    api.before_write = lambda: api.edit("httproutes", "shop", lambda body: body["spec"].update(rules=rules)) and None
    assert (await provider.apply(referenced(), _set(1), 7)).outcome is ApplyOutcome.CONFLICT
    assert _weights(api.route()) == [[50, 50]]


async def test_an_older_leader_is_fenced_even_where_it_saw_nothing_of_the_new_one(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(1), 7)
    api.edit("httproutes", "shop", _mark(8))
    for action in (_set(25), _set(0, rollback="errors"), ReleaseRoute("[]")):
        assert (await provider.apply(referenced(), action, 7)).outcome is ApplyOutcome.FENCED
    assert _weights(api.route()) == [[99, 1]]
    assert (await provider.stamp(referenced(), 7)).outcome is ApplyOutcome.FENCED


async def test_a_reply_that_is_lost_fails_and_the_retry_finds_it_done(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    provider.see("HTTPRoute", None, api.put("httproutes", http_route(split_rule())))
    api.lose_replies = 1
    lost = await provider.apply(referenced(), _set(25), 7)
    assert lost.outcome is ApplyOutcome.FAILED
    assert lost.problem is not None
    assert lost.problem.reason is Reason.ROUTE_WRITE_FAILED
    assert provider.observe(referenced()).write_problem == lost.problem
    again = await provider.apply(referenced(), _set(25), 7)
    assert again.outcome is ApplyOutcome.UNCHANGED
    assert again.route is not None
    assert again.route.write_problem is None
    assert api.writes == 1


@pytest.mark.parametrize("code", [403, 422, 500, 503])
async def test_a_refusal_is_a_failure_with_the_servers_words(
    api: FakeAPI, provider: GatewayAPIProvider, code: int
) -> None:
    api.put("httproutes", http_route(split_rule()))
    api.refuse = (code, "no, because")
    answer = await provider.apply(referenced(), _set(25), 7)
    assert answer.outcome is ApplyOutcome.FAILED
    assert answer.problem is not None
    assert f"{code} no, because" in answer.problem.message


async def test_an_api_server_that_does_not_answer_in_time_is_a_failure(address: str, api: FakeAPI) -> None:
    impatient = lane_to(address, limit=0.000001)
    hasty = GatewayAPIProvider(impatient, impatient, FixedClock())
    api.put("httproutes", http_route(split_rule()))
    answer = await hasty.apply(referenced(), _set(25), 7)
    assert answer.outcome is ApplyOutcome.FAILED
    assert answer.problem is not None
    assert answer.problem.reason is Reason.ROUTE_WRITE_FAILED
    assert (await hasty.refresh(referenced())).problem is not None
    await impatient.close()


async def test_lowering_goes_over_the_urgent_lane_and_raising_does_not(address: str, lane: Lane, api: FakeAPI) -> None:
    closed = lane_to(address, limit=0.000001)
    rising, falling = GatewayAPIProvider(lane, closed, FixedClock()), GatewayAPIProvider(closed, lane, FixedClock())
    for provider in (rising, falling):
        provider.see("HTTPRoute", None, api.put("httproutes", http_route(split_rule(75, 25))))
    for action in (_set(5), _set(50, rollback="errors"), ReleaseRoute("[]")):
        assert (await rising.apply(referenced(), action, 7)).outcome is ApplyOutcome.FAILED
    assert (await falling.apply(referenced(), _set(50), 7)).outcome is ApplyOutcome.FAILED
    assert (await falling.apply(referenced(), _set(5), 7)).outcome is ApplyOutcome.CHANGED
    assert (await rising.apply(referenced(), _set(50), 7)).outcome is ApplyOutcome.CONFLICT
    await closed.close()


async def test_facts_stay_the_same_object_until_something_changes(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    body = api.put("httproutes", http_route(split_rule()))
    provider.see("HTTPRoute", None, body)
    target = referenced()
    first = provider.observe(target)
    assert provider.observe(target) is first
    assert provider.observe(referenced()) is first
    provider.see("GatewayClass", None, {"metadata": {"name": "envoy"}, "spec": {"controllerName": "x/y"}})
    second = provider.observe(target)
    assert second is not first
    provider.see("HTTPRoute", "MODIFIED", api.edit("httproutes", "shop", lambda body: body.update(status={})))
    assert provider.observe(target) is not second
    await provider.apply(target, _set(1), 7)
    assert provider.observe(target).canary_weight == 1
    provider.see("HTTPRoute", "DELETED", api.route())
    assert provider.observe(target).exists is False


async def test_nothing_is_called_unchanged_on_the_word_of_a_stale_cache(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(0), 7)
    api.edit("httproutes", "shop", lambda body: body["spec"].update(rules=[split_rule(50, 50)]))
    assert (await provider.apply(referenced(), _set(0), 7)).outcome is ApplyOutcome.CHANGED
    assert _weights(api.route()) == [[100, 0]]


async def test_a_missing_referenced_route_is_a_failure_and_never_created(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    answer = await provider.apply(referenced(), _set(1), 7)
    assert answer.problem is not None
    assert answer.problem.reason is Reason.ROUTE_NOT_FOUND
    assert provider.observe(referenced()).exists is False
    assert (await provider.apply(referenced(), ReleaseRoute(), 7)).outcome is ApplyOutcome.UNCHANGED
    assert api.writes == 0


async def test_a_cluster_without_the_api_is_named(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.missing_kinds = frozenset({"httproutes"})
    answer = await provider.apply(referenced(), _set(1), 7)
    assert answer.problem is not None
    assert answer.problem.reason is Reason.ROUTE_API_MISSING
    route = await provider.refresh(referenced())
    assert route.problem is not None
    assert route.problem.reason is Reason.ROUTE_API_MISSING


async def test_release_restores_what_was_observed_before_the_run(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    before = api.put("httproutes", http_route(split_rule(1, 0, name="a"), split_rule(7, 0), annotations={"team": "a"}))
    original = (await provider.refresh(referenced())).original
    assert original is not None
    assert len(json.loads(original)) == 2
    await provider.apply(referenced(), _set(25), 7)
    answer = await provider.apply(referenced(), ReleaseRoute(original), 7)
    assert answer.outcome is ApplyOutcome.CHANGED
    assert answer.route is not None
    assert answer.route.mark is None
    assert api.route()["spec"] == before["spec"]
    assert api.route()["metadata"]["annotations"] == {"team": "a"}


async def test_an_owned_route_is_created_changed_and_removed(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    created = await provider.apply(owned(), SetWeight(0, RouteMark(epoch=7)), 7)
    assert created.outcome is ApplyOutcome.CHANGED
    assert created.route is not None
    assert (created.route.canary_weight, created.route.mark) == (0, None)
    await provider.apply(owned(), _set(0.1), 7)
    assert _weights(api.route()) == [[99_900, 100]]
    assert (await provider.apply(owned(), ReleaseRoute(remove=True), 7)).outcome is ApplyOutcome.CHANGED
    assert "httproutes/shop" not in api.objects
    assert (await provider.apply(owned(), ReleaseRoute(remove=True), 7)).outcome is ApplyOutcome.UNCHANGED


async def test_creation_that_somebody_was_faster_with_is_a_conflict(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.before_write = lambda: api.put("httproutes", http_route(split_rule())) and None
    assert (await provider.apply(owned(), _set(1), 7)).outcome is ApplyOutcome.CONFLICT
    assert (await provider.apply(owned(), _set(1), 7)).outcome is ApplyOutcome.CHANGED


async def test_a_lost_reply_to_creation_is_found_done(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.lose_replies = 1
    assert (await provider.apply(owned(), _set(1), 7)).outcome is ApplyOutcome.FAILED
    assert (await provider.apply(owned(), _set(1), 7)).outcome is ApplyOutcome.UNCHANGED
    assert api.writes == 1


async def test_an_owned_route_deleted_during_a_run_is_a_conflict_then_made_anew(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    await provider.apply(owned(), _set(1), 7)
    del api.objects["httproutes/shop"]
    assert (await provider.apply(owned(), _set(5), 7)).outcome is ApplyOutcome.CONFLICT
    assert (await provider.apply(owned(), _set(5), 7)).outcome is ApplyOutcome.CHANGED
    assert _weights(api.route()) == [[95, 5]]


async def test_removal_goes_on_past_a_status_write_but_stops_at_a_newer_leader(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    await provider.apply(owned(), _set(1), 7)
    api.edit("httproutes", "shop", lambda body: body.update(status={}))
    api.before_write = lambda: api.edit("httproutes", "shop", _mark(8)) and None
    assert (await provider.apply(owned(), ReleaseRoute(remove=True), 7)).outcome is ApplyOutcome.FENCED
    assert "httproutes/shop" in api.objects
    api.edit("httproutes", "shop", lambda body: body.update(status={"parents": []}))
    assert (await provider.apply(owned(), ReleaseRoute(remove=True), 8)).outcome is ApplyOutcome.CHANGED


async def test_a_stamp_raises_the_epoch_and_nothing_else(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(5), 7)
    before = json.loads(json.dumps(api.route()))
    assert (await provider.stamp(referenced(), 8)).outcome is ApplyOutcome.CHANGED
    after = api.route()
    assert after["metadata"]["annotations"].pop(EPOCH) == "8"
    before["metadata"]["annotations"].pop(EPOCH)
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert after["spec"] == before["spec"]


async def test_a_stamp_is_made_on_the_route_as_it_is_not_as_it_was_seen(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(5), 6)
    api.before_write = lambda: api.edit("httproutes", "shop", _mark(7)) and None
    assert (await provider.stamp(referenced(), 8)).outcome is ApplyOutcome.CHANGED
    api.before_write = lambda: api.edit("httproutes", "shop", _mark(10)) and None
    assert (await provider.stamp(referenced(), 9)).outcome is ApplyOutcome.FENCED


async def test_an_epoch_no_leader_ever_had_is_stamped_over_when_the_caller_knows(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(5), 7)
    api.edit("httproutes", "shop", _mark(999_999))
    assert (await provider.apply(referenced(), _set(0), 7)).outcome is ApplyOutcome.FENCED
    assert (await provider.stamp(referenced(), 7)).outcome is ApplyOutcome.FENCED
    api.before_write = lambda: api.edit("httproutes", "shop", _mark(8)) and None
    assert (await provider.stamp(referenced(), 9, over=True)).outcome is ApplyOutcome.CHANGED
    assert api.route()["metadata"]["annotations"][EPOCH] == "9"


async def test_an_epoch_of_thousands_of_digits_is_no_epoch(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(5), 7)
    api.edit("httproutes", "shop", _mark("9" * 5000))  # type: ignore[arg-type]
    await provider.refresh(referenced())
    assert (await provider.apply(referenced(), _set(0), 7)).outcome is ApplyOutcome.CHANGED


async def test_a_route_without_mark_is_not_stamped(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule()))
    assert (await provider.stamp(referenced(), 8)).outcome is ApplyOutcome.UNCHANGED
    assert api.writes == 0


async def test_a_fresh_provider_stamps_a_marked_route_it_has_not_seen(api: FakeAPI, lane: Lane) -> None:
    api.put("httproutes", http_route(split_rule(), annotations={EPOCH: "6"}))
    assert (await GatewayAPIProvider(lane, lane, FixedClock()).stamp(referenced(), 8)).outcome is ApplyOutcome.CHANGED


async def test_a_change_by_somebody_else_is_named_and_has_no_time_of_ours(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), _set(5), 7)

    def revert(body: Body) -> None:
        body["spec"]["rules"] = [split_rule()]
        body["metadata"]["managedFields"] = [
            {"manager": "sparkrelease", "fieldsV1": {"f:metadata": {}}, "time": "2026-01-02T00:00:00Z"},
            {"manager": "argocd-controller", "fieldsV1": {"f:spec": {"f:rules": {}}}, "time": "2026-01-01T00:00:00Z"},
            {"manager": "envoy", "subresource": "status", "fieldsV1": {"f:spec": {"f:rules": {}}}},
        ]

    provider.see("HTTPRoute", "MODIFIED", api.edit("httproutes", "shop", revert))
    route = provider.observe(referenced())
    assert (route.canary_weight, route.manager, route.written_at) == (0, "argocd-controller", None)
    assert route.mark is not None
    assert route.mark.weight == 5


async def test_a_mark_of_another_release_is_not_ours(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    marks = {"sparkrelease.dev/release": "other", "sparkrelease.dev/run": "v9"}
    provider.see("HTTPRoute", None, api.put("httproutes", http_route(split_rule(), annotations=marks)))
    assert provider.observe(referenced()).mark is None


async def test_grpc_routes_are_written_where_they_live(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("grpcroutes", http_route(split_rule()))
    target = referenced(kind="GRPCRoute")
    assert (await provider.apply(target, _set(25), 7)).outcome is ApplyOutcome.CHANGED
    assert _weights(api.route(plural="grpcroutes")) == [[75, 25]]
