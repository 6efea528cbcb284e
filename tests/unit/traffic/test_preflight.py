from __future__ import annotations

import json

import pytest

from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider
from sparkrelease.api.reasons import Reason
from sparkrelease.ports.traffic import Target
from unit.traffic.fakeapi import Body, FakeAPI, backend, http_route, owned, referenced, split_rule


async def _findings(provider: GatewayAPIProvider, target: Target) -> list[tuple[Reason, bool]]:
    return [(finding.problem.reason, finding.fatal) for finding in await provider.preflight(target)]


async def test_a_good_route_has_no_findings_and_is_not_written(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    before = json.dumps(api.put("httproutes", http_route(split_rule(name="main"))))
    for target in (referenced(), referenced("main"), owned(name="shop")):
        assert await _findings(provider, target) == []
    assert json.dumps(api.route()) == before


async def test_an_owned_route_that_is_yet_to_be_made_has_no_findings(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    assert await _findings(provider, owned()) == []
    assert api.writes == 0


async def test_a_missing_route_is_named(provider: GatewayAPIProvider) -> None:
    assert await _findings(provider, referenced()) == [(Reason.ROUTE_NOT_FOUND, True)]


@pytest.mark.parametrize("target", [referenced(), owned()])
async def test_a_cluster_without_the_api_is_named(api: FakeAPI, provider: GatewayAPIProvider, target: Target) -> None:
    api.missing_kinds = frozenset({"httproutes"})
    assert await _findings(provider, target) == [(Reason.ROUTE_API_MISSING, True)]


@pytest.mark.parametrize(
    ("rule", "name", "words"),
    [
        ({"backendRefs": [backend("shop-stable", 1)]}, None, "found rule 0: shop-stable"),
        (split_rule(name="web"), "main", "its rules: web"),
        ({"backendRefs": [*split_rule()["backendRefs"], backend("legacy", 5)]}, None, "further backends"),
    ],
)
async def test_a_route_of_the_wrong_shape_says_what_is_there(
    api: FakeAPI, provider: GatewayAPIProvider, rule: Body, name: str | None, words: str
) -> None:
    api.put("httproutes", http_route(rule))
    (finding,) = await provider.preflight(referenced(name))
    assert finding.problem.reason is Reason.ROUTE_INVALID
    assert words in finding.problem.message


async def test_an_older_route_that_takes_the_same_requests_is_named(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    older = api.put("httproutes", http_route(split_rule(), name="legacy", creationTimestamp="2025-01-01T00:00:00Z"))
    provider.see("HTTPRoute", None, older)
    (finding,) = await provider.preflight(owned())
    assert finding.problem.reason is Reason.ROUTE_CONFLICT
    assert "HTTPRoute trading/legacy is older" in finding.problem.message


async def test_missing_services_and_ports_are_named(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule()))
    del api.objects["services/shop-canary"]
    api.put("services", {"metadata": {"name": "shop-stable"}, "spec": {"ports": [{"port": 8080}]}})
    findings = await provider.preflight(referenced())
    assert [finding.problem.message for finding in findings] == [
        "Service shop-stable has no port 80; it has 8080",
        "Service shop-canary does not exist in namespace trading",
    ]


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:x"}}, "Argo CD"),
        ({"managedFields": [{"manager": "argocd-controller", "fieldsV1": {}}]}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"managedFields": [{"manager": "helm-controller", "fieldsV1": {}}]}, "Flux"),
    ],
)
async def test_a_gitops_tool_without_a_visible_ignore_rule_is_a_warning(
    api: FakeAPI, provider: GatewayAPIProvider, metadata: Body, tool: str
) -> None:
    api.put("httproutes", http_route(split_rule(name="main"), **metadata))
    (finding,) = await provider.preflight(referenced("main"))
    assert (finding.problem.reason, finding.fatal) == (Reason.IGNORE_RULE_MISSING, False)
    assert finding.problem.message.startswith(f"{tool} manages HTTPRoute trading/shop")


async def test_flux_told_to_keep_off_is_no_finding(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    told = {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}
    flux = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    api.put("httproutes", http_route(split_rule(), labels=flux, annotations=told))
    assert await _findings(provider, referenced()) == []


@pytest.mark.parametrize(("code", "words"), [(403, "may not write"), (422, "refuses a weight"), (500, "cannot be")])
@pytest.mark.parametrize("target", [referenced(), owned(name="new")])
async def test_a_write_that_would_be_refused_is_found_before_it_matters(
    api: FakeAPI, provider: GatewayAPIProvider, code: int, words: str, target: Target
) -> None:
    api.put("httproutes", http_route(split_rule()))
    api.refuse = (code, "no")
    (finding,) = await provider.preflight(target)
    assert (finding.problem.reason, finding.fatal) == (Reason.ROUTE_WRITE_FAILED, True)
    assert words in finding.problem.message


async def test_a_route_its_gateway_refuses_is_a_finding(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    body = http_route(split_rule())
    refused = {"type": "Accepted", "status": "False", "observedGeneration": 1, "reason": "NotAllowedByListeners"}
    body["status"] = {"parents": [{"parentRef": {"name": "front"}, "conditions": [refused]}]}
    refused_refs = {"type": "ResolvedRefs", "status": "True", "observedGeneration": 1}
    body["status"]["parents"][0]["conditions"].append(refused_refs)
    api.put("httproutes", body)
    assert await _findings(provider, referenced()) == [(Reason.ROUTE_NOT_ACCEPTED, True)]


async def test_a_route_of_another_living_release_is_a_conflict_and_of_a_dead_one_is_not(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    marks = {"sparkrelease.dev/release": "other", "sparkrelease.dev/run": "v9"}
    api.put("httproutes", http_route(split_rule(), annotations=marks))
    assert await _findings(provider, referenced()) == []
    api.put("sparkreleases", {"metadata": {"name": "other"}})
    assert await _findings(provider, referenced()) == [(Reason.ROUTE_CONFLICT, True)]


async def test_a_route_that_belongs_to_another_object_is_not_adopted(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    owners = [{"apiVersion": "apps/v1", "kind": "Rollout", "name": "shop", "uid": "x"}]
    api.put("httproutes", http_route(split_rule(), ownerReferences=owners))
    assert await _findings(provider, owned()) == [(Reason.ROUTE_CONFLICT, True)]


def _show(provider: GatewayAPIProvider, api: FakeAPI) -> None:
    """What a watch shows of the route and both Services."""
    provider.see("HTTPRoute", None, api.route())
    for name in ("shop-stable", "shop-canary"):
        service = {"metadata": {"namespace": "trading", "name": name}, "spec": {"ports": [{"port": 80}]}}
        provider.see("Service", None, service)


async def test_what_watches_showed_is_not_read_again(api: FakeAPI, provider: GatewayAPIProvider) -> None:
    api.put("httproutes", http_route(split_rule()))
    _show(provider, api)
    assert await _findings(provider, referenced()) == []
    assert api.reads == 0
    assert api.managers == ["sparkrelease"], "the write with dryRun goes on asking for rights and admission"


async def test_a_route_that_changed_behind_the_watch_is_found_out_and_read_again(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route(split_rule()))
    _show(provider, api)
    api.edit("httproutes", "shop", lambda body: body["spec"].update(rules=[{"backendRefs": [backend("other", 1)]}]))
    assert await _findings(provider, referenced()) == [(Reason.ROUTE_INVALID, True)]


async def test_a_fault_that_is_over_is_no_finding_although_the_watch_lags(
    api: FakeAPI, provider: GatewayAPIProvider
) -> None:
    api.put("httproutes", http_route({"backendRefs": [backend("other", 1)]}))
    _show(provider, api)
    api.edit("httproutes", "shop", lambda body: body["spec"].update(rules=[split_rule()]))
    assert await _findings(provider, referenced()) == []
