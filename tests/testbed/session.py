"""One cluster for as long as a program needs it: what the demo, the benchmarks and the test run begin with."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from testbed import binaries, namespace, snapshot
from testbed.cluster import Cluster
from testbed.local import LocalCluster
from testbed.parts import Part
from testbed.paths import python_environment
from testbed.toolchain import BuildError


def prepare() -> None:
    """Builds what is missing and enters the namespace: call it before anything in this process starts a thread.

    Raises:
        BuildError: a program could not be built.
        NamespaceError: there is no namespace to be had here; the message names the other lane.
    """
    build()
    namespace.enter()


def build() -> None:
    """Makes what is missing for a local cluster, and shows how far it is.

    Raises:
        BuildError: a program could not be built.
    """
    if not (binaries.complete() and snapshot.folder().exists()):
        # in a process of its own: progress needs threads, and the network that a namespace has not
        command = [sys.executable, "-m", "testbed", "snapshot"]
        done = subprocess.run(command, env=python_environment(), check=False)
        if done.returncode:
            raise BuildError("the test cluster could not be prepared: see above, or run `python -m testbed snapshot`")


def build_for_tests(wanted: frozenset[Part]) -> None:
    """Makes what single tests start beside a cluster; call it before `prepare`, for it needs the network.

    Raises:
        BuildError: a program could not be built.
    """
    if binaries.missing(tuple(wanted)):
        command = [sys.executable, "-m", "testbed", "build"]
        if subprocess.run(command, env=python_environment(), check=False).returncode:
            raise BuildError("what single tests need could not be built: see above")


def start(lane: str = "local") -> Cluster:
    """A running cluster with the product's CRDs and manifests; `close` ends it. Local: after `prepare`."""
    if lane == "local":
        local = LocalCluster()
        local.start()
        started: Cluster = local
    else:
        started = importlib.import_module(f"testbed.{lane}").KindCluster()  # its needs are not the local lane's
    try:
        started.install()
    except BaseException:
        started.close()
        raise
    return started


@contextmanager
def running(lane: str = "local") -> Iterator[Cluster]:
    """A cluster from nothing to closed, with everything it needs made on the way."""
    if lane == "local":
        prepare()
    cluster = start(lane)
    try:
        yield cluster
    finally:
        cluster.close()
