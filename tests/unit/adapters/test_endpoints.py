"""Who is behind a Service, from its slices."""

from __future__ import annotations

from typing import Any

from sparkrelease.adapters.kubernetes.endpoints import Slice, join, read_slice


def endpoint(uid: str, *, address: str = "", **conditions: bool) -> dict[str, Any]:
    return {
        "addresses": [address or f"10.0.0.{uid}"],
        "conditions": conditions,
        "targetRef": {"kind": "Pod", "name": f"shop-{uid}", "uid": uid},
    }


def piece(*endpoints: dict[str, Any] | None, name: str = "shop-1", version: str = "1") -> Slice:
    read = read_slice(
        {
            "metadata": {
                "name": name,
                "resourceVersion": version,
                "labels": {"kubernetes.io/service-name": "shop"},
            },
            "endpoints": list(endpoints),
        }
    )
    assert read is not None
    return read


def test_ready_and_not_ready_are_counted_and_terminating_is_not() -> None:
    behind = join([piece(endpoint("1", ready=True), endpoint("2", ready=False), endpoint("3", terminating=True))])
    assert (len(behind.ready), behind.not_ready) == (1, 1)


def test_readiness_that_is_not_said_means_ready() -> None:
    assert len(join([piece(endpoint("1"))]).ready) == 1


def test_a_pod_with_two_address_families_is_one_endpoint() -> None:
    four = piece(endpoint("1", ready=True), name="shop-4")
    six = piece(endpoint("1", ready=True, address="fd00::1"), name="shop-6")
    assert len(join([four, six]).ready) == 1


def test_an_endpoint_that_slices_disagree_about_is_not_ready() -> None:
    old, new = piece(endpoint("1", ready=True), name="a"), piece(endpoint("1", ready=False), name="b")
    for order in ([old, new], [new, old]):
        behind = join(order)
        assert (len(behind.ready), behind.not_ready) == (0, 1)


def test_endpoints_without_a_pod_are_told_apart_by_address() -> None:
    outside = [{"addresses": [address], "conditions": {"ready": True}} for address in ("192.0.2.1", "192.0.2.2")]
    behind = join([piece(*outside)])
    assert len(behind.ready) == 2
    assert {one.pod for one in behind.ready} == {""}


def test_a_slice_of_no_service_is_left_out() -> None:
    assert read_slice({"metadata": {"name": "x"}, "endpoints": []}) is None
    assert read_slice({}) is None


def test_strange_endpoints_break_nothing() -> None:
    assert join([piece(None, {"addresses": None})]).not_ready == 0
