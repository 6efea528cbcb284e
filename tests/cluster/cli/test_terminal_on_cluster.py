"""The same program in a terminal: colours, a live screen, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from functools import partial
from typing import TYPE_CHECKING

import pytest
from urllib3.exceptions import HTTPError

from cluster.cli.terminal import PROGRAM, Person
from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

API = "sparkrelease.dev/v1alpha1"


class Terminal:
    """A pseudo terminal of 80 columns and 40 lines with the program in it."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self._read = bytearray()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        try:
            while chunk := os.read(self._screen, 65536):
                self._read += chunk
        except OSError:
            pass  # the other side is closed: the program ended

    @property
    def text(self) -> str:
        """All that was drawn so far."""
        return self._read.decode(errors="replace")

    def end(self) -> int:
        """Waits for the program's end; its exit code."""
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=5)
        return code


@contextmanager
def terminal(person: Person, *args: str, **environment: str) -> Iterator[Terminal]:
    screen, side = pty.openpty()
    ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "FORCE_COLOR"}}
    kubeconfig = str(person.cluster.kubeconfig())
    process = subprocess.Popen(
        [str(PROGRAM), *args, "-n", person.ns],
        stdout=side,
        stderr=side,
        stdin=side,
        env={**inherited, "TERM": "xterm-256color", "KUBECONFIG": kubeconfig, **environment},
        start_new_session=True,
    )
    os.close(side)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_a_terminal_gets_colours_and_80_columns(person: Person, release: KubeObject) -> None:
    with terminal(person, "status", "shop") as shown:
        assert shown.end() == 0
    assert "\x1b[" in shown.text
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.text)
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 80


def test_no_color_is_honoured_in_a_terminal(person: Person, release: KubeObject) -> None:
    with terminal(person, "status", "shop", NO_COLOR="1") as shown:
        assert shown.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown.text)


def test_watch_draws_the_next_status_by_itself_and_ends_with_ctrl_c(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    with terminal(person, "status", "shop", "--watch") as shown:
        wait_for("the first screen", lambda: "quarter" in shown.text)
        status = {"status": {"next": {"what": "something new"}}}
        cluster.patch(API, "SparkRelease", "shop", ns, status, subresource="status")
        wait_for("the second screen", lambda: "something new" in shown.text)
        shown.process.send_signal(signal.SIGINT)
        assert shown.end() == 130
    assert "Traceback" not in shown.text
    assert shown.text.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def test_watch_outlives_an_api_server_that_restarts_and_says_so_meanwhile(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    with terminal(person, "status", "shop", "--watch") as shown:
        wait_for("the first screen", lambda: "quarter" in shown.text)
        cluster.apiserver.stop()
        try:
            wait_for("the remark", lambda: "seen last at" in shown.text)
        finally:
            cluster.apiserver.start()
        status = {"status": {"next": {"what": "back again"}}}
        patch = partial(cluster.patch, API, "SparkRelease", "shop", ns, status, subresource="status")
        wait_for("the API server", patch, expected=(ApiError, HTTPError))
        wait_for("the next screen", lambda: "back again" in shown.text)
        assert "seen last at" not in shown.text[shown.text.rindex("back again") :]
        assert shown.process.poll() is None


def test_watch_in_a_pipe_prints_at_each_change(cluster: Cluster, ns: str, person: Person, release: KubeObject) -> None:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig()), "NO_COLOR": "1"}
    command = [str(PROGRAM), "status", "shop", "--watch", "-n", ns]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines: list[str] = []
            reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
            reader.start()
            wait_for("the first screen", lambda: any("Evidence" in line for line in lines))
            cluster.patch(API, "SparkRelease", "shop", ns, {"status": {"next": {"what": "more"}}}, subresource="status")
            wait_for("the second screen", lambda: any("more" in line for line in lines))
        finally:
            process.kill()
    reader.join(timeout=5)
    assert sum(line.startswith(f"{ns}/shop") for line in lines) == 2


@pytest.mark.parametrize("command", [["status", "shop"], ["list"]])
def test_a_reader_that_goes_away_ends_the_program_quietly(
    cluster: Cluster, ns: str, release: KubeObject, command: list[str]
) -> None:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig())}
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [str(PROGRAM), *command, "-n", ns], env=environment, stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert b"Traceback" not in done.stderr
