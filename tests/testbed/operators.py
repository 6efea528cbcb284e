"""The operator as local processes, each under the operator's own ServiceAccount."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import addresses
from testbed.paths import PROJECT, python_environment
from testbed.processes import ManagedProcess, stop_all

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL at the end."""


@dataclass(frozen=True)
class OperatorProcess:
    """One operator process: `python -m sparkrelease run --config FILE`."""

    identity: str
    process: ManagedProcess

    @property
    def running(self) -> bool:
        return self.process.running

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.kill(number)

    def freeze(self) -> None:
        self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def restart(self) -> None:
        self.process.restart()

    def stop(self) -> None:
        self.process.stop(GRACE)

    def log(self) -> str:
        return self.process.log()


@dataclass(frozen=True)
class OperatorProcesses:
    """All processes of one operator; see `testbed.cluster.Operator`."""

    instances: Sequence[OperatorProcess]

    @property
    def identity(self) -> str:
        return ",".join(one.identity for one in self.instances)

    @property
    def running(self) -> bool:
        return all(one.running for one in self.instances)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        for one in self.instances:
            one.kill(number)

    def freeze(self) -> None:
        for one in self.instances:
            one.freeze()

    def thaw(self) -> None:
        for one in self.instances:
            one.thaw()

    def restart(self) -> None:
        for one in self.instances:
            one.restart()

    def stop(self) -> None:
        stop_all([one.process for one in self.instances], grace=GRACE)

    def log(self) -> str:
        return "\n".join(f"==== {one.identity}\n{one.log()}" for one in self.instances)


def start(
    folder: Path,
    names: Sequence[str],
    *,
    config: Path,
    kubeconfig: Path,
    namespace: str,
    args: Sequence[str],
    env: Mapping[str, str],
) -> OperatorProcesses:
    """Starts one process per name; the name is what it calls itself (`POD_NAME`, as its Deployment would say)."""
    instances = []
    for index, name in enumerate(names):
        inside = {
            **python_environment(PROJECT / "operator"),
            "KUBECONFIG": str(kubeconfig),
            "PYTHONUNBUFFERED": "1",
            "POD_NAME": name,
            "POD_NAMESPACE": namespace,
            "POD_IP": f"{addresses.OPERATORS}{index + 1}",  # ports are fixed, so each has its own address
            **env,
        }
        command = [sys.executable, "-m", "sparkrelease", "run", "--config", str(config), *args]
        process = ManagedProcess(name, command, folder, inside)
        process.start()
        instances.append(OperatorProcess(name, process))
    return OperatorProcesses(instances)
