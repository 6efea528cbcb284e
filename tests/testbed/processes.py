"""Processes that end when we do, however we end; with their logs kept, and outages that can be made to happen."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from testbed.liveness import start_time, stopped
from testbed.waiting import wait_for

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


@cache
def _spawner() -> ThreadPoolExecutor:
    """The one thread that starts processes.

    The kernel's parent-death signal comes when the *thread* that forked ends, not the process: what a passing test
    thread started would die with it. This thread lives as long as the interpreter.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass
class ManagedProcess:
    """One program with fixed arguments that can be started, ended, frozen and started again.

    Attributes:
        name: name of its log file.
        argv: command line.
        folder: working directory; the log is `log/<name>.log` below it.
        env: added to the environment it inherits.
        isolated_env: `env` is all it gets.
    """

    name: str
    argv: Sequence[str | Path]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    isolated_env: bool = False
    _popen: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        return self.folder / "log" / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Process id.

        Raises:
            RuntimeError: it was never started.
        """
        if self._popen is None:
            raise RuntimeError(f"{self.name}: not started")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or before it started); negative for the signal that ended it."""
        return self._popen.poll() if self._popen else None

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Starts it; nothing happens when it runs."""
        if not self.running:
            self._popen = _spawner().submit(self._spawn).result()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process itself, if it runs."""
        if self._popen is not None and self.running:
            self._popen.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and its memory, and answers nothing from the moment this returns."""
        self.send(signal.SIGSTOP)
        wait_for(f"{self.name} stopped", lambda: not self.running or stopped(self.pid), every=0.001)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self, number: signal.Signals = signal.SIGKILL, timeout: float = 10.0) -> None:
        """Sends the signal and waits until the process is gone."""
        self.send(number)
        if self._popen is not None:
            self._popen.wait(timeout)

    def stop(self, grace: float = 2.0) -> None:
        """SIGTERM, then after `grace` seconds SIGKILL; a frozen process is thawed first."""
        if self._popen is None:
            return
        self.send(signal.SIGTERM)
        self.thaw()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(grace)
        self.kill()

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it with the signal and starts it with the same arguments."""
        self.kill(number)
        self.start()

    def log(self) -> str:
        """Everything it wrote so far, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def require_running(self) -> None:
        """Raises RuntimeError, with the end of the log, when the process has ended."""
        if not self.running:
            raise RuntimeError(f"{self.name} ended with {self.exit_code}; end of its log:\n{self.log()[-3000:]}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(self.env) if self.isolated_env else {**os.environ, **self.env}
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=DieWith(os.getpid()),  # noqa: PLW1509 - what runs there takes no lock
            )


@dataclass(frozen=True)
class DieWith:
    """Called in a child, before exec: SIGKILL when the thread that started it ends, also when it ended just now."""

    parent: int

    def __call__(self) -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.parent:
            os._exit(1)


def stop_all(processes: Sequence[ManagedProcess], grace: float = 1.0) -> None:
    """Ends all of them, asking all at once and together for at most `grace` seconds, then by SIGKILL."""
    for process in processes:
        process.send(signal.SIGTERM)
        process.thaw()
    with contextlib.suppress(TimeoutError):
        wait_for("end", lambda: not any(p.running for p in processes), timeout=grace, every=0.02)
    for process in processes:
        process.kill()


def end_stranger(pid: int, started: int, grace: float = 5.0) -> None:
    """Ends a process that is not our child, known by pid and start time: SIGTERM, then SIGKILL after `grace`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if start_time(pid) != started:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            wait_for("end", lambda: start_time(pid) != started, timeout=grace, every=0.02)
