"""Where the test bed keeps what it builds, and where the product's own files are."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from testbed.liveness import start_time

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
"""Root of the work tree: `crds/`, `manifests/` and `operator/` are below it."""

SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "sparkrelease-"
ROOM_FOR_A_CLUSTER = 1 << 30
"""Bytes that etcd, Prometheus, logs and audit of one cluster may take."""


def python_environment(*roots: Path) -> dict[str, str]:
    """Environment in which another interpreter finds this package, `roots`, and what this one was told to find."""
    told = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *map(str, roots), *told])}


def cache() -> Path:
    """Folder of everything that is made once: `SPARKRELEASE_CACHE`, else `sparkrelease` in the XDG cache."""
    if named := os.environ.get("SPARKRELEASE_CACHE"):
        return Path(named).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkrelease"


def fresh_cluster_folder() -> Path:
    """A new folder for one cluster of this process: in shared memory where there is room, else among temporary files.

    A run that was killed leaves its folder; the next one removes it.
    """
    base = Path(tempfile.gettempdir())
    if os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free > ROOM_FOR_A_CLUSTER:
        base = SHARED_MEMORY
    _remove_orphans(base)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{start_time(os.getpid())}-", dir=base))


def _remove_orphans(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        pid, _, rest = folder.name.removeprefix(_PREFIX).partition("-")
        started = rest.partition("-")[0]
        if pid.isdigit() and started.isdigit() and start_time(int(pid)) != int(started):
            shutil.rmtree(folder, ignore_errors=True)
