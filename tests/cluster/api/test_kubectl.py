"""What a person sees with plain kubectl: the table, the explanation of every field, words for what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from testbed.waiting import wait_for
from unit.api.wrong import GOOD, changed

if TYPE_CHECKING:
    import subprocess

    from testbed.cluster import Cluster

STATUS = {
    "observedGeneration": 1,
    "phase": "Progressing",
    "stageText": "2/3",
    "gateText": "5/6",
    "weight": {"desired": 50, "observed": 50, "verified": True},
    "verdict": "Pass",
    "next": {"what": "gate half"},
    "run": {
        "id": "v1.4.0-6c1f0a",
        "version": "v1.4.0",
        "startedAt": "2026-01-05T12:00:00.000Z",
        "specDigest": "sha256:0",
        "stableFingerprint": "a",
        "canaryFingerprint": "b",
    },
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "Progressing",
            "message": "stage half",
            "lastTransitionTime": "2026-01-05T12:00:00Z",
            "observedGeneration": 1,
        }
    ],
}


def ok(told: subprocess.CompletedProcess[str]) -> str:
    """What kubectl printed, when it did what it was asked."""
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.fixture
def release(cluster: Cluster, ns: str) -> str:
    """A release with a status as the operator would write it."""
    body: dict[str, Any] = {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "metadata": {"name": "shop", "namespace": ns},
        "spec": GOOD,
    }
    ok(cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body)))
    cluster.patch(body["apiVersion"], body["kind"], "shop", ns, {"status": STATUS}, subresource="status")
    return "shop"


def table(text: str) -> dict[str, str]:
    """The only row of a kubectl table, by column; columns are told apart by where their headings begin."""
    head, row = text.rstrip("\n").splitlines()
    starts = [place for place in range(len(head)) if head[place] != " " and (place == 0 or head[place - 1] == " ")]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_get_shows_how_the_release_goes(cluster: Cluster, ns: str, release: str) -> None:
    row = table(ok(cluster.kubectl("get", "sr", release, "-n", ns)))
    assert row.pop("AGE")
    assert row == {
        "NAME": "shop", "VERSION": "v1.4.0", "PHASE": "Progressing", "STAGE": "2/3", "WEIGHT": "50",
        "VERDICT": "Pass", "GATE": "5/6", "READY": "False",
    }  # fmt: skip


def test_get_wide_says_why_and_what_comes_next(cluster: Cluster, ns: str, release: str) -> None:
    row = table(ok(cluster.kubectl("get", "sparkreleases", release, "-n", ns, "-o", "wide")))
    assert (row["REASON"], row["NEXT"], row["RUN"]) == ("Progressing", "gate half", "v1.4.0-6c1f0a")


def test_a_release_without_a_status_yet_is_listed(cluster: Cluster, ns: str) -> None:
    body = {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "metadata": {"name": "new"},
        "spec": GOOD,
    }
    ok(cluster.kubectl("create", "-n", ns, "-f", "-", stdin=json.dumps(body)))
    assert table(ok(cluster.kubectl("get", "sparkrelease", "new", "-n", ns)))["VERSION"] == "v1.4.0"


def test_releases_are_found_by_their_category(cluster: Cluster, ns: str, release: str) -> None:
    assert f"sparkrelease.sparkrelease.dev/{release}" in ok(cluster.kubectl("get", "delivery", "-n", ns))


def test_describe_shows_spec_status_and_conditions(cluster: Cluster, ns: str, release: str) -> None:
    text = ok(cluster.kubectl("describe", "sr", release, "-n", ns))
    for words in ("Prometheus:", "stage half", "Verified:", "v1.4.0-6c1f0a"):
        assert words in text


def explained(cluster: Cluster, field: str, *more: str) -> str:
    """kubectl explain, once the API server has published the schema."""
    return wait_for(
        f"{field} is explained",
        lambda: cluster.kubectl("explain", field, *more).stdout,
        timeout=20,
    )


def test_explain_describes_stages(cluster: Cluster) -> None:
    text = explained(cluster, "sparkrelease.spec.stages")
    assert "The steps, in order." in text
    assert "How long the stage is observed." in text
    assert "-required-" in text
    assert "enum: hold, rollback" in text


def test_explain_knows_every_level(cluster: Cluster) -> None:
    text = explained(cluster, "sparkrelease", "--recursive")
    for field in ("gatewayAPI", "rollbackAfter", "quantile", "stageText", "pendingEvidence"):
        assert field in text
    assert "Orphan: Weights stay as they are." in explained(cluster, "sparkrelease.spec.deletionPolicy")
    assert "merged over the policy's by name" in explained(cluster, "releasepolicy.spec.triggers")


def test_no_field_is_left_unexplained(cluster: Cluster) -> None:
    assert "<no description>" not in explained(cluster, "sparkrelease.spec.traffic.gatewayAPI.owned")
    assert "<no description>" not in explained(cluster, "sparkrelease.status")


def test_apply_names_the_field_at_fault(cluster: Cluster, ns: str) -> None:
    body = {"apiVersion": "sparkrelease.dev/v1alpha1", "kind": "SparkRelease", "metadata": {"name": "shop"}}
    wrong = body | {"spec": changed("stages.0.duration", "0s")}
    told = cluster.kubectl("apply", "-n", ns, "-f", "-", stdin=json.dumps(wrong))
    assert told.returncode == 1
    assert "spec.stages[0].duration" in told.stderr
    assert "must be a duration such as 90s or 1h30m" in told.stderr


def test_apply_refuses_a_misspelt_field(cluster: Cluster, ns: str) -> None:
    body = {"apiVersion": "sparkrelease.dev/v1alpha1", "kind": "SparkRelease", "metadata": {"name": "shop"}}
    wrong = body | {"spec": GOOD | {"thresholdss": []}}
    told = cluster.kubectl("apply", "-n", ns, "-f", "-", stdin=json.dumps(wrong))
    assert told.returncode == 1
    assert 'unknown field "spec.thresholdss"' in told.stderr


def test_applying_the_same_again_changes_nothing(cluster: Cluster, ns: str, release: str) -> None:
    before = cluster.get("sparkrelease.dev/v1alpha1", "SparkRelease", release, ns)
    body = {"apiVersion": "sparkrelease.dev/v1alpha1", "kind": "SparkRelease", "metadata": {"name": release}}
    told = ok(cluster.kubectl("apply", "-n", ns, "-f", "-", stdin=json.dumps(body | {"spec": GOOD})))
    after = cluster.get("sparkrelease.dev/v1alpha1", "SparkRelease", release, ns)
    assert "unchanged" in told
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["phase"] == "Progressing"


def test_kubectl_waits_for_conditions_and_phases(cluster: Cluster, ns: str, release: str) -> None:
    promoted = {"type": "Promoted", "status": "True", "reason": "Promoted", "message": "", "observedGeneration": 1}
    conditions = [*STATUS["conditions"], promoted | {"lastTransitionTime": "2026-01-05T12:01:00Z"}]  # type: ignore[misc]  # STATUS is JSON
    told = cluster.kubectl("wait", "--for=condition=Promoted", f"sr/{release}", "-n", ns, "--timeout=1s")
    assert told.returncode == 1
    cluster.patch(
        "sparkrelease.dev/v1alpha1",
        "SparkRelease",
        release,
        ns,
        {"status": {"conditions": conditions}},
        subresource="status",
    )
    ok(cluster.kubectl("wait", "--for=condition=Promoted", f"sr/{release}", "-n", ns, "--timeout=10s"))
    ok(
        cluster.kubectl(
            "wait", "--for=jsonpath={.status.phase}=Progressing", f"sr/{release}", "-n", ns, "--timeout=10s"
        )
    )
