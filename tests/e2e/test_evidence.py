"""Evidence comes before any raise and never stands in a rollback's way."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import link
from sparkrelease.decide.plan import EntryDraft
from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

LONG = [{"name": "quarter", "weight": 25, "duration": "5s"}, {"name": "full", "weight": 100, "duration": "5m"}]


NO_CONFIG_MAPS = {"example.org/no-configmaps": "yes"}
"""Label of a namespace in which nobody creates a ConfigMap today."""

POLICIES = "admissionregistration.k8s.io/v1"


@pytest.fixture
def refusing(cluster: Cluster) -> Iterator[None]:
    """A policy that acts on a namespace as soon as that has the label: a new one would need seconds to act."""
    about = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {"resourceRules": [about]},
        "validations": [{"expression": "false", "message": "no ConfigMaps today", "reason": "Forbidden"}],
    }
    named = {"apiVersion": POLICIES, "metadata": {"name": "no-configmaps"}}
    cluster.apply({**named, "kind": "ValidatingAdmissionPolicy", "spec": spec})
    binding = {
        "policyName": "no-configmaps",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": NO_CONFIG_MAPS}},
    }
    cluster.apply({**named, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding})
    labelled = cluster.namespace("refusing", labels=NO_CONFIG_MAPS)
    wait_for("ConfigMaps are refused", lambda: refused(cluster, labelled), timeout=20)
    yield
    cluster.delete("v1", "Namespace", labelled)
    for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
        cluster.delete(POLICIES, kind, "no-configmaps")


def refused(cluster: Cluster, ns: str) -> bool:
    """Whether the policy acts in this namespace."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": ns}}
    path = f"/api/v1/namespaces/{ns}/configmaps"
    try:
        cluster.api.request("POST", path, body, query={"dryRun": "All"})
    except ApiError as error:
        return "no ConfigMaps today" in error.message
    return False


def label(cluster: Cluster, ns: str, value: str | None) -> None:
    """Sets the label, or takes it away."""
    cluster.patch("v1", "Namespace", ns, None, {"metadata": {"labels": dict.fromkeys(NO_CONFIG_MAPS, value)}})


def test_refused_evidence_holds_a_raise_and_never_a_rollback(
    operator: Operator, cluster: Cluster, shop: Shop, refusing: None
) -> None:
    shop.open()
    shop.start_load(rps=150)
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    label(cluster, shop.namespace, "yes")
    wait_for("ConfigMaps are refused", lambda: refused(cluster, shop.namespace), timeout=20)
    shop.until_condition("EvidenceComplete", "False", timeout=30)
    assert shop.canary_weight() == 25
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    shop.until_weight(0, timeout=20)
    status = shop.until_phase("RolledBack", timeout=20)
    assert status["rollback"]["seconds"] <= 1.0
    assert status["pendingEvidence"]
    label(cluster, shop.namespace, None)
    shop.until_condition("EvidenceComplete", "True", timeout=60)
    verified = cluster.kubectl("sparkrelease", "evidence", "verify", shop.name, "-n", shop.namespace)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_closing_event_carries_the_head_digest(operator: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", error=0.5)
    shop.until_condition("RolledBack")
    head = shop.until("stored", lambda s: bool((s.get("evidence") or {}).get("head")))["evidence"]["head"]

    def told() -> bool:
        events = cluster.kubectl("get", "events", "-n", shop.namespace, "-o", "yaml").stdout
        return "RolledBack" in events and head in events

    wait_for("an Event with the head digest", told, timeout=15)


def replayed(cluster: Cluster, shop: Shop, *more: str) -> CompletedProcess[str]:
    return cluster.kubectl("sparkrelease", "evidence", "replay", shop.name, "-n", shop.namespace, *more)


def test_good_and_bad_releases_replay_and_a_changed_verdict_under_a_new_chain_does_not(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2")
    shop.until_condition("Promoted")
    shop.deploy("stable", "v2", wait=False)
    shop.until_settled("v2")
    good = replayed(cluster, shop)
    assert (good.returncode, "decisions reproduced" in good.stdout) == (0, True), good.stdout + good.stderr
    shop.ship("v3", error=0.5)
    shop.until_condition("RolledBack")
    bad = replayed(cluster, shop)
    assert (bad.returncode, "decisions reproduced" in bad.stdout) == (0, True), bad.stdout + bad.stderr
    known = shop.until("stored", lambda s: not s.get("pendingEvidence"))["evidence"]
    maps = [cluster.get("v1", "ConfigMap", name, shop.namespace) for name in known["configMaps"]]
    lines = "".join(one["data"]["entries.jsonl"] for one in maps).splitlines()
    (tmp_path / "run.jsonl").write_text("\n".join(turned_round(lines)))
    forged = replayed(cluster, shop, "--from-dir", str(tmp_path))
    assert forged.returncode == 7, forged.stdout + forged.stderr
    assert "stored      GatePassed" in forged.stdout
    assert "recomputed  TriggerFired" in forged.stdout


def turned_round(lines: list[str]) -> list[str]:
    """The chain hashed again from the start, with the rollback called a passed gate."""
    head, forged = "", []
    for line in lines:
        body = json.loads(line)
        kind = Reason.GATE_PASSED if body["kind"] == Reason.TRIGGER_FIRED.value else Reason.named(body["kind"])
        draft = EntryDraft(kind, body["message"], body["data"])
        entry = link(
            head,
            body["n"],
            at=datetime.fromisoformat(body["at"]),
            release=body["release"],
            run=body["run"],
            draft=draft,
        )
        forged.append(entry.line)
        head = entry.digest
    assert len(forged) > 3
    return forged
