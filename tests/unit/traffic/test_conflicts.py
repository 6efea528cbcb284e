from __future__ import annotations

import pytest

from sparkrelease.adapters.traffic.gateway_api.conflicts import claim_of, older_rival
from sparkrelease.adapters.traffic.gateway_api.document import RouteKey, RouteObject, read_route
from unit.traffic.fakeapi import Body, http_route, split_rule

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def _route(name: str, created: str, **spec: object) -> RouteObject:
    body: Body = http_route(split_rule(), name=name, creationTimestamp=created)
    body["spec"].update(spec)
    return read_route("HTTPRoute", body)


def _rival(other: RouteObject, created: str = NEW) -> RouteKey | None:
    ours = _route("shop", created)
    return older_rival(claim_of(ours.key, created, ours.spec, ours.rules), [ours, other])


def test_an_older_route_with_the_same_host_and_match_takes_the_requests() -> None:
    other = _route("legacy", OLD, rules=[{"matches": [{}], "backendRefs": []}])
    assert _rival(other) == other.key


def test_a_route_not_made_yet_is_younger_than_all() -> None:
    assert _rival(_route("legacy", NEW), created="") is not None


def test_of_two_routes_of_one_age_the_first_by_name_wins() -> None:
    assert _rival(_route("a", NEW)) is not None
    assert _rival(_route("z", NEW)) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"hostnames": ["other.example"]},
        {"hostnames": []},
        {"parentRefs": [{"name": "back"}]},
        {"parentRefs": [{"name": "front", "namespace": "infra"}]},
        {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/api"}}]}]},
        {"rules": [{"matches": [{"headers": [{"name": "x", "value": "1"}]}]}]},
    ],
)
def test_other_parents_hosts_or_matches_are_no_conflict(spec: Body) -> None:
    assert _rival(_route("legacy", OLD, **spec)) is None


def test_a_younger_route_is_no_conflict() -> None:
    assert _rival(_route("later", "2026-03-01T00:00:00Z")) is None


def test_a_route_on_another_listener_is_no_conflict() -> None:
    ours = _route("shop", NEW, parentRefs=[{"name": "front", "sectionName": "http"}])
    other = _route("legacy", OLD, parentRefs=[{"name": "front", "sectionName": "tls"}])
    assert older_rival(claim_of(ours.key, NEW, ours.spec, ours.rules), [other]) is None
