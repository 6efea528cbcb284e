"""pytest fixtures `cluster` (one per session) and `ns` (a fresh namespace per test).

Tests that use them are marked `cluster` by themselves. The option `--lane` (of the project's conftest) says where
they run: `local` (default) or `kind`. With `--clusters N` the test files are shared out among so many clusters side by
side, each in a worker process of its own. After a failed test, logs and objects are in `.testbed/failures/<test>/`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from xdist.remote import Producer

from testbed import binaries, namespace, parts, paths, session
from testbed.alertmanager import Alertmanager
from testbed.cluster import Cluster
from testbed.kindlane.host import KindError, require
from testbed.registry import Registry
from testbed.sharing import CrowdsApart
from testbed.toolchain import BuildError

FAILURES = paths.PROJECT / ".testbed" / "failures"

_BESIDE = {"alertmanager": parts.ALERTMANAGER, "registry": parts.REGISTRY, "helm": parts.HELM}
"""By fixture what has to be built for the tests that use it, and for no other."""

_obstacle = pytest.StashKey[Exception]()
_running = pytest.StashKey[Cluster]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clusters", type=int, default=1, help="so many local clusters side by side, each with its share of the files"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Has pytest-xdist share out whole files, in the order in which they were collected, among workers in namespaces.

    A worker has threads before this plugin is loaded in it: it is in its namespace from the start.
    """
    option = config.option
    if hasattr(config, "workerinput"):  # a worker, which is given the same options, shares out nothing
        return
    if option.clusters > 1 and option.lane == "local" and not option.collectonly:
        _build(config)
        worker = shlex.join([sys.executable, "-m", "testbed.inside"])
        option.tx = [f"popen//python={worker}"] * option.clusters
        option.dist, option.loadscopereorder = "loadfile", False
        os.environ.update(paths.python_environment())  # how a worker finds testbed.inside


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> CrowdsApart | None:
    return CrowdsApart(config, log) if config.option.clusters > 1 else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _needs_cluster(item):
            item.add_marker(pytest.mark.cluster)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Enters the namespace while this process has one thread: after collection it is known whether there is need."""
    config = session.config
    wanted = any(_needs_cluster(item) for item in session.items) and not config.option.collectonly
    if wanted and config.option.lane == "local":
        names = {name for item in session.items for name in getattr(item, "fixturenames", ())}
        _prepare(config, frozenset(part for name, part in _BESIDE.items() if name in names))
    elif wanted:
        _require_kind()


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The cluster of this test session, with the product's CRDs and manifests installed."""
    if _obstacle in pytestconfig.stash:
        raise pytestconfig.stash[_obstacle]
    with _terminal(pytestconfig):
        started = session.start(pytestconfig.option.lane)
    pytestconfig.stash[_running] = started
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def ns(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace; its deletion is asked for and not waited for."""
    name = cluster.namespace()
    yield name
    cluster.delete("v1", "Namespace", name)


@pytest.fixture
def alertmanager(cluster: Cluster, tmp_path: Path) -> Iterator[Alertmanager]:
    """An Alertmanager at the address that `Alertmanager.url` says."""
    if cluster.lane != "local":
        pytest.skip("its Alertmanager is a process of the local lane")
    made = Alertmanager(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def helm(cluster: Cluster) -> Path:
    """The real helm; whoever renders a chart compares it with what kubectl makes of the manifests."""
    session.build_for_tests(frozenset({parts.HELM}))  # built before, but on a lane that needs no programs
    return binaries.binary(parts.HELM)


@pytest.fixture
def registry(cluster: Cluster, tmp_path: Path) -> Iterator[Registry]:
    """An image registry that operators reach, on whichever lane."""
    session.build_for_tests(frozenset({parts.REGISTRY}))  # built before, but on a lane that needs no programs
    made = Registry(tmp_path, cluster.host_address)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when == "call" and _running in item.config.stash and _needs_cluster(item):
        folder = FAILURES / re.sub(r"[^\w.-]+", "_", item.nodeid)[-120:]
        shutil.rmtree(folder, ignore_errors=True)
        started = item.config.stash[_running]
        started.diagnostics(folder)
        _heal(started)
        report.sections.append(("cluster", f"logs and objects: {os.path.relpath(folder)}"))
    return report


def _heal(cluster: Cluster) -> None:
    """Ends the outages a failed test has left, so that the next one does not fail for them."""
    for part in (cluster.prometheus, cluster.apiserver):  # who restarts the latter waits for the former to notice
        part.resume()
        part.start()


def _needs_cluster(item: pytest.Item) -> bool:
    return "cluster" in getattr(item, "fixturenames", ())


def _prepare(config: pytest.Config, beside: frozenset[parts.Part]) -> None:
    try:
        with _terminal(config):
            _build_for_tests(beside)
            session.prepare()
    except (namespace.NamespaceError, BuildError) as error:
        config.stash[_obstacle] = error  # raised by the fixture: a test that needs a cluster fails, and says why


def _build(config: pytest.Config) -> None:
    """What every worker needs, made once and before them."""
    try:
        with _terminal(config):
            session.build()
            _build_for_tests(frozenset(_BESIDE.values()))
    except BuildError as error:
        raise pytest.UsageError(str(error)) from error


def _build_for_tests(wanted: frozenset[parts.Part]) -> None:
    """What cannot be built fails the tests that start it, and no other."""
    try:
        session.build_for_tests(wanted)
    except BuildError as error:
        print(error, file=sys.stderr)


def _require_kind() -> None:
    """Ends the run at once, with one sentence, where the kind lane cannot run."""
    try:
        require()
    except KindError as error:
        pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)


@contextmanager
def _terminal(config: pytest.Config) -> Iterator[None]:
    """Lets a first build show its progress instead of being captured."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield
