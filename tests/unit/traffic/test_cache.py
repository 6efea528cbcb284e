from __future__ import annotations

from sparkrelease.adapters.traffic.gateway_api.cache import RouteCache
from sparkrelease.adapters.traffic.gateway_api.document import RouteKey, read_route
from sparkrelease.adapters.traffic.gateway_api.status import parent_key
from unit.traffic.fakeapi import Body, http_route, split_rule

KEY = RouteKey("HTTPRoute", "trading", "shop")


def _body(version: int, canary: int = 0) -> Body:
    return http_route(split_rule(100 - canary, canary), resourceVersion=str(version), uid="u1", generation=version)


def _version(cache: RouteCache) -> str | None:
    route = cache.get(KEY)
    return route.resource_version if route else None


def test_the_newest_version_wins_in_whatever_order_they_come() -> None:
    cache = RouteCache()
    for version in (9, 10, 8):
        cache.see("HTTPRoute", "MODIFIED", _body(version))
    assert _version(cache) == "10"


def test_an_own_answer_stands_until_the_watch_has_caught_up() -> None:
    cache = RouteCache()
    cache.see("HTTPRoute", "ADDED", _body(5))
    cache.answered(read_route("HTTPRoute", _body(8, canary=1)))
    cache.see("HTTPRoute", "MODIFIED", _body(7))
    cache.see("HTTPRoute", None, _body(7))
    assert _version(cache) == "8"
    cache.see("HTTPRoute", "MODIFIED", _body(9))
    assert _version(cache) == "9"


def test_an_answer_older_than_the_watch_is_passed_over() -> None:
    cache = RouteCache()
    cache.see("HTTPRoute", "MODIFIED", _body(9))
    cache.answered(read_route("HTTPRoute", _body(8)))
    assert _version(cache) == "9"


def test_a_list_after_a_restored_backup_wins_with_lower_versions() -> None:
    cache = RouteCache()
    cache.see("HTTPRoute", "MODIFIED", _body(900))
    cache.see("HTTPRoute", None, _body(40))
    assert _version(cache) == "40"


def test_a_deleted_route_stays_deleted_whatever_comes_late() -> None:
    cache = RouteCache()
    cache.see("HTTPRoute", "ADDED", _body(5))
    cache.see("HTTPRoute", "DELETED", _body(9))
    cache.see("HTTPRoute", "MODIFIED", _body(7))
    cache.answered(read_route("HTTPRoute", _body(8)))
    assert _version(cache) is None
    cache.see("HTTPRoute", "ADDED", _body(10))
    assert _version(cache) == "10"


def test_a_route_found_missing_is_not_revived_by_its_past() -> None:
    cache = RouteCache()
    cache.see("HTTPRoute", "ADDED", _body(5))
    cache.forget(KEY)
    cache.see("HTTPRoute", "MODIFIED", _body(5))
    assert _version(cache) is None


def test_a_late_deletion_of_a_former_object_does_not_take_the_new_one() -> None:
    cache = RouteCache()
    cache.answered(read_route("HTTPRoute", _body(12)))
    cache.see("HTTPRoute", "DELETED", _body(9))
    assert _version(cache) == "12"


def test_the_controller_of_a_gateway_is_known_through_its_class() -> None:
    cache = RouteCache()
    parent = parent_key({"name": "front"}, "trading")
    assert cache.controller_of(parent) is None
    gateway = {"metadata": {"name": "front", "namespace": "trading"}, "spec": {"gatewayClassName": "envoy"}}
    cache.see("Gateway", None, gateway)
    cache.see("GatewayClass", None, {"metadata": {"name": "envoy"}, "spec": {"controllerName": "example.com/gw"}})
    assert cache.controller_of(parent) == "example.com/gw"
    assert cache.controller_of(parent_key({"name": "front", "kind": "Service", "group": ""}, "trading")) is None
    cache.see("Gateway", "DELETED", gateway)
    assert cache.controller_of(parent) is None


def test_junk_is_borne() -> None:
    cache = RouteCache()
    for body in ({}, {"metadata": None}, {"metadata": {"annotations": [1], "managedFields": "x"}, "spec": 4}):
        for kind in (*cache.kinds(), "Unheard"):
            cache.see(kind, "ADDED", body)


def test_gateways_are_not_asked_for_where_they_may_not_be_watched() -> None:
    assert RouteCache(gateways=False).kinds() == {"HTTPRoute", "GRPCRoute", "Service"}


def test_routes_are_found_by_the_hosts_they_name_now() -> None:
    cache = RouteCache()
    cache.see("HTTPRoute", None, named("a", 1, ["one.example", "two.example"]))
    cache.see("HTTPRoute", None, named("b", 2, []))
    assert found(cache, ["two.example"]) == ["a"]
    assert found(cache, []) == ["b"]
    cache.see("HTTPRoute", "MODIFIED", named("a", 3, ["three.example"]))
    assert found(cache, ["one.example", "two.example"]) == []
    assert found(cache, ["three.example", "one.example"]) == ["a"]
    cache.see("HTTPRoute", "DELETED", named("a", 4, ["three.example"]))
    assert found(cache, ["three.example"]) == []


def named(name: str, version: int, hosts: list[str]) -> dict[str, object]:
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"hostnames": hosts}}


def found(cache: RouteCache, hosts: list[str]) -> list[str]:
    return [route.key.name for route in cache.routes_of_hosts("HTTPRoute", hosts)]
