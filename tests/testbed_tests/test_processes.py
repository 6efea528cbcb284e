"""Processes: nothing outlives us, outages can be made, and only the process that is meant is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from testbed import paths
from testbed.liveness import start_time
from testbed.paths import python_environment
from testbed.processes import ManagedProcess, end_stranger, stop_all
from testbed.waiting import wait_for

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
FOUR_BUSY_THREADS = """
import hashlib, threading
print("up", flush=True)
for _ in range(4):
    threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 10**9)).start()
"""
BUSY = [sys.executable, "-c", FOUR_BUSY_THREADS]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]
PARENT = """
import sys, time
from pathlib import Path
from testbed.processes import ManagedProcess
child = ManagedProcess("child", ["sleep", "60"], Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def started(process: ManagedProcess) -> ManagedProcess:
    process.start()
    wait_for("first line", lambda: "up" in process.log())
    return process


def test_a_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    env = python_environment()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], env=env, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert start_time(child) is not None
        parent.kill()
    wait_for("end of the child", lambda: start_time(child) is None, timeout=5)


def test_a_process_started_by_a_passing_thread_lives_on(tmp_path: Path) -> None:
    process = ManagedProcess("sleeper", SLEEPER, tmp_path)
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    wait_for("first line", lambda: "up" in process.log())
    assert process.running
    process.kill()


def test_restarted_it_is_another_process_with_the_same_log(tmp_path: Path) -> None:
    process = started(ManagedProcess("sleeper", SLEEPER, tmp_path))
    first = process.pid
    process.restart()
    wait_for("second start", lambda: process.log().count("up") == 2)
    assert process.pid != first
    process.kill()


def test_frozen_it_does_nothing_from_that_moment_on_and_can_still_be_stopped(tmp_path: Path) -> None:
    process = started(ManagedProcess("busy", BUSY, tmp_path))
    for _ in range(20):
        process.freeze()
        threads = list(Path(f"/proc/{process.pid}/task").glob("*/stat"))
        assert {thread.read_text().rpartition(")")[2].split()[0] for thread in threads} == {"T"}
        process.thaw()
    process.freeze()
    process.stop(grace=5)
    assert process.exit_code == -signal.SIGTERM


def test_one_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    process = started(ManagedProcess("stubborn", STUBBORN, tmp_path))
    stop_all([process], grace=0.2)
    assert process.exit_code == -signal.SIGKILL


def test_an_ended_process_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    process = ManagedProcess("failing", [sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)
    process.start()
    wait_for("end", lambda: not process.running)
    with pytest.raises(RuntimeError, match="no such thing"):
        process.require_running()


def test_another_process_that_got_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    process = started(ManagedProcess("sleeper", SLEEPER, tmp_path))
    now = start_time(process.pid)
    assert now is not None
    end_stranger(process.pid, now - 1)
    assert process.running
    end_stranger(process.pid, now)
    assert not process.running


def test_the_folder_of_a_killed_run_is_removed_by_the_next_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(paths, "ROOM_FOR_A_CLUSTER", 0)
    dead = tmp_path / f"sparkrelease-{os.getpid()}-1-abc"
    dead.mkdir()
    mine = paths.fresh_cluster_folder()
    assert not dead.exists()
    paths.fresh_cluster_folder()
    assert mine.exists()
