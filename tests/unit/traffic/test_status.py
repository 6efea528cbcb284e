from __future__ import annotations

import pytest

from sparkrelease.adapters.traffic.gateway_api.document import read_route
from sparkrelease.adapters.traffic.gateway_api.status import Answer, ParentKey, acceptance
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Verification
from unit.traffic.fakeapi import Body, http_route, split_rule

FRONT = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}
OURS = "example.com/gateway"


def _conditions(generation: int = 3, **more: str) -> list[Body]:
    said = {"Accepted": "True", "ResolvedRefs": "True", **more}
    return [
        {"type": kind, "status": status, "observedGeneration": generation, "reason": "Why", "message": "words"}
        for kind, status in said.items()
    ]


def _entry(generation: int = 3, parent: Body = FRONT, controller: str = OURS, **more: str) -> Body:
    return {"parentRef": parent, "controllerName": controller, "conditions": _conditions(generation, **more)}


def _judge(*entries: Body, refs: list[Body] | None = None, controller: str | None = OURS) -> Answer:
    body = http_route(split_rule(), generation=3)
    body["spec"]["parentRefs"] = refs if refs is not None else [{"name": "front"}]
    body["status"] = {"parents": list(entries)}

    def controller_of(parent: ParentKey) -> str | None:
        return controller

    return acceptance(read_route("HTTPRoute", body), controller_of)


def test_a_route_accepted_for_its_generation_is_verified() -> None:
    assert _judge(_entry()) == Answer(Verification.VERIFIED, Reason.TRAFFIC_IN_SYNC)


def test_defaults_left_out_on_either_side_are_the_same_parent() -> None:
    spelled = [{**FRONT, "namespace": "trading"}]
    assert _judge(_entry(parent={"name": "front"}), refs=spelled).verification is Verification.VERIFIED


@pytest.mark.parametrize(
    ("entries", "refs", "reason", "words"),
    [
        ([], None, Reason.ROUTE_PENDING, "has not answered"),
        ([_entry()], [], Reason.ROUTE_PENDING, "names no parent"),
        ([_entry(generation=2)], None, Reason.ROUTE_PENDING, "seen generation 2"),
        ([{**_entry(), "conditions": []}], None, Reason.ROUTE_PENDING, "seen generation 0"),
        ([{**_entry(), "conditions": _conditions()[:1]}], None, Reason.ROUTE_PENDING, "does not say ResolvedRefs"),
        (
            [{**_entry(), "conditions": [_conditions()[0], _conditions(2)[1]]}],
            None,
            Reason.ROUTE_PENDING,
            "does not say ResolvedRefs for generation 3",
        ),
        ([_entry(Accepted="False")], None, Reason.ROUTE_NOT_ACCEPTED, "Accepted=False, Why: words"),
        ([_entry(Accepted="Unknown")], None, Reason.ROUTE_PENDING, "Accepted=Unknown"),
        ([_entry(ResolvedRefs="False")], None, Reason.ROUTE_NOT_ACCEPTED, "ResolvedRefs=False"),
        ([_entry(PartiallyInvalid="True")], None, Reason.ROUTE_NOT_ACCEPTED, "PartiallyInvalid=True"),
        ([_entry(controller="example.com/old")], None, Reason.ROUTE_PENDING, "has not answered"),
        ([_entry(parent={**FRONT, "name": "back"})], None, Reason.ROUTE_PENDING, "has not answered"),
        ([_entry(parent={**FRONT, "sectionName": "tls"})], None, Reason.ROUTE_PENDING, "has not answered"),
        ([_entry(parent={**FRONT, "namespace": "infra"})], None, Reason.ROUTE_PENDING, "has not answered"),
        (
            [_entry()],
            [{"name": "front"}, {"name": "mesh", "kind": "Service", "group": ""}],
            Reason.ROUTE_PENDING,
            "Service trading/mesh has not answered",
        ),
    ],
)
def test_anything_less_is_pending_and_says_what_is_missing(
    entries: list[Body], refs: list[Body] | None, reason: Reason, words: str
) -> None:
    answer = _judge(*entries, refs=refs)
    assert answer.verification is Verification.PENDING
    assert answer.reason is reason
    assert words in answer.message


def test_an_entry_left_by_a_former_parent_does_not_count() -> None:
    stale = _entry(generation=1, parent={**FRONT, "name": "old"}, Accepted="False")
    assert _judge(stale, _entry()).verification is Verification.VERIFIED


def test_an_entry_left_by_a_former_controller_does_not_count_where_the_controller_is_known() -> None:
    stale = _entry(controller="example.com/old", Accepted="False")
    assert _judge(stale, _entry()).verification is Verification.VERIFIED


def test_where_the_controller_is_not_known_a_stale_entry_is_passed_over_but_a_present_refusal_counts() -> None:
    old = _entry(generation=2, controller="example.com/old", Accepted="False")
    assert _judge(old, _entry(), controller=None).verification is Verification.VERIFIED
    refusing = _entry(controller="example.com/other", Accepted="False")
    assert _judge(_entry(), refusing, controller=None).reason is Reason.ROUTE_NOT_ACCEPTED


@pytest.mark.parametrize("junk", [None, 3, "x", [None], [{"parentRef": 1, "conditions": 2}], {"a": 1}])
def test_a_status_that_is_no_status_is_pending(junk: object) -> None:
    body = {**http_route(split_rule(), generation=3), "status": {"parents": junk}}
    assert acceptance(read_route("HTTPRoute", body), lambda _: None).verification is Verification.PENDING
