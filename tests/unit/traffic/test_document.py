from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sparkrelease.adapters.traffic.gateway_api.document import read_route
from unit.traffic.fakeapi import Body, http_route, split_rule

RULES = {"f:spec": {"f:rules": {}}}
OURS = {"manager": "sparkrelease", "fieldsV1": RULES, "time": "2026-01-01T00:00:00Z"}
GIT = {"manager": "argocd-controller", "fieldsV1": RULES, "time": "2026-01-02T00:00:00Z"}
STATUS = {"manager": "envoy", "subresource": "status", "fieldsV1": RULES, "time": "2026-01-09T00:00:00Z"}
PARENTS = {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:parentRefs": {}}}, "time": "2026-01-08T00:00:00Z"}
LABELS = {"manager": "labeller", "fieldsV1": {"f:metadata": {}}, "time": "2026-01-09T00:00:00Z"}


@pytest.mark.parametrize(
    ("fields", "manager"),
    [
        ([], ""),
        ([OURS], ""),
        ([GIT], "argocd-controller"),
        ([GIT, PARENTS, LABELS, STATUS], "argocd-controller"),
        ([OURS, GIT], ""),
        ([PARENTS, LABELS], "kubectl"),
        ([LABELS, STATUS], ""),
        ([GIT, {**GIT, "manager": "kubectl-edit", "time": "2026-01-03T00:00:00Z"}], "kubectl-edit"),
        ([{"fieldsV1": RULES}], "unknown"),
    ],
    ids=["none", "ours", "git", "others", "agreed", "spec", "no-spec", "newest", "nameless"],
)
def test_the_manager_of_the_rules_is_who_wrote_their_present_value(fields: list[Body], manager: str) -> None:
    assert read_route("HTTPRoute", http_route(split_rule(), managedFields=fields)).manager == manager


@pytest.mark.parametrize("junk", [None, 1, "x", [], [1, None], {"a": 1}])
@pytest.mark.parametrize("where", ["metadata", "spec", "status"])
def test_a_body_of_any_shape_is_read(where: str, junk: object) -> None:
    body = http_route(split_rule())
    body[where] = junk
    read_route("HTTPRoute", body)
    for key in ("labels", "annotations", "managedFields", "ownerReferences", "generation", "resourceVersion"):
        read_route("HTTPRoute", http_route(split_rule(), **{key: junk}))


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, names of fields included, in order."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_what_routes_have_in_common_is_kept_once_and_is_what_they_say() -> None:
    accepted = {"type": "Accepted", "status": "True", "observedGeneration": 2}
    entry = {"controllerName": "example.com/gateway", "conditions": [accepted]}
    answer = json.dumps(http_route(split_rule()) | {"status": {"parents": [entry]}})
    one, two = (read_route("HTTPRoute", json.loads(answer)) for _ in range(2))
    said = json.loads(answer)
    assert one.spec == said["spec"]
    assert list(one.parents) == said["status"]["parents"]
    pairs = list(zip(texts([one.spec, one.parents]), texts([two.spec, two.parents]), strict=True))
    assert pairs
    assert all(mine is theirs for mine, theirs in pairs)
