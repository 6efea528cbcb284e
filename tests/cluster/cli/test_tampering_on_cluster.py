"""Somebody got hold of the two accounts that may create and delete evidence; `evidence verify` names what they did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.kubernetes.client import Identity, open_clients
from sparkrelease.adapters.kubernetes.evidence import ConfigMapEvidence
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import canonical_json, link
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.ports.cluster import ObjectKey
from testbed.product import OPERATOR, PRUNER

if TYPE_CHECKING:
    from cluster.cli.terminal import Person
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

API = "sparkrelease.dev/v1alpha1"
RUN = "v2-6c1f0a"
KINDS = [Reason.RUN_STARTED, Reason.STAGE_ENTERED, Reason.GATE_PASSED, Reason.STAGE_ENTERED, Reason.TRIGGER_FIRED]


def chain_for(ns: str, run: str = RUN, message: str = "entry") -> tuple[list[str], str]:
    lines, head = [], ""
    for number, kind in enumerate(KINDS, start=1):
        at = datetime(2026, 11, 21, 10, 0, number, tzinfo=UTC)
        draft = EntryDraft(kind, f"{message} {number}", {"weight": 5.0 * number, "for": timedelta(minutes=1)})
        one = link(head, number, at=at, release=f"{ns}/shop", run=run, draft=draft)
        lines.append(one.line)
        head = one.digest
    return lines, head


@pytest.fixture
async def stored(cluster: Cluster, ns: str, release: KubeObject) -> list[str]:
    """Five entries in three ConfigMaps, written by the operator's own adapter and known to the status."""
    clients = await open_clients(OperatorConfig(), Identity(kubeconfig=cluster.kubeconfig(OPERATOR)))
    store = ConfigMapEvidence(clients.normal)
    lines, head = chain_for(ns)
    names: list[str] = []
    for first, last in ((0, 2), (2, 4), (4, 5)):
        answer = await store.store(ObjectKey(ns, "shop"), RUN, len(names), lines[first:last])
        assert isinstance(answer, tuple)
        names += answer
    await clients.close()
    evidence = {"head": head, "entries": len(lines), "configMaps": names}
    cluster.patch(API, "SparkRelease", "shop", ns, {"status": {"evidence": evidence}}, subresource="status")
    end = {"status": {"run": {"end": "RolledBack"}}}
    cluster.patch(API, "SparkRelease", "shop", ns, end, subresource="status")
    return names


def rewrite(cluster: Cluster, ns: str, name: str, change: Callable[[list[str]], list[str]]) -> None:
    """What nobody can do in place: deletes the ConfigMap as one account and creates it anew as the other."""
    body = cluster.get("v1", "ConfigMap", name, ns)
    lines = body["data"]["entries.jsonl"].splitlines()
    cluster.client(PRUNER).delete("v1", "ConfigMap", name, ns)
    kept = {key: body["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    text = "".join(f"{line}\n" for line in change(lines))
    data = {"entries.jsonl": text}
    forged = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept, "immutable": True, "data": data}
    cluster.client(OPERATOR).create(forged)


def replaced(by: list[str], _: list[str]) -> list[str]:
    return by


def edited(line: str) -> str:
    return canonical_json({**json.loads(line), "message": "all was well"})


def test_untouched_evidence_is_confirmed_with_its_head(ns: str, person: Person, stored: list[str]) -> None:
    done = person.run("evidence", "verify", "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 entries in 3 ConfigMaps, every link holds" in done.stdout
    assert chain_for(ns)[1] in done.stdout


@pytest.mark.parametrize(
    ("place", "change", "told"),
    [
        (1, lambda lines: [lines[0], edited(lines[1])], r"Changed +entry 4 "),
        (1, lambda lines: lines[1:], r"Dropped +entry 3 "),
        (1, lambda lines: [lines[1], lines[0]], r"Swapped +entry 3 "),
        (1, lambda lines: [lines[0], lines[0], lines[1]], r"Repeated +entry 3 "),
        (1, lambda lines: ["not an entry", lines[1]], r"NotJson +entry 3 "),
        (0, lambda lines: lines[1:], r"Dropped +entry 1 "),
    ],
)
def test_tampering_is_found_and_named(
    *,
    cluster: Cluster,
    ns: str,
    person: Person,
    stored: list[str],
    place: int,
    change: Callable[[list[str]], list[str]],
    told: str,
) -> None:
    rewrite(cluster, ns, stored[place], change)
    done = person.run("evidence", "verify", "shop")
    assert done.returncode == 1
    assert re.search(told, done.stdout)
    assert f"ConfigMap {stored[place]}" in done.stdout


@pytest.mark.parametrize(("gone", "first"), [(0, 1), (1, 3), (2, 5)])
def test_a_deleted_config_map_is_named_with_the_first_entry_it_held(
    *, cluster: Cluster, ns: str, person: Person, stored: list[str], gone: int, first: int
) -> None:
    cluster.client(PRUNER).delete("v1", "ConfigMap", stored[gone], ns)
    done = person.run("evidence", "verify", "shop")
    assert done.returncode == 1
    assert f"ConfigMap {stored[gone]} is gone" in done.stdout
    assert f"entry {first} is missing" in done.stdout


def test_a_chain_hashed_again_as_a_whole_is_given_away_by_the_head(
    cluster: Cluster, ns: str, person: Person, stored: list[str]
) -> None:
    forged, _ = chain_for(ns, message="nothing to see")
    for name, part in zip(stored, (forged[:2], forged[2:4], forged[4:]), strict=True):
        rewrite(cluster, ns, name, partial(replaced, part))
    done = person.run("evidence", "verify", "shop")
    assert done.returncode == 1
    assert "Rehashed" in done.stdout


def test_evidence_outlives_its_release_and_can_still_be_checked(
    cluster: Cluster, ns: str, person: Person, stored: list[str]
) -> None:
    cluster.delete(API, "SparkRelease", "shop", ns)
    done = person.run("evidence", "verify", "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the status does not remember this run" in done.stdout
    shown = person.run("evidence", "show", "shop", "--run", RUN)
    assert len(shown.stdout.splitlines()) == 1 + len(KINDS)


def test_show_prints_a_line_per_entry_or_the_entries_themselves(ns: str, person: Person, stored: list[str]) -> None:
    table = person.run("evidence", "show", "shop").stdout.splitlines()
    assert table[1].split() == ["1", "2026-11-21", "10:00:01", "RunStarted", "entry", "1"]
    entries = json.loads(person.run("evidence", "show", "shop", "-o", "json").stdout)
    assert [canonical_json(entry) for entry in entries] == chain_for(ns)[0]


def test_a_run_nobody_knows_is_exit_code_3(person: Person, stored: list[str]) -> None:
    done = person.run("evidence", "verify", "shop", "--run", "v9-000000")
    assert done.returncode == 3
    assert RUN in done.stderr


def test_a_run_without_evidence_yet_says_so(person: Person, release: KubeObject) -> None:
    done = person.run("evidence", "verify", "shop")
    assert (done.returncode, "no evidence yet" in done.stdout) == (0, True)
