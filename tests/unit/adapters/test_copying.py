"""What a copy of a Deployment looks like, and what a Deployment says of itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.kubernetes.copying import (
    Apart,
    apart,
    candidate_of,
    copy_of,
    digest,
    relabel,
    stable_of,
)
from sparkrelease.adapters.kubernetes.settings import RESTARTED
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem

SPREAD = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "shop"}}}


def deployment(**spec: object) -> dict[str, Any]:
    """A candidate, rolled out."""
    labels = {"app": "shop", "tier": "web"}
    template = {
        "metadata": {"creationTimestamp": None, "labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {"containers": [{"name": "app", "image": "shop:v1"}], "topologySpreadConstraints": [SPREAD]},
    }
    return {
        "metadata": {"name": "shop", "namespace": "web", "resourceVersion": "7", "generation": 3, "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "shop"}}, "template": template, **spec},
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    }


def unlike(body: dict[str, Any]) -> Apart:
    found = apart(body)
    assert isinstance(found, Apart)
    return found


@pytest.mark.parametrize("annotations", [{}, {"prometheus.io/scrape": "true"}])
def test_a_restart_by_a_mitigation_makes_no_other_template_and_any_other_annotation_does(
    annotations: dict[str, str],
) -> None:
    body = deployment()
    metadata = body["spec"]["template"]["metadata"]
    metadata["annotations"] = dict(annotations) or None
    before = digest(body["spec"]["template"])
    metadata["annotations"] = {**annotations, RESTARTED: "2026-01-05T12:00:00Z"}
    assert digest(body["spec"]["template"]) == before
    metadata["annotations"] = {**annotations, "kubectl.kubernetes.io/restartedAt": "2026-01-05T12:00:00Z"}
    assert digest(body["spec"]["template"]) != before


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        ({"app": "shop", "app.kubernetes.io/name": "shop"}, "app"),
        ({"app.kubernetes.io/instance": "x", "app.kubernetes.io/name": "shop"}, "app.kubernetes.io/name"),
        ({"mine": "shop"}, "mine"),
    ],
)
def test_the_copy_differs_in_the_label_that_names_the_workload(labels: dict[str, str], label: str) -> None:
    found = unlike(deployment(selector={"matchLabels": labels}))
    assert (found.label, found.stable) == (label, f"{labels[label]}-stable")


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"strategy": {"type": "Recreate"}}, "spec.strategy.type"),
        ({"selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "app"}]}}, "matchExpressions"),
        ({"selector": {"matchLabels": {"one": "a", "two": "b"}}}, "spec.selector.matchLabels"),
        ({"selector": {"matchLabels": {"app": "a" * 60}}}, "spec.selector.matchLabels.app"),
    ],
)
def test_a_deployment_that_cannot_be_copied_beside_itself_is_refused_by_the_field(
    spec: dict[str, Any], named: str
) -> None:
    seen = candidate_of("shop", deployment(**spec), "")
    assert seen.problem is not None and seen.problem.reason is Reason.WORKLOAD_UNSUPPORTED
    assert named in seen.problem.message


def test_one_that_somebody_else_keeps_is_refused_by_their_name() -> None:
    body = deployment()
    body["metadata"]["ownerReferences"] = [{"kind": "Rollout", "name": "shop", "controller": True}]
    seen = candidate_of("shop", body, "")
    assert seen.problem is not None and "Rollout shop" in seen.problem.message


def test_a_copy_is_no_candidate() -> None:
    body = deployment()
    made = copy_of(body, "shop-stable", "web", unlike(body))
    problem = candidate_of("shop-stable", {**body, "metadata": made["metadata"]}, "").problem
    assert problem is not None and problem.reason is Reason.DEPLOYMENT_OWNED


def test_the_copy_selects_its_own_pods_everywhere_and_reads_as_the_candidate() -> None:
    body = deployment()
    made: dict[str, Any] = copy_of(body, "shop-stable", "web", unlike(body))
    pods = made["spec"]["template"]
    assert pods["metadata"]["labels"] == {"app": "shop-stable", "tier": "web"}
    assert pods["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
    (spread,) = pods["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == {"app": "shop-stable"}
    assert "replicas" not in made["spec"]
    seen = stable_of("shop-stable", made, "", ("web", "shop"), unlike(body))
    assert seen.template == seen.copied == candidate_of("shop", body, "").template
    assert body == deployment(), "nothing of what was read is changed"


def test_a_deployment_of_the_copys_name_that_is_nobodys_copy_is_a_problem() -> None:
    body = deployment()
    for owner in (("web", "shop"), ("other", "shop")):
        made: dict[str, Any] = body if owner[0] == "web" else copy_of(body, "shop-stable", "web", unlike(body))
        seen = stable_of("shop-stable", made, "", owner, unlike(body))
        assert seen.problem is not None and seen.problem.reason is Reason.DEPLOYMENT_OWNED


@pytest.mark.parametrize(
    ("field", "value"),
    [("observedGeneration", 2), ("updatedReplicas", 1), ("availableReplicas", 1), ("replicas", 3)],
)
def test_rolled_out_means_all_of_the_newest_and_available(field: str, value: int) -> None:
    assert candidate_of("shop", deployment(), "").rolled_out
    body = deployment()
    body["status"][field] = value
    assert not candidate_of("shop", body, "").rolled_out


def test_no_replicas_are_not_rolled_out() -> None:
    body = deployment(replicas=0)
    body["status"] = {"observedGeneration": 3}
    assert not candidate_of("shop", body, "").rolled_out


def test_what_is_not_there_is_not_there() -> None:
    assert not candidate_of("shop", None, "").exists
    assert not stable_of("shop-stable", None, "", ("web", "shop"), None).exists
    assert isinstance(apart({}), Problem)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), _JSON, max_size=4))
def test_relabelling_back_gives_the_same_digest_and_a_digest_does_not_mind_order_or_nothing(
    spec: dict[str, Any],
) -> None:
    template = {"metadata": {"labels": {"app": "shop", "other": "shop"}}, "spec": spec}
    there = relabel(template, "app", "shop", "shop-stable")
    assert digest(relabel(there, "app", "shop-stable", "shop")) == digest(template)
    turned = {key: copy.deepcopy(template[key]) for key in reversed(template)} | {"status": None}
    assert digest(turned) == digest(template)
