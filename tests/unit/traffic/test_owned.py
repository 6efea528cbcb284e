from __future__ import annotations

import copy

import pytest

from sparkrelease.adapters.traffic.gateway_api.document import read_route
from sparkrelease.adapters.traffic.gateway_api.observe import WriteNote, facts_of
from sparkrelease.adapters.traffic.gateway_api.vocabulary import label_value
from sparkrelease.adapters.traffic.gateway_api.writes import Create, Nothing, Patch, Remove, decide_write
from sparkrelease.decide.facts import RouteMark
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.traffic import Target
from unit.traffic.fakeapi import Body, apply_patch, backend, http_route, owned, split_rule

AT_REST = SetWeight(0, RouteMark(epoch=7))
FIRST = SetWeight(1, RouteMark(run="v2-abc", weight=1))


def _created(target: Target, action: SetWeight = AT_REST) -> Body:
    write = decide_write(None, target, action, 7)
    assert isinstance(write, Create)
    body = copy.deepcopy(dict(write.manifest))
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    metadata.update(uid="u1", generation=1, resourceVersion="5")
    return body


def _weight(target: Target, live: Body) -> float | None:
    return facts_of(target, read_route(target.kind, live), lambda _: None, WriteNote()).canary_weight


def test_the_manifest_spells_every_default_out() -> None:
    body = _created(owned())
    assert body["spec"] == {
        "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}],
        "hostnames": ["shop.example"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": "shop-stable", "port": 80, "weight": 100},
                    {"group": "", "kind": "Service", "name": "shop-canary", "port": 80, "weight": 0},
                ],
            }
        ],
    }


def test_the_manifest_is_labelled_kept_from_flux_and_owned_by_nobody() -> None:
    metadata = _created(owned())["metadata"]
    assert metadata["labels"]["sparkrelease.dev/release"] == "shop"
    assert metadata["annotations"] == {
        "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
        "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    }
    assert "ownerReferences" not in metadata


def test_a_grpc_route_and_a_mesh_parent_are_written_their_own_way() -> None:
    rules = [{"name": "pay", "matches": [{"method": {"service": "pay.v1.Pay"}}]}]
    parents = [{"group": "", "kind": "Service", "name": "pay", "port": 9000}]
    spec = _created(owned(kind="GRPCRoute", parentRefs=parents, rules=rules, hostnames=[]))["spec"]
    assert spec["parentRefs"] == [{"group": "", "kind": "Service", "name": "pay", "port": 9000}]
    assert spec["rules"][0]["matches"] == [{"method": {"type": "Exact", "service": "pay.v1.Pay"}}]
    assert "hostnames" not in spec


def test_a_route_as_described_is_not_written_again() -> None:
    live = _created(owned())
    assert _weight(owned(), live) == 0
    assert isinstance(decide_write(read_route("HTTPRoute", live), owned(), AT_REST, 7), Nothing)


def test_fields_that_a_newer_api_adds_are_not_a_difference() -> None:
    live = _created(owned())
    live["spec"]["useDefaultGateways"] = "None"
    live["spec"]["rules"][0]["backendRefs"][0]["subset"] = "x"
    assert _weight(owned(), live) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(hostnames=["other.example"]),
        lambda spec: spec.pop("hostnames"),
        lambda spec: spec["parentRefs"][0].update(sectionName="tls"),
        lambda spec: spec["rules"][0].update(filters=[{"type": "RequestRedirect"}]),
        lambda spec: spec["rules"][0]["matches"][0]["path"].update(value="/x"),
        lambda spec: spec["rules"][0]["backendRefs"][0].update(port=81),
        lambda spec: spec["rules"].append(split_rule()),
    ],
)
def test_a_route_that_differs_has_no_weight_and_is_written_whole_in_one_patch(change: object) -> None:
    live = _created(owned())
    assert callable(change)
    change(live["spec"])
    assert _weight(owned(), live) is None
    write = decide_write(read_route("HTTPRoute", live), owned(), FIRST, 7)
    assert isinstance(write, Patch)
    after = apply_patch(live, [dict(op) for op in write.ops])
    assert after["spec"] == _created(owned(), FIRST)["spec"]


def test_a_live_route_is_adopted_in_one_patch_and_loses_its_tracking() -> None:
    live = http_route(
        split_rule(),
        uid="u1",
        generation=3,
        labels={"app.kubernetes.io/instance": "shop-app", "team": "a"},
        annotations={
            "argocd.argoproj.io/tracking-id": "shop:x",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "note": "keep",
        },
    )
    live["spec"]["rules"][0]["backendRefs"] = [backend("shop", 1)]
    assert _weight(owned(), live) is None
    write = decide_write(read_route("HTTPRoute", live), owned(), AT_REST, 7)
    assert isinstance(write, Patch)
    after = apply_patch(live, [dict(op) for op in write.ops])
    assert after["spec"] == _created(owned())["spec"]
    assert after["metadata"]["labels"] == {
        "team": "a",
        "sparkrelease.dev/release": "shop",
        "app.kubernetes.io/managed-by": "sparkrelease",
    }
    assert after["metadata"]["annotations"] == {
        "note": "keep",
        "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
        "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    }
    assert isinstance(decide_write(read_route("HTTPRoute", after), owned(), AT_REST, 7), Nothing)


def test_only_a_route_with_our_label_is_released_or_removed() -> None:
    live = _created(owned(), FIRST)
    assert isinstance(decide_write(read_route("HTTPRoute", live), owned(), ReleaseRoute(remove=True), 7), Remove)
    live["metadata"]["labels"] = {"sparkrelease.dev/release": "other"}
    for action in (ReleaseRoute(remove=True), ReleaseRoute()):
        assert isinstance(decide_write(read_route("HTTPRoute", live), owned(), action, 7), Nothing)


def test_releasing_puts_all_on_stable_takes_the_marks_off_and_keeps_the_label() -> None:
    live = _created(owned(), FIRST)
    write = decide_write(read_route("HTTPRoute", live), owned(), ReleaseRoute(), 7)
    assert isinstance(write, Patch)
    after = apply_patch(live, [dict(op) for op in write.ops])
    assert after["spec"] == _created(owned())["spec"]
    assert after["metadata"]["annotations"] == _created(owned())["metadata"]["annotations"]
    assert after["metadata"]["labels"]["sparkrelease.dev/release"] == "shop"


def test_a_route_deleted_during_a_run_comes_back_only_for_a_weight() -> None:
    assert isinstance(decide_write(None, owned(), ReleaseRoute(), 7), Nothing)
    assert isinstance(decide_write(None, owned(), FIRST, 7), Create)


@pytest.mark.parametrize("name", ["a", "a" * 63, "a" * 64, "b." * 126 + "b", "a" * 51 + "." + "b" * 100])
def test_any_release_name_makes_a_valid_label_value_of_its_own(name: str) -> None:
    value = label_value(name)
    assert len(value) <= 63
    assert value[-1].isalnum()
    assert len(name) <= 63 or value != label_value(name + "x")
