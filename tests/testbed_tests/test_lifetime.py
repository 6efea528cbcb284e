"""A whole cluster's life: quick to come, gone with its owner however that ends, and never alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed import background
from testbed.liveness import start_time
from testbed.paths import PROJECT, python_environment
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster

OWNER = """
import json, os, sys
from testbed import namespace
namespace.enter()
from testbed.local import LocalCluster
cluster = LocalCluster()
cluster.start()
ns = cluster.namespace()
cluster.deploy_app(ns, "shop", "v1")
pids = {process.name: process.pid for process in cluster.processes}
children = f"/proc/{pids['kubelet']}/task"
for task in os.listdir(children):
    for pid in open(f"{children}/{task}/children").read().split():
        pids[f"pod-{pid}"] = int(pid)
print(json.dumps({"pids": pids, "started": cluster.started_in}), flush=True)
sys.stdin.read()
cluster.close()
"""


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    env = python_environment()
    command = [sys.executable, "-c", OWNER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, text=True, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        try:
            yield process, json.loads(process.stdout.readline())["pids"]
        finally:
            process.kill()


@pytest.fixture
def local(cluster: Cluster) -> Cluster:
    """The session's cluster, if its process owns it."""
    if cluster.lane != "local":
        pytest.skip("a kind cluster is Docker's, not the test run's")
    return cluster


@pytest.mark.slow
def test_nothing_outlives_a_killed_run(local: Cluster) -> None:
    with owner() as (process, pids):
        assert any(name.startswith("pod-") for name in pids)
        assert all(start_time(pid) is not None for pid in pids.values())
        process.kill()
        wait_for("end of all", lambda: all(start_time(pid) is None for pid in pids.values()), timeout=5)


@pytest.mark.slow
def test_two_clusters_live_side_by_side_and_know_nothing_of_each_other(local: Cluster) -> None:
    ns = local.namespace("only-here")
    with owner() as (process, pids):
        assert local.get("v1", "Namespace", ns)["status"]["phase"] == "Active"
        assert not any(obj["metadata"]["name"] == "shop" for obj in local.list("apps/v1", "Deployment"))
        process.communicate("")  # lets it close its cluster
        assert process.returncode == 0
        assert all(start_time(pid) is None for pid in pids.values())
    assert local.api.ready()


@pytest.mark.slow
def test_a_cluster_that_was_asked_to_stay_stays_until_it_is_told_to_go(local: Cluster) -> None:
    name = f"test-{os.getpid()}"

    def testbed(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "testbed", words[0], "--name", name, *words[1:]]
        env = python_environment()
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)

    assert testbed("status").returncode == 1
    try:
        started = testbed("up")
        assert started.returncode == 0, started.stderr
        assert "testbed-node" in testbed("run", "kubectl", "get", "nodes").stdout
        assert testbed("status").stderr.count("running") == len(local_processes(name))
    finally:
        pids = local_processes(name)
        stopped = testbed("down")
    assert "is down" in stopped.stderr
    assert all(start_time(pid) is None for pid in pids)


SHARED_OUT = """
import os
from pathlib import Path
import pytest

@pytest.mark.cluster
@pytest.mark.parametrize("number", [1, 2])
def test_notes_its_network(number):
    Path(__file__).with_name(f"{Path(__file__).stem}-{number}").write_text(os.readlink("/proc/self/ns/net"))
"""
FAILS = """
import pytest

@pytest.mark.cluster
def test_fails():
    assert "water" == "wine"
"""


@pytest.mark.slow
def test_files_are_shared_out_among_networks_and_one_summary_closes_the_run(local: Cluster, tmp_path: Path) -> None:
    for name, text in (("a", SHARED_OUT), ("b", SHARED_OUT), ("c", FAILS)):
        (tmp_path / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-c", str(PROJECT / "pyproject.toml")]
    command += ["--rootdir", str(tmp_path), "--clusters", "2", "-m", "cluster", str(tmp_path)]
    env = python_environment(PROJECT / "operator")
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "'water' == 'wine'" in done.stdout
    assert "cluster lane local: 5 of 5 tests ran" in done.stdout
    assert re.match(r"1 failed, 4 passed in [0-9.]+s", done.stdout.splitlines()[-1])
    networks = {name: {(tmp_path / f"test_{name}-{number}").read_text() for number in (1, 2)} for name in ("a", "b")}
    assert all(len(of_a_file) == 1 for of_a_file in networks.values()), "a file stays together"
    assert len({str(Path("/proc/self/ns/net").readlink())}.union(*networks.values())) == 3


def local_processes(name: str) -> list[int]:
    state = background.find(name)
    return list(state.processes.values()) if state else []
