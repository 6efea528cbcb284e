"""What is wrong with an object is said at the door: the API server refuses it and names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from testbed.kubeapi import ApiError
from unit.api.wrong import GOOD, Wrong
from unit.api.wrong_specs import WRONG

if TYPE_CHECKING:
    from testbed.cluster import Cluster

INVALID, BAD_REQUEST = 422, 400


def create(cluster: Cluster, ns: str, spec: dict[str, Any], **metadata: object) -> dict[str, Any]:
    """Creates a release as kubectl does by default (unknown fields refused), without keeping it."""
    body = {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "metadata": {"name": "shop", "namespace": ns} | metadata,
        "spec": spec,
    }
    path = f"/apis/sparkrelease.dev/v1alpha1/namespaces/{ns}/sparkreleases"
    return cluster.api.request("POST", path, body, query={"dryRun": "All", "fieldValidation": "Strict"})


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> str:
    """One namespace for all of them: nothing is kept in it."""
    return cluster.namespace("wrong")


def test_there_are_enough_ways_to_be_wrong() -> None:
    assert len(WRONG) >= 40
    assert len({wrong.what for wrong in WRONG}) == len(WRONG)


def test_the_spec_all_wrong_ones_come_from_is_taken(cluster: Cluster, place: str) -> None:
    assert create(cluster, place, GOOD)["spec"]["prometheus"] == "default"


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_wrong_object_is_refused_at_its_field_and_its_correction_is_taken(
    cluster: Cluster, place: str, wrong: Wrong
) -> None:
    with pytest.raises(ApiError) as refused:
        create(cluster, place, wrong.spec())
    assert refused.value.code in {INVALID, BAD_REQUEST}
    assert wrong.at in refused.value.message
    assert wrong.says in refused.value.message
    create(cluster, place, wrong.corrected())


@pytest.mark.parametrize("weight", [0, 0.001, 0.1, 0.3, 1, 33.333, 66.667, 99.999, 100])
def test_weights_in_thousandths_are_taken(cluster: Cluster, place: str, weight: float) -> None:
    stages = [{"name": "a", "weight": weight, "duration": "1m"}, {"name": "b", "weight": 100, "duration": "1m"}]
    assert create(cluster, place, GOOD | {"stages": stages})["spec"]["stages"][0]["weight"] == weight


@pytest.mark.parametrize("weight", [0.0001, 0.0015, 33.3334, 99.9999])
def test_weights_finer_than_thousandths_are_refused(cluster: Cluster, place: str, weight: float) -> None:
    stages = [{"name": "a", "weight": weight, "duration": "1m"}, {"name": "b", "weight": 100, "duration": "1m"}]
    with pytest.raises(ApiError, match=r"spec\.stages\[0\]\.weight.*at most three decimals"):
        create(cluster, place, GOOD | {"stages": stages})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_cannot_even_be_said(cluster: Cluster, place: str, number: str) -> None:
    thresholds = [{"name": "errors", "metric": "http", "max": float(number)}]
    with pytest.raises(ApiError) as refused:
        create(cluster, place, GOOD | {"thresholds": thresholds})
    assert refused.value.code == BAD_REQUEST


def test_a_name_too_long_for_a_label_is_refused(cluster: Cluster, place: str) -> None:
    with pytest.raises(ApiError, match=r"metadata\.name"):
        create(cluster, place, GOOD, name="a" * 64)
    create(cluster, place, GOOD, name="a" * 63)


def test_with_a_policy_what_is_missing_may_come_from_there(cluster: Cluster, place: str) -> None:
    bare = {key: GOOD[key] for key in ("version", "traffic", "thresholds")}
    with pytest.raises(ApiError, match=r"spec\.stages"):
        create(cluster, place, bare)
    create(cluster, place, bare | {"policyRef": {"name": "standard"}})


def test_a_policy_follows_the_same_rules(cluster: Cluster) -> None:
    def policy(**spec: object) -> dict[str, Any]:
        body = {"apiVersion": "sparkrelease.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": "p"}}
        path = "/apis/sparkrelease.dev/v1alpha1/releasepolicies"
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        return cluster.api.request("POST", path, body | {"spec": spec}, query=query)

    policy(stages=GOOD["stages"], metrics=GOOD["metrics"])
    with pytest.raises(ApiError, match=r"spec\.stages.*weights never fall"):
        policy(stages=GOOD["stages"][::-1])
    with pytest.raises(ApiError, match=r"spec\.metrics\[0\].*exactly one of"):
        policy(metrics=[{"name": "m"}])


def test_a_yaml_bomb_never_leaves_kubectl(cluster: Cluster, place: str) -> None:
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12)]
    bomb = "\n".join(
        [
            "apiVersion: sparkrelease.dev/v1alpha1",
            "kind: SparkRelease",
            f"metadata: {{name: bomb, namespace: {place}}}",
            "l0: &l0 [boom]",
            *levels,
            "spec: {stages: *l11}",
        ]
    )
    told = cluster.kubectl("apply", "-f", "-", stdin=bomb)
    assert told.returncode != 0
    assert "excessive aliasing" in told.stderr
    create(cluster, place, GOOD)
