"""Evidence in real ConfigMaps: stored once, never changed, pruned only by the account that may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.kubernetes.client import ApiClients, Identity, open_clients
from sparkrelease.adapters.kubernetes.evidence import ConfigMapEvidence
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.cluster import ObjectKey
from testbed.cluster import ServiceAccount
from testbed.kubeapi import ApiError
from testbed.product import OPERATOR, PRUNER

if TYPE_CHECKING:
    from testbed.cluster import Cluster

RUN = "v1.4.0+Build_7-6c1f0a"


def entries(first: int, last: int, size: int = 0) -> list[str]:
    return [json.dumps({"seq": number, "pad": "é" * size}, ensure_ascii=False) for number in range(first, last + 1)]


@pytest.fixture
async def clients(cluster: Cluster) -> AsyncIterator[ApiClients]:
    """The operator's own accounts: nobody else gets evidence past the admission policies."""
    operator, pruner = (Identity(kubeconfig=cluster.kubeconfig(account)) for account in (OPERATOR, PRUNER))
    opened = await open_clients(OperatorConfig(api_timeout=timedelta(seconds=5)), operator, pruner)
    yield opened
    await opened.close()


@pytest.fixture
def store(clients: ApiClients) -> ConfigMapEvidence:
    return ConfigMapEvidence(clients.normal)


@pytest.fixture
def key(ns: str) -> ObjectKey:
    return ObjectKey(ns, "shop")


async def test_entries_come_back_as_they_went_and_say_whose_they_are(
    cluster: Cluster, key: ObjectKey, store: ConfigMapEvidence
) -> None:
    names = await store.store(key, RUN, 0, entries(1, 3))
    assert isinstance(names, tuple)
    assert await store.load(key.namespace, names) == entries(1, 3)
    metadata = cluster.get("v1", "ConfigMap", names[0], key.namespace)["metadata"]
    assert metadata["labels"]["sparkrelease.dev/evidence"] == "true"
    assert metadata["labels"]["sparkrelease.dev/release"] == "shop"
    assert metadata["annotations"]["sparkrelease.dev/run"] == RUN
    assert "ownerReferences" not in metadata


async def test_stored_evidence_cannot_be_edited(cluster: Cluster, key: ObjectKey, store: ConfigMapEvidence) -> None:
    names = await store.store(key, RUN, 0, entries(1, 1))
    assert isinstance(names, tuple)
    with pytest.raises(ApiError, match="immutable"):
        cluster.patch("v1", "ConfigMap", names[0], key.namespace, {"data": {"entries.jsonl": "nothing happened\n"}})


async def test_storing_again_after_a_lost_reply_is_success(key: ObjectKey, store: ConfigMapEvidence) -> None:
    first = await store.store(key, RUN, 0, entries(1, 2))
    assert await store.store(key, RUN, 0, entries(1, 2)) == first


async def test_more_entries_after_a_lost_reply_are_stored_behind_the_first(
    key: ObjectKey, store: ConfigMapEvidence
) -> None:
    await store.store(key, RUN, 0, entries(1, 2))
    names = await store.store(key, RUN, 0, entries(1, 4))
    assert isinstance(names, tuple)
    assert len(names) == 2
    assert await store.load(key.namespace, names) == entries(1, 4)


async def test_other_entries_under_the_same_name_are_a_problem_and_change_nothing(
    key: ObjectKey, store: ConfigMapEvidence
) -> None:
    names = await store.store(key, RUN, 0, entries(1, 2))
    assert isinstance(names, tuple)
    other = await store.store(key, RUN, 0, entries(5, 6))
    assert isinstance(other, Problem)
    assert other.reason is Reason.EVIDENCE_DIFFERS
    assert await store.load(key.namespace, names) == entries(1, 2)


async def test_what_is_too_large_for_one_config_map_is_split_and_nothing_is_lost(
    key: ObjectKey, store: ConfigMapEvidence
) -> None:
    many = entries(1, 30, size=20_000) + entries(31, 31, size=600_000) + entries(32, 33)
    names = await store.store(key, RUN, 0, many)
    assert isinstance(names, tuple)
    assert len(names) > 2
    assert await store.load(key.namespace, names) == many


async def test_evidence_that_is_gone_is_named(key: ObjectKey, cluster: Cluster, store: ConfigMapEvidence) -> None:
    names = await store.store(key, RUN, 0, entries(1, 2))
    assert isinstance(names, tuple)
    cluster.client(PRUNER).delete("v1", "ConfigMap", names[0], key.namespace)
    problem = await store.load(key.namespace, names)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.EVIDENCE_MISSING
    assert names[0] in problem.message


async def test_pruning_deletes_other_runs_of_this_release_alone(
    cluster: Cluster, clients: ApiClients, key: ObjectKey
) -> None:
    store = ConfigMapEvidence(clients.normal, pruner=clients.pruner)
    neighbour = ObjectKey(key.namespace, "shop-2")
    kept = [
        *(await stored(store, key, "v3-cccccc")),
        *(await stored(store, neighbour, "v1-aaaaaa")),
    ]
    await stored(store, key, "v1-aaaaaa")
    await stored(store, key, "v2-bbbbbb")
    assert await store.prune(key, 1, "v3-cccccc") is None
    left = cluster.list("v1", "ConfigMap", key.namespace, labels="sparkrelease.dev/evidence=true")
    assert sorted(item["metadata"]["name"] for item in left) == sorted(kept)


async def stored(store: ConfigMapEvidence, key: ObjectKey, run: str) -> tuple[str, ...]:
    names = await store.store(key, run, 0, entries(1, 2))
    assert isinstance(names, tuple)
    return names


async def test_without_a_pruning_account_nothing_is_deleted_and_that_is_said(
    cluster: Cluster, key: ObjectKey, store: ConfigMapEvidence
) -> None:
    names = await stored(store, key, RUN)
    problem = await store.prune(key, 1, "v9-ffffff")
    assert problem is not None
    assert problem.reason is Reason.EVIDENCE_KEPT
    assert await store.load(key.namespace, names) == entries(1, 2)


async def test_an_account_without_rights_gets_a_problem(cluster: Cluster, key: ObjectKey) -> None:
    nobody = Identity(kubeconfig=cluster.kubeconfig(ServiceAccount(key.namespace, "default")))
    clients = await open_clients(OperatorConfig(), nobody)
    try:
        answer = await ConfigMapEvidence(clients.normal).store(key, RUN, 0, entries(1, 1))
    finally:
        await clients.close()
    assert isinstance(answer, Problem)
    assert answer.reason is Reason.FORBIDDEN


async def test_a_namespace_that_goes_away_is_told_from_missing_rights(
    cluster: Cluster, key: ObjectKey, store: ConfigMapEvidence
) -> None:
    blocker = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "blocker", "namespace": key.namespace, "finalizers": ["example.org/wait"]},
    }
    cluster.create(blocker)
    cluster.delete("v1", "Namespace", key.namespace)
    try:
        answer = await store.store(key, RUN, 0, entries(1, 1))
    finally:
        cluster.patch("v1", "ConfigMap", "blocker", key.namespace, {"metadata": {"finalizers": []}})
    assert isinstance(answer, Problem)
    assert answer.reason is Reason.NAMESPACE_TERMINATING
