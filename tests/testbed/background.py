"""A local cluster that stays: a supervisor in the background owns it, and ends it when it is told to or dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from testbed import namespace
from testbed.liveness import start_time
from testbed.local import LocalCluster
from testbed.paths import cache, python_environment
from testbed.processes import end_stranger
from testbed.waiting import wait_for

START_TIMEOUT = 180.0
"""Seconds a busy machine may take to bring everything up."""


class NoClusterError(RuntimeError):
    """No cluster of that name runs, or it did not start."""


@dataclass(frozen=True)
class State:
    """A running cluster, as its supervisor wrote it down.

    Attributes:
        pid: the supervisor's.
        started: the supervisor's start, in clock ticks; with the pid it is the process and no other.
        processes: name and pid of each part.
    """

    pid: int
    started: int
    folder: str
    kubeconfig: str
    search_path: str
    gateway_url: str
    prometheus_url: str
    processes: dict[str, int]


def folder(name: str) -> Path:
    return cache() / "clusters" / name


def find(name: str) -> State | None:
    """The cluster, if it runs."""
    try:
        state = State(**json.loads((folder(name) / "state.json").read_text()))
    except FileNotFoundError:
        return None
    return state if start_time(state.pid) == state.started else None


def require(name: str) -> State:
    """The cluster.

    Raises:
        NoClusterError: it does not run.
    """
    state = find(name)
    if state is None:
        raise NoClusterError(f"no cluster {name!r} is running: python -m testbed up")
    return state


def up(name: str) -> State:
    """Starts the cluster, unless it runs, and returns when it is ready; it outlives this process.

    Raises:
        NoClusterError: it did not start; with the end of the supervisor's log.
    """
    if running := find(name):
        return running
    place = folder(name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, mode=0o700)
    log_path = place.with_name(f"{name}.log")  # beside the folder: that goes when the start fails
    with log_path.open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "testbed", "supervise", "--name", name],
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ready() -> State | None:
        if supervisor.poll() is not None:
            raise NoClusterError(f"the cluster did not start:\n{log_path.read_text()[-3000:]}")
        return find(name)

    return wait_for("cluster", ready, timeout=START_TIMEOUT)


def supervise(name: str) -> None:
    """Runs the cluster in this process until SIGTERM or SIGINT."""
    namespace.enter()
    finished = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: finished.set())
    cluster = LocalCluster(folder(name))
    try:
        cluster.start()
        cluster.install()
        _write_state(cluster)
        finished.wait()
    finally:
        cluster.close()


def down(name: str) -> bool:
    """Ends the cluster; False when none was running."""
    state = find(name)
    if state is not None:
        end_stranger(state.pid, state.started, grace=15)
    shutil.rmtree(folder(name), ignore_errors=True)
    return state is not None


def enter_and_run(name: str, command: Sequence[str]) -> NoReturn:
    """Becomes `command` in the cluster's network, with KUBECONFIG and PATH set.

    Raises:
        NoClusterError: the cluster does not run.
        NamespaceError: its namespaces cannot be entered.
    """
    state = require(name)
    namespace.join(state.pid)
    environment = {**os.environ, "KUBECONFIG": state.kubeconfig, "PATH": state.search_path}
    os.execvpe(command[0], list(command), environment)


def _write_state(cluster: LocalCluster) -> None:
    pid = os.getpid()
    state = State(
        pid=pid,
        started=start_time(pid) or 0,
        folder=str(cluster.folder),
        kubeconfig=str(cluster.kubeconfig()),
        search_path=cluster.search_path(),
        gateway_url=cluster.gateway_url,
        prometheus_url=cluster.prometheus_url,
        processes={process.name: process.pid for process in cluster.processes},
    )
    unfinished = cluster.folder / "state.tmp"
    unfinished.write_text(json.dumps(asdict(state)))
    unfinished.rename(cluster.folder / "state.json")
