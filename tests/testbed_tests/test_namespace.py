"""A namespace of one's own: with and without root, and refused when it would be too late."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.liveness import start_time
from testbed.paths import python_environment
from testbed.waiting import wait_for

# From inside, because the interpreter may lie where only root can look. Changing the user makes /proc/self belong to
# root until the process says that it may be dumped (PR_SET_DUMPABLE), as one that nobody started may be.
BECOME_NOBODY = """
import ctypes, encodings.idna, os  # idna: later it cannot be read
from testbed import namespace
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
"""

BIND_A_POD_ADDRESS = """
import socket
from testbed import namespace
namespace.enter()
server = socket.create_server(("10.244.7.7", 8080))
client = socket.create_connection(("10.244.7.7", 8080), timeout=5)
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print("bound; outside:", error.strerror)
"""

LATE = """
import threading
from testbed import namespace
threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    namespace.enter()
except namespace.NamespaceError as error:
    print(error)
"""

REFUSED = """
from testbed import namespace
def refuse(flags):
    raise PermissionError(1, "not permitted")
namespace._unshare = refuse
try:
    namespace.enter()
except namespace.NamespaceError as error:
    print(error)
"""

WITH_THREADS = """
import subprocess, sys, threading
from pathlib import Path
from testbed import namespace
threading.Thread(target=threading.Event().wait, daemon=True).start()
namespace.enter()
own = "import os; from testbed import namespace; namespace.enter(); print(os.readlink('/proc/self/ns/net'))"
child = subprocess.run([sys.executable, "-c", own], check=True, capture_output=True, text=True).stdout
print(Path("/proc/self/ns/net").readlink(), child)
"""

STARTER = """
import subprocess, sys, time
script = "import time; print('up', flush=True); time.sleep(60)"
pipe = subprocess.PIPE
inside = subprocess.Popen([sys.executable, "-m", "testbed.inside", "-c", script], stdout=pipe, text=True)
inside.stdout.readline()
print(inside.pid, flush=True)
time.sleep(60)
"""

REFUSED_BEFORE = REFUSED.replace("try:", "namespace.enter_for_successor()\nnamespace._unshare = None\ntry:")


def run(script: str, *module: str) -> str:
    env = python_environment()
    command = [sys.executable, *module, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_any_pod_address_can_be_bound_and_nothing_outside_is_reached() -> None:
    assert run(BIND_A_POD_ADDRESS) == "bound; outside: Network is unreachable"


@pytest.mark.skipif(os.getuid() != 0, reason="the test above ran without root already")
def test_no_root_is_needed() -> None:
    assert run(BECOME_NOBODY + BIND_A_POD_ADDRESS) == "bound; outside: Network is unreachable"


@pytest.mark.slow
def test_entering_after_threads_have_started_is_refused_with_the_reason() -> None:
    assert "before threads start" in run(LATE)


def test_a_program_that_begins_inside_may_have_threads_and_its_children_a_network_of_their_own() -> None:
    networks = {*run(WITH_THREADS, "-m", "testbed.inside").split(), str(Path("/proc/self/ns/net").readlink())}
    assert len(networks) == 3


def test_a_program_that_begins_inside_ends_with_who_started_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], env=python_environment(), stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        inside = int(starter.stdout.readline())
        assert start_time(inside) is not None
        starter.kill()
    wait_for("end of the program", lambda: start_time(inside) is None, timeout=5)


def test_a_program_that_was_to_begin_inside_and_could_not_is_told_why() -> None:
    assert "make e2e-kind" in run(REFUSED_BEFORE)


def test_a_machine_without_namespaces_is_told_of_the_other_lane() -> None:
    assert "make e2e-kind" in run(REFUSED)
