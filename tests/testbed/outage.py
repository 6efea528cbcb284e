"""Outages of one process, ended only when it works again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.processes import ManagedProcess


@dataclass(frozen=True)
class ProcessOutage:
    """See `testbed.cluster.Outage`; `wait_ready` returns when the process serves again."""

    process: ManagedProcess
    wait_ready: Callable[[], None]

    def pause(self) -> None:
        self.process.freeze()

    def resume(self) -> None:
        self.process.thaw()

    def stop(self) -> None:
        self.process.stop(grace=5)

    def start(self) -> None:
        if not self.process.running:
            self.process.start()
            self.wait_ready()

    def restart(self) -> None:
        self.process.restart()
        self.wait_ready()
