"""A wrong signature is refused at the door, at its field; a stored one never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testbed.kubeapi import ApiError
from unit.api.wrong import Wrong, changed
from unit.api.wrong_approvals import SIGNED, WRONG_PAIRS, WRONG_SIGNATURES

if TYPE_CHECKING:
    from testbed.cluster import Cluster

WHO = "testbed-admin"
MINE = SIGNED | {"approvedBy": WHO}
API = "sparkrelease.dev/v1alpha1"


def create(cluster: Cluster, ns: str, spec: dict[str, Any], *, dry: bool = True) -> dict[str, Any]:
    """Creates a signature as kubectl does by default (unknown fields refused), without keeping it unless asked to."""
    body = {"apiVersion": API, "kind": "ReleaseApproval", "metadata": {"generateName": "shop-"}, "spec": spec}
    query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry else {})
    return cluster.api.request("POST", f"/apis/{API}/namespaces/{ns}/releaseapprovals", body, query=query)


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> str:
    """One namespace for all of them."""
    return cluster.namespace("signed")


def test_the_signature_all_wrong_ones_come_from_is_taken(cluster: Cluster, place: str) -> None:
    assert create(cluster, place, MINE)["spec"] == MINE


@pytest.mark.parametrize("wrong", WRONG_SIGNATURES, ids=lambda wrong: wrong.what)
def test_a_wrong_signature_is_refused_at_its_field(cluster: Cluster, place: str, wrong: Wrong) -> None:
    with pytest.raises(ApiError) as refused:
        create(cluster, place, changed(wrong.path, wrong.value, MINE))
    assert refused.value.code in {400, 422, 403}
    assert wrong.at in refused.value.message
    assert wrong.says in refused.value.message


@pytest.mark.parametrize(("wrong", "mended", "at", "says"), WRONG_PAIRS)
def test_fields_that_contradict_each_other_are_refused(
    *, cluster: Cluster, place: str, wrong: dict[str, Any], mended: dict[str, Any], at: str, says: str
) -> None:
    with pytest.raises(ApiError) as refused:
        create(cluster, place, MINE | wrong)
    assert at in refused.value.message and says in refused.value.message
    create(cluster, place, MINE | mended)


@pytest.mark.parametrize(
    "change", [{"decision": "NO-GO", "comment": "no"}, {"run": "v3-000000"}, {"items": ["a"]}, {"comment": "more"}]
)
def test_nobody_changes_a_signature_not_even_an_administrator(
    cluster: Cluster, place: str, change: dict[str, Any]
) -> None:
    stored = create(cluster, place, MINE, dry=False)
    with pytest.raises(ApiError, match="a signature never changes"):
        cluster.patch(API, "ReleaseApproval", stored["metadata"]["name"], place, {"spec": change})
