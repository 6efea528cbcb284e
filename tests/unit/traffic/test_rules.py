from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject, read_route
from sparkrelease.adapters.traffic.gateway_api.rules import (
    ManagedRule,
    Services,
    canary_percent,
    managed_rules,
    record,
    recorded,
)
from sparkrelease.adapters.traffic.gateway_api.weights import Pair
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from unit.traffic.fakeapi import Body, backend, http_route, split_rule

SERVICES = Services("shop-stable", "shop-canary")


def _route(*rules: Body) -> RouteObject:
    return read_route("HTTPRoute", http_route(*rules))


def _managed(route: RouteObject, rule: str | None = None) -> tuple[ManagedRule, ...]:
    rules = managed_rules(route, SERVICES, rule)
    assert not isinstance(rules, Problem), rules.message
    return rules


def _message(route: RouteObject, rule: str | None = None) -> str:
    problem = managed_rules(route, SERVICES, rule)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.ROUTE_INVALID
    return problem.message


def test_without_a_name_every_rule_with_both_services_is_managed_and_no_other() -> None:
    preview = {"backendRefs": [backend("shop-canary", 1)]}
    route = _route(split_rule(99, 1), preview, {"backendRefs": [backend("search", 1)]}, split_rule(99, 1))
    rules = _managed(route)
    assert [rule.index for rule in rules] == [0, 3]
    assert canary_percent(rules) == 1


def test_a_named_rule_alone_is_managed() -> None:
    route = _route(split_rule(90, 10, name="other"), split_rule(name="main"))
    assert [rule.name for rule in _managed(route, "main")] == ["main"]


def test_a_rule_that_is_not_there_is_named_with_those_that_are() -> None:
    route = _route(split_rule(name="api"), split_rule())
    assert _message(route, "main") == "HTTPRoute trading/shop has no rule named main; its rules: api, (unnamed)"


def test_a_route_without_both_services_says_what_it_has() -> None:
    assert "found web: shop-stable" in _message(_route({"name": "web", "backendRefs": [backend("shop-stable", 1)]}))


def test_a_service_named_twice_in_a_rule_cannot_be_managed() -> None:
    rule = split_rule()
    rule["backendRefs"].append(backend("shop-canary", 0, port=81))
    assert "names Service shop-canary 2 times" in _message(_route(rule))


def test_a_service_of_another_namespace_or_kind_is_not_ours() -> None:
    foreign = {"backendRefs": [backend("shop-stable", 1), backend("shop-canary", 1, namespace="other")]}
    bucket = {"backendRefs": [backend("shop-stable", 1), {"group": "x", "kind": "Bucket", "name": "shop-canary"}]}
    assert "no rule of" in _message(_route(foreign, bucket))


def test_an_absent_weight_counts_as_one() -> None:
    rule = split_rule()
    for ref in rule["backendRefs"]:
        del ref["weight"]
    assert canary_percent(_managed(_route(rule))) == 50


def test_rules_that_disagree_have_no_common_weight() -> None:
    assert canary_percent(_managed(_route(split_rule(99, 1), split_rule(75, 25)))) is None


def test_weights_that_sum_to_nothing_are_no_share() -> None:
    assert canary_percent(_managed(_route(split_rule(0, 0)))) is None


def test_further_backends_count_in_the_whole() -> None:
    rule = split_rule(50, 25)
    rule["backendRefs"].append(backend("shop-old", 25))
    assert canary_percent(_managed(_route(rule))) == 25


def test_a_record_is_restored_by_name_after_rules_have_moved() -> None:
    before = _managed(_route(split_rule(1, 0, name="api"), split_rule(7, 0, name="web")))
    after = _managed(_route(split_rule(75, 25, name="web"), split_rule(75, 25, name="api")))
    assert recorded(record(before), after) == (Pair(7, 0), Pair(1, 0))


def test_a_rule_the_record_does_not_know_gets_what_all_had_or_all_to_stable() -> None:
    added = _managed(_route(split_rule(75, 25), split_rule(75, 25, name="new")))
    assert recorded(record(_managed(_route(split_rule(1, 0)))), added) == (Pair(1, 0), Pair(1, 0))
    assert recorded(record(_managed(_route(split_rule(1, 0), split_rule(5, 0)))), added)[1] == Pair(100, 0)


@pytest.mark.slow
@given(st.one_of(st.none(), st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_a_damaged_record_puts_all_traffic_on_stable(state: str | None) -> None:
    assert recorded(state, _managed(_route(split_rule(75, 25)))) == (Pair(100, 0),)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=253), st.integers(0, 10**6)), min_size=1, max_size=16))
def test_the_record_of_any_route_fits_in_the_status_and_comes_back(rules: list[tuple[str, int]]) -> None:
    unique = dict(rules)
    managed = _managed(_route(*(split_rule(weight, 1, name=name) for name, weight in unique.items())))
    assert len(record(managed)) <= 4096
    assert recorded(record(managed), managed) == tuple(rule.now for rule in managed)
