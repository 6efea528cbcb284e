"""The door to a release's status and finalizer: what was decided on an old body is never written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sparkrelease.adapters.kubernetes import paths
from sparkrelease.adapters.kubernetes.client import ApiClients, Identity, open_clients
from sparkrelease.adapters.kubernetes.lists import ObjectLists
from sparkrelease.adapters.kubernetes.status import FINALIZER, KubernetesStatusWriter
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Condition, Phase, SparkReleaseStatus
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.cluster import ObjectKey, WriteOutcome
from testbed.cluster import ServiceAccount
from testbed.kubeapi import KubeObject

if TYPE_CHECKING:
    from testbed.cluster import Cluster

API = ("sparkrelease.dev/v1alpha1", "SparkRelease")
Create = Callable[[str], KubeObject]


@pytest.fixture
def writer(clients: ApiClients, ns: str) -> KubernetesStatusWriter:
    return KubernetesStatusWriter(clients.normal)


def version(body: object) -> str:
    assert isinstance(body, dict)
    return str(body["metadata"]["resourceVersion"])


def a_status(phase: Phase = Phase.PREFLIGHT) -> SparkReleaseStatus:
    ready = Condition(
        type="Ready", status="False", reason="Accepted", last_transition_time=datetime.now(UTC), observed_generation=1
    )
    return SparkReleaseStatus(observed_generation=1, phase=phase, conditions=(ready,))


async def test_a_status_is_replaced_whole_and_the_new_body_answered(
    cluster: Cluster, ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    key = ObjectKey(ns, "shop")
    first = await writer.write_status(key, version(release("shop")), a_status())
    assert first.outcome is WriteOutcome.DONE
    second = await writer.write_status(key, version(first.body), SparkReleaseStatus(phase=Phase.BLOCKED))
    assert second.outcome is WriteOutcome.DONE
    stored = cluster.get(*API, "shop", ns)
    assert stored["status"]["phase"] == "Blocked"
    assert "Ready" not in str(stored["status"])
    assert version(second.body) == version(stored)


async def test_a_status_decided_on_an_old_body_is_not_written_and_the_newer_body_is_answered(
    cluster: Cluster, ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    old = release("shop")
    newer = cluster.patch(*API, "shop", ns, {"metadata": {"annotations": {"somebody": "was here"}}})
    written = await writer.write_status(ObjectKey(ns, "shop"), version(old), a_status())
    assert written.outcome is WriteOutcome.CONFLICT
    assert version(written.body) == version(newer)
    assert "status" not in cluster.get(*API, "shop", ns)


async def test_a_status_the_schema_refuses_is_a_failure_and_no_conflict(
    ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    wrong = a_status().model_copy(update={"observed_generation": "many"})
    written = await writer.write_status(ObjectKey(ns, "shop"), version(release("shop")), wrong)
    assert written.outcome is WriteOutcome.FAILED
    assert written.problem is not None
    assert written.problem.reason is Reason.REFUSED
    assert "observedGeneration" in written.problem.message


async def test_a_release_that_is_gone_is_gone(ns: str, cluster: Cluster, writer: KubernetesStatusWriter) -> None:
    key = ObjectKey(ns, "nowhere")
    assert (await writer.fetch(key)).outcome is WriteOutcome.GONE
    assert (await writer.write_status(key, "1", a_status())).outcome is WriteOutcome.GONE
    assert (await writer.set_finalizer(key, "1", False)).outcome is WriteOutcome.GONE


async def test_the_finalizer_comes_and_goes_and_those_of_others_stay(
    cluster: Cluster, ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    key = ObjectKey(ns, "shop")
    release("shop")
    body = cluster.patch(*API, "shop", ns, {"metadata": {"finalizers": ["example.org/other"]}})
    added = await writer.set_finalizer(key, version(body), True)
    assert finalizers(cluster, ns) == ["example.org/other", FINALIZER]
    again = await writer.set_finalizer(key, version(added.body), True)
    assert again.outcome is WriteOutcome.DONE
    assert version(again.body) == version(added.body), "nothing was written"
    removed = await writer.set_finalizer(key, version(again.body), False)
    assert removed.outcome is WriteOutcome.DONE
    assert finalizers(cluster, ns) == ["example.org/other"]
    cluster.patch(*API, "shop", ns, {"metadata": {"finalizers": []}})


async def test_a_finalizer_decided_on_an_old_body_is_not_set(
    cluster: Cluster, ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    old = release("shop")
    cluster.patch(*API, "shop", ns, {"metadata": {"annotations": {"somebody": "was here"}}})
    written = await writer.set_finalizer(ObjectKey(ns, "shop"), version(old), True)
    assert written.outcome is WriteOutcome.CONFLICT
    assert finalizers(cluster, ns) == []


async def test_with_the_finalizers_known_one_request_sets_ours_beside_them(
    cluster: Cluster, ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    key = ObjectKey(ns, "shop")
    release("shop")
    body = cluster.patch(*API, "shop", ns, {"metadata": {"finalizers": ["example.org/other"]}})
    since = cluster.audit_cursor()
    added = await writer.set_finalizer(key, version(body), True, ["example.org/other"])
    assert added.outcome is WriteOutcome.DONE
    assert finalizers(cluster, ns) == ["example.org/other", FINALIZER]
    mine = [e for e in cluster.audit_events(since) if (e.namespace, e.resource) == (ns, "sparkreleases") and e.writes]
    assert [e.verb for e in mine] == ["patch"]
    late = await writer.set_finalizer(key, version(body), False, ["example.org/other", FINALIZER])
    assert late.outcome is WriteOutcome.CONFLICT
    assert FINALIZER in finalizers(cluster, ns)
    cluster.patch(*API, "shop", ns, {"metadata": {"finalizers": []}})


async def test_taking_the_last_finalizer_lets_a_deleted_release_go(
    cluster: Cluster, ns: str, release: Create, writer: KubernetesStatusWriter
) -> None:
    key = ObjectKey(ns, "shop")
    await writer.set_finalizer(key, version(release("shop")), True)
    cluster.delete(*API, "shop", ns)
    deleting = await writer.fetch(key)
    assert deleting.outcome is WriteOutcome.DONE
    assert (await writer.set_finalizer(key, version(deleting.body), False)).outcome is WriteOutcome.DONE
    assert (await writer.fetch(key)).outcome is WriteOutcome.GONE


async def test_all_releases_are_listed_over_several_pages(ns: str, release: Create, clients: ApiClients) -> None:
    names = [f"shop-{number}" for number in range(5)]
    made = [release(name) for name in names]
    pages: list[list[str]] = []

    def take(page: Sequence[Mapping[str, Any]]) -> None:
        pages.append([body["metadata"]["name"] for body in page])

    began = await ObjectLists(clients.normal, namespaces=(ns,), page=2).list_objects("SparkRelease", take)
    assert isinstance(began, str)
    assert int(began) >= max(int(version(body)) for body in made)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(name for page in pages for name in page) == names


async def test_a_kind_the_cluster_does_not_serve_is_said_to_be_missing(
    cluster: Cluster, clients: ApiClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(paths.COLLECTIONS, "HTTPRoute", ("/apis/gateway.example.org/v1", "httproutes"))
    problem = await ObjectLists(clients.normal).list_objects("HTTPRoute", lambda _: None)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.ROUTE_API_MISSING


async def test_missing_rights_are_said_in_the_servers_words(cluster: Cluster, ns: str, release: Create) -> None:
    body = release("shop")
    nobody = await open_clients(
        OperatorConfig(), Identity(kubeconfig=cluster.kubeconfig(ServiceAccount(ns, "default")))
    )
    writer = KubernetesStatusWriter(nobody.normal)
    try:
        written = await writer.write_status(ObjectKey(ns, "shop"), version(body), a_status())
        listed = await ObjectLists(nobody.normal).list_objects("SparkRelease", lambda _: None)
    finally:
        await nobody.close()
    assert written.outcome is WriteOutcome.FAILED
    assert written.problem is not None
    assert written.problem.reason is Reason.FORBIDDEN
    assert "sparkreleases" in written.problem.message
    assert isinstance(listed, Problem)


def finalizers(cluster: Cluster, ns: str) -> list[str]:
    names: list[str] = cluster.get(*API, "shop", ns)["metadata"].get("finalizers", [])
    return names
