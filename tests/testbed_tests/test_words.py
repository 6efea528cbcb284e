"""What a test reads - audit events, load answers, rollouts, manifests - means what it says."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import yaml

from testbed import app, product
from testbed.app import App
from testbed.audit import AuditLog
from testbed.cluster import ServiceAccount
from testbed.container import IMAGE, image_digest
from testbed.gateway import CLUSTER_NAME, COUNTERS
from testbed.kubeapi import KubeObject
from testbed.kubeconfig import tls_context, write_kubeconfig
from testbed.load import Load
from testbed.pki import Pki
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for

EVENT: KubeObject = {
    "verb": "patch",
    "stage": "ResponseComplete",
    "user": {"username": "system:serviceaccount:sparkrelease:operator"},
    "objectRef": {"apiGroup": "gateway.networking.k8s.io", "resource": "httproutes", "namespace": "n", "name": "r"},
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": "2026-11-21T09:00:00.000001Z",
    "stageTimestamp": "2026-11-21T09:00:00.250001Z",
    "requestObject": [{"op": "test"}],
    "responseObject": {"kind": "HTTPRoute"},
}


def test_audit_events_are_read_from_a_cursor_and_a_half_written_line_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    line = json.dumps(EVENT) + "\n"
    path.write_text(line + line[:40])
    log = AuditLog(path)
    (event,) = log.events()
    assert (event.resource, event.name, event.code, event.writes) == ("httproutes", "r", 200, True)
    assert (event.completed - event.received).total_seconds() == 0.25
    assert (event.request, event.response) == ({}, {"kind": "HTTPRoute"})
    path.write_text(line + line)
    assert [later.cursor for later in log.events(event.cursor)] == [2 * len(line)] == [log.cursor()]


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "none")
    assert list(log.events()) == []
    assert log.cursor() == 0


def test_answers_of_a_load_are_read_while_it_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("1 v1 200\n2 v2 503\n3 error 0\n4 v1 20")
    answers = list(Load(ManagedProcess("load", [], tmp_path), trace).answers())
    assert [answer.failed for answer in answers] == [False, True, True]
    assert answers[1].version == "v2"


def test_a_wait_names_what_it_waited_for_and_what_it_saw_last() -> None:
    with pytest.raises(TimeoutError, match=r"three pods: not within 0 s \(last: 0\)"):
        wait_for("three pods", lambda: 0, timeout=0)


def test_a_wait_does_not_swallow_what_it_does_not_expect() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for("nothing", lambda: 1 / 0, expected=(KeyError,))


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("testbed/app:v1", "v1"),
        ("docker.io/testbed/app:v2.1-rebuilt", "v2.1"),
        ("testbed/app:missing", None),
        ("nginx:1.27", None),
        ("testbed/app", None),
    ],
)
def test_only_the_test_application_is_an_image_this_kubelet_has(image: str, version: str | None) -> None:
    known = IMAGE.fullmatch(image)
    assert (known["version"] if known else None) == version


def test_an_image_id_is_a_digest_of_the_image_and_of_nothing_else() -> None:
    assert image_digest("testbed/app:v1") == image_digest("testbed/app:v1")
    assert image_digest("testbed/app:v1") != image_digest("testbed/app:v1-rebuilt")
    repository, _, digest = image_digest("testbed/app:v1").partition("@sha256:")
    assert repository == "testbed/app"
    assert len(digest) == 64


def test_the_application_meets_the_restricted_pod_security_standard() -> None:
    pod = app.deployment(App("n", "shop", "testbed/app:v1", 2))["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("behind", ["observedGeneration", "updatedReplicas", "replicas", "availableReplicas"])
def test_a_rollout_is_done_when_nothing_of_it_is_left_to_do(behind: str) -> None:
    counts = {"observedGeneration": 4, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}
    whole = {"metadata": {"generation": 4}, "spec": {"replicas": 2}, "status": counts}
    assert app.rolled_out(whole)
    assert not app.rolled_out({**whole, "status": {**counts, behind: 3 if behind == "replicas" else 1}})


def test_the_gateways_counters_are_told_apart_by_namespace_service_and_port() -> None:
    name = CLUSTER_NAME.fullmatch("t-1a2b_shop-canary_8080")
    assert name
    assert name.groups() == ("t-1a2b", "shop-canary", "8080")
    assert COUNTERS.fullmatch("envoy_cluster_upstream_rq_total")
    assert not COUNTERS.fullmatch("envoy_cluster_upstream_cx_destroy")


def test_a_kubeconfig_says_who_one_is_and_is_for_its_owners_eyes(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    pki.create()
    pki.add_client("jane", "jane", ("dev",))
    pair = (pki.certificate("jane"), pki.key("jane"))
    path = write_kubeconfig(tmp_path / "config", server="https://127.0.0.1:1", ca=pki.ca, certificate=pair)
    assert path.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(path.read_text())
    context = tls_context(config["clusters"][0]["cluster"], config["users"][0]["user"])
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_the_product_is_installed_in_an_order_a_cluster_takes_and_runs_under_its_own_account(tmp_path: Path) -> None:
    account = {"kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": "sparkrelease"}}
    pod = {"spec": {"serviceAccountName": "operator"}}
    deployment = {"kind": "Deployment", "metadata": account["metadata"], "spec": {"template": pod}}
    namespace = {"kind": "Namespace", "metadata": {"name": "sparkrelease"}}
    crd = {"kind": "CustomResourceDefinition", "metadata": {"name": "sparkreleases.sparkrelease.dev"}}
    for folder, objects in (("manifests", [deployment, account, namespace]), ("crds", [crd])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    found = product.objects(tmp_path)
    assert [obj["kind"] for obj in found] == ["Namespace", "CustomResourceDefinition", "ServiceAccount", "Deployment"]
    assert product.operator_account(found) == ServiceAccount("sparkrelease", "operator")
