"""A cluster whose store was put back: routes with a lower version than any this process has seen."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from sparkrelease.decide.facts import RouteMark
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import ApplyOutcome
from unit.traffic.fakeapi import FakeAPI, http_route, referenced, split_rule

if TYPE_CHECKING:
    from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider


def put_back(api: FakeAPI, backup: FakeAPI) -> None:
    """The server has what it had then, and counts on from there."""
    api.objects, api.version = copy.deepcopy(backup.objects), backup.version


@pytest.mark.parametrize("shown", [True, False], ids=["watched", "own answer"])
async def test_a_rollback_reaches_a_route_that_came_back_older_than_it_was(
    api: FakeAPI, provider: GatewayAPIProvider, *, shown: bool
) -> None:
    api.put("httproutes", http_route(split_rule()))
    await provider.apply(referenced(), SetWeight(5, RouteMark(run="v2-abc", weight=5)), 7)
    backup = copy.deepcopy(api)
    await provider.apply(referenced(), SetWeight(50, RouteMark(run="v2-abc", weight=50)), 7)
    if shown:
        provider.see("HTTPRoute", "MODIFIED", api.route())
    put_back(api, backup)
    back = SetWeight(0, RouteMark(run="v2-abc", weight=0, rollback="burst"))
    outcomes = [(await provider.apply(referenced(), back, 7)).outcome for _ in range(2)]
    assert outcomes == [ApplyOutcome.CONFLICT, ApplyOutcome.CHANGED]
    assert [ref["weight"] for ref in api.route()["spec"]["rules"][0]["backendRefs"]] == [100, 0]
    assert (await provider.apply(referenced(), ReleaseRoute(original=None), 7)).outcome is ApplyOutcome.CHANGED


async def test_an_answer_that_a_newer_event_overtook_is_left_alone(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    """The route is edited between look and write, and the watch shows a second edit before the answer is taken."""
    provider.see("HTTPRoute", None, api.put("httproutes", http_route(split_rule())))
    api.edit("httproutes", "shop", lambda body: body["spec"].update(hostnames=["one.example"]))
    newer = copy.deepcopy(api.route())
    newer["metadata"] |= {"resourceVersion": "999", "generation": 9}
    api.before_write = lambda: provider.see("HTTPRoute", "MODIFIED", newer)
    await provider.apply(referenced(), SetWeight(1, RouteMark(run="v2-abc", weight=1)), 7)
    assert provider.observe(referenced()).generation == 9
