"""Watching a real release: its Events come from the API server, a pipe gets lines, and a browser's page its data."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import urllib3

from cluster.cli.terminal import PROGRAM, Person
from testbed.cluster import ADMIN
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject


def tell(cluster: Cluster, release: KubeObject, reason: str) -> None:
    """An Event about the release, as the operator posts it."""
    meta = release["metadata"]
    about = {key: meta[key] for key in ("name", "namespace", "uid")}
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"shop.{reason.lower()}", "namespace": meta["namespace"]},
            "involvedObject": {"apiVersion": "sparkrelease.dev/v1alpha1", "kind": "SparkRelease", **about},
            "reason": reason,
            "message": "stage quarter (1/2): canary weight 25",
            "type": "Normal",
            "firstTimestamp": "2026-11-21T10:00:01Z",
            "lastTimestamp": "2026-11-21T10:00:01Z",
        }
    )


def test_one_look_tells_events_and_leaves_with_unknown_where_nothing_was_measured(
    cluster: Cluster, person: Person, release: KubeObject
) -> None:
    tell(cluster, release, "StageEntered")
    done = person.run("watch", "shop", "--once")
    assert done.returncode == 8, done.stderr
    title = f"{person.ns}/shop"
    assert f"10:00:01 {title} event Normal StageEntered: stage quarter (1/2): canary weight 25" in done.stdout
    assert f"{title} v2 Progressing stage quarter (1/2) canary 25 % unknown:" in done.stdout


def test_a_pipe_gets_each_event_once_and_ctrl_c_ends_it(cluster: Cluster, person: Person, release: KubeObject) -> None:
    tell(cluster, release, "StageEntered")
    with started(person, "watch", "shop", "--every", "1s") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        tell(cluster, release, "GatePassed")
        while "GatePassed" not in lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert sum("StageEntered" in line for line in lines) == 1


def test_the_dashboard_shows_what_the_cluster_has(person: Person, release: KubeObject) -> None:
    with started(person, "dashboard", "--every", "1s") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")

        def seen() -> bool:
            data = urllib3.request("GET", f"{url}data.json", timeout=5, retries=False).json()
            return [one["name"] for one in data["releases"]] == [f"{person.ns}/shop"]

        wait_for("the release on the page", seen, timeout=20)
        assert b"page.js" in urllib3.request("GET", url, timeout=5, retries=False).data
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130


def started(person: Person, *args: str) -> subprocess.Popen[str]:
    """The program in the background, its output in a pipe."""
    environment = {**os.environ, "KUBECONFIG": str(person.cluster.kubeconfig(ADMIN)), "NO_COLOR": "1"}
    command = [str(PROGRAM), *args, "--namespace", person.ns]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
