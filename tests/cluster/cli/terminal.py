"""Somebody who runs the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from testbed.cluster import ADMIN, Cluster, Identity

PROGRAM = Path(sys.executable).with_name("kubectl-sparkrelease")


@dataclass(frozen=True)
class Person:
    """Somebody with a terminal (a pipe, really)."""

    cluster: Cluster
    ns: str

    def run(self, *args: str, identity: Identity = ADMIN) -> subprocess.CompletedProcess[str]:
        """Runs kubectl-sparkrelease in the test's namespace; the caller judges the exit code."""
        environment = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig(identity)), "NO_COLOR": "1"}
        command = [str(PROGRAM), *args, "--namespace", self.ns]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
