"""One leader at a time, on a real API server, with real processes that die and freeze."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkrelease.adapters.kubernetes.client import ApiClients
from sparkrelease.adapters.lease import LeaseHolder, new_identity
from sparkrelease.api.config import LeaseConfig
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

DURATION, RENEW, DEADLINE = 3.0, 0.3, 2.0
SLACK = 1.0
"""Seconds a busy machine may add to what a clock decides."""

SCRIPT = Path(__file__).with_name("lease_process.py")


class Contender:
    """A process that wants the Lease, and what it said so far."""

    def __init__(self, cluster: Cluster, ns: str, log: Path) -> None:
        self._log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, SCRIPT, cluster.kubeconfig(), ns, str(DURATION), str(RENEW), str(DEADLINE)], stdout=out
            )

    def said(self, what: str) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines(keepends=True)
        words = [json.loads(line) for line in lines if line.endswith("\n")]
        return [word for word in words if word["what"] == what]

    def looks(self) -> None:
        """Returns once it wants the Lease: an interpreter may take its time to start."""
        wait_for("the process to be up", lambda: self.said("up"), timeout=60)

    def leads(self) -> dict[str, Any]:
        """Its word of having started, once it has."""
        return wait_for("the Lease to be taken", lambda: next(iter(self.said("started")), None), timeout=60)


@pytest.fixture
def contender(cluster: Cluster, ns: str, tmp_path: Path) -> Iterator[Callable[[], Contender]]:
    started: list[Contender] = []

    def start() -> Contender:
        started.append(Contender(cluster, ns, tmp_path / f"{len(started)}.jsonl"))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def lease(cluster: Cluster, ns: str) -> KubeObject:
    spec: KubeObject = cluster.get("coordination.k8s.io/v1", "Lease", "leader", ns)["spec"]
    return spec


def never_both(one: Contender, other: Contender) -> bool:
    """Whether everything one of them believed ended before the other one began to."""
    first, second = ([word["at"] for word in each.said("valid")] for each in (one, other))
    return not first or not second or max(first) < min(second) or max(second) < min(first)


def test_of_two_processes_one_leads(cluster: Cluster, ns: str, contender: Callable[[], Contender]) -> None:
    one, other = contender(), contender()
    one.looks()
    other.looks()
    wait_for("a leader", lambda: one.said("started") or other.said("started"), timeout=20)
    leader, follower = (one, other) if one.said("started") else (other, one)
    until = time.monotonic() + DURATION + SLACK
    wait_for("a whole duration", lambda: time.monotonic() > until, timeout=20)
    assert follower.said("started") == []
    assert follower.said("valid") == []
    assert leader.said("valid")[-1]["at"] > until - SLACK
    spec = lease(cluster, ns)
    assert spec["holderIdentity"] == leader.said("started")[0]["identity"]
    assert spec["leaseTransitions"] == leader.said("started")[0]["epoch"]
    renewed = datetime.fromisoformat(spec["renewTime"])
    assert abs(datetime.now(renewed.tzinfo) - renewed) < timedelta(seconds=2)


def test_a_killed_leader_is_followed_by_one_with_a_higher_epoch(
    cluster: Cluster, ns: str, contender: Callable[[], Contender]
) -> None:
    one = contender()
    first = one.leads()
    other = contender()
    other.looks()
    one.process.kill()
    killed = time.monotonic()
    second = other.leads()
    assert second["epoch"] == first["epoch"] + 1
    assert second["at"] - killed > DURATION - RENEW - SLACK, "nobody may take a Lease before it ran out"
    assert never_both(one, other)


def test_a_frozen_leader_that_comes_back_does_not_believe_it_leads(
    cluster: Cluster, ns: str, contender: Callable[[], Contender]
) -> None:
    one = contender()
    first = one.leads()
    other = contender()
    other.looks()
    one.process.send_signal(signal.SIGSTOP)
    second = other.leads()
    assert second["epoch"] == first["epoch"] + 1
    one.process.send_signal(signal.SIGCONT)
    assert one.process.wait(timeout=10) == 3
    assert one.said("lost")[0]["valid"] is False
    assert max(word["at"] for word in one.said("valid")) < second["at"]
    assert never_both(one, other)


def test_a_stopped_leader_hands_over_at_once(cluster: Cluster, ns: str, contender: Callable[[], Contender]) -> None:
    one = contender()
    first = one.leads()
    other = contender()
    other.looks()
    one.process.terminate()
    assert one.process.wait(timeout=5) == 0
    ended = one.said("ended")[0]
    assert ended["valid"] is False
    second = other.leads()
    assert second["at"] - ended["at"] < DURATION
    assert second["epoch"] == first["epoch"] + 1
    assert never_both(one, other)


@pytest.mark.parametrize("outage", ["pause", "stop"])
async def test_a_holder_that_cannot_renew_gives_up_at_its_deadline(
    cluster: Cluster, ns: str, clients: ApiClients, outage: str
) -> None:
    holder = make_holder(clients, ns)
    started, lost = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(holder.run(started.set, lambda why: lost.set_result((why, datetime.now(UTC)))))
    await asyncio.wait_for(started.wait(), 10)
    end, begin = {
        "stop": (cluster.apiserver.start, cluster.apiserver.stop),
        "pause": (cluster.apiserver.resume, cluster.apiserver.pause),
    }[outage]
    await asyncio.to_thread(begin)
    try:
        why, at = await asyncio.wait_for(lost, DEADLINE + 5)
    finally:
        await asyncio.to_thread(end)
    await running
    assert not holder.valid_for(0)
    assert holder.epoch == 0
    assert "deadline" in why
    silent = (at - datetime.fromisoformat(lease(cluster, ns)["renewTime"])).total_seconds()
    assert DEADLINE - RENEW - SLACK < silent < DEADLINE + SLACK


async def test_a_lease_made_anew_never_brings_an_old_epoch_back(cluster: Cluster, ns: str, clients: ApiClients) -> None:
    epochs: list[int] = []
    ended: list[str] = []
    for _ in range(2):
        holder = make_holder(clients, ns)
        started = asyncio.Event()
        running = asyncio.create_task(holder.run(started.set, ended.append))
        await asyncio.wait_for(started.wait(), 10)
        epochs.append(holder.epoch)
        cluster.delete("coordination.k8s.io/v1", "Lease", "leader", ns)
        await asyncio.wait_for(running, 10)
        await asyncio.sleep(1)
    assert len(ended) == 2
    assert 0 < epochs[0] < epochs[1]


async def test_a_holder_whose_lease_somebody_took_stops_at_once(cluster: Cluster, ns: str, clients: ApiClients) -> None:
    holder = make_holder(clients, ns)
    started, lost = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(holder.run(started.set, lost.set_result))
    await asyncio.wait_for(started.wait(), 10)
    cluster.patch("coordination.k8s.io/v1", "Lease", "leader", ns, {"spec": {"holderIdentity": "somebody else"}})
    assert "somebody else" in await asyncio.wait_for(lost, DEADLINE)
    await running
    assert not holder.valid_for(0)


def make_holder(clients: ApiClients, ns: str) -> LeaseHolder:
    config = LeaseConfig(
        namespace=ns,
        name="leader",
        duration=timedelta(seconds=DURATION),
        renew=timedelta(seconds=RENEW),
        deadline=timedelta(seconds=DEADLINE),
    )
    return LeaseHolder(clients.normal, config, new_identity())
