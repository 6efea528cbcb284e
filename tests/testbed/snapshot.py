"""A control plane's state right after installation, made once per set of versions and objects.

Starting from it skips the RBAC bootstrap and the installation of every definition: seconds instead of a quarter of
a minute.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed import objects, parts, paths, pki
from testbed.binaries import find
from testbed.controlplane import ControlPlane

_KEPT = ("etcd", "pki")


def key() -> str:
    """Digest of all that goes into a snapshot."""
    digest = hashlib.sha256()
    for part in (parts.ETCD, parts.KUBE_APISERVER, parts.KUBE_CONTROLLER_MANAGER):
        digest.update(f"{part.key} {find(part)}".encode())
    for path in [*objects.definition_files(), *objects.rbac_files(), Path(pki.__file__)]:
        digest.update(path.read_bytes())
    digest.update(json.dumps(objects.own_objects(), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def folder() -> Path:
    return paths.cache() / "snapshots" / key()


def ensure() -> Path:
    """The snapshot's folder; takes the snapshot first (in a process and namespace of its own) where there is none."""
    target = folder()
    if not target.exists():
        command = [sys.executable, "-m", "testbed", "snapshot"]
        subprocess.run(command, check=True, env=paths.python_environment(), stdin=subprocess.DEVNULL)
    return target


def take() -> Path:
    """Brings an empty control plane up in this namespace, installs everything, and keeps its state."""
    target = folder()
    scratch = paths.fresh_cluster_folder()
    plane = ControlPlane(scratch)
    try:
        api = plane.start()
        objects.install(api)
        plane.wait_controllers(api)
        plane.stop()
        _keep(scratch, target)
    finally:
        plane.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def restore(source: Path, destination: Path) -> None:
    """Puts a snapshot where a control plane will find it."""
    for name in _KEPT:
        shutil.copytree(source / name, destination / name)


def _keep(source: Path, target: Path) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.mkdir(parents=True, mode=0o700)  # private keys
    for name in _KEPT:
        shutil.copytree(source / name, unfinished / name, ignore=shutil.ignore_patterns("*.tmp"))
    if target.exists():  # another run was faster
        shutil.rmtree(unfinished)
    else:
        unfinished.rename(target)
