"""What every test run shares: the choice of a cluster lane, the order of tests and an honest closing line."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist import is_xdist_worker

from testbed.browser import NO_BROWSER, find_browser

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from xdist.workermanage import WorkerController

QUICK = 20
"""Examples of a property that `make check` tries; `make test` tries as many as hypothesis would."""

# A slow machine is no fault of the code: no test here fails for the time an example took.
# A build server tries the same examples every time, as hypothesis itself would have it; people's machines search on.
settings.register_profile("no-deadline", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("quick", settings.get_profile("no-deadline"), max_examples=QUICK)
settings.load_profile("no-deadline")

# What is started in the background of a script ignores Ctrl-C, and so would the programs that tests press it in.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs that tests start write to a pipe. What readline, which pytest loads, tells them of a terminal is not true.
os.environ.pop("COLUMNS", None)

pytest_plugins = ["testbed.pytest_plugin"]

LANES = {"local": "make test", "kind": "make e2e-kind"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lane",
        choices=sorted(LANES),
        default="local",
        help="where tests marked `cluster` run: processes on this machine (local) or Docker (kind)",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick answers first: unit tests, then slow ones, then those that need a cluster.

    Of these the scenarios come last, because the operator they share stays once it runs, and others want none. Files
    that may take long begin early, so that workers who share them out end together.
    """
    allowed: Counter[Path] = Counter()
    for item in items:
        allowed[item.path] += _seconds(item)

    def place(item: pytest.Item) -> tuple[bool, bool, int, bool]:
        slow = item.get_closest_marker("slow") is not None
        if not _needs_cluster(item):
            return False, False, 0, slow
        return True, item.path.parent.name == "e2e", -allowed[item.path], slow

    items.sort(key=place)


class LaneReport:
    """Counts what became of the tests marked `cluster` and refuses a green run in which none of them ran.

    Reports come from this process or from those of several workers: what is counted travels on the reports.
    """

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.selected = 0
        self.ran: set[str] = set()
        self.reasons: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.selected = sum(_needs_cluster(item) for item in session.items)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        report.needs_cluster = _needs_cluster(item)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not getattr(report, "needs_cluster", False):
            return
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons.add(str(report.longrepr[2]))
        elif report.when == "call" or report.failed:
            self.ran.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        self.selected = max(self.selected, getattr(node, "workeroutput", {}).get("selected", 0))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if is_xdist_worker(session):
            session.config.workeroutput["selected"] = self.selected
        elif self.missing(session.config) and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def missing(self, config: pytest.Config) -> bool:
        """Whether cluster tests were wanted and none ran."""
        narrowed = config.option.keyword or config.option.markexpr or config.args_source.name == "ARGS"
        wanted = self.selected > 0 or not narrowed
        return wanted and not self.ran and not config.option.collectonly

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        if self.missing(terminalreporter.config):
            other = next(lane for lane in LANES if lane != self.lane)
            write("")
            write(f"NOT TESTED: the {self.lane} cluster lane ran no test. This run does not count.", red=True)
            for reason in sorted(self.reasons):
                write(f"  {reason}", red=True)
            write(f"  The other lane: {LANES[other]}", red=True)
        elif self.ran:
            write(f"cluster lane {self.lane}: {len(self.ran)} of {self.selected} tests ran")
        else:
            write("no cluster lane was asked for: `make test` runs the local one, `make e2e-kind` the other")
        if started := os.environ.get("SPARKRELEASE_TEST_STARTED"):
            write(f"total time, checks included: {time.time() - int(started):.0f} s")


class BrowserReport:
    """Names the tests that were skipped for want of a browser, which are few among thousands.

    `make test` has its clusters after them: where none can have opened a page, those last lines say so, too.
    """

    def __init__(self) -> None:
        self.skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple) and NO_BROWSER in str(report.longrepr[2]):
            self.skipped.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            what = f"skipped for want of a browser to open a page in: {len(self.skipped)}"
        elif "SPARKRELEASE_TEST_STARTED" in os.environ and find_browser() is None:
            what = "no page was opened in a browser, here or in the tests before"
        else:
            return
        terminalreporter.write_line("")
        terminalreporter.write_line(f"NOT TESTED: {what}.", red=True)
        terminalreporter.write_line(f"  {NO_BROWSER}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(BrowserReport(), "browser-report")
    config.pluginmanager.register(LaneReport(config.getoption("--lane")), "lane-report")


def _seconds(item: pytest.Item) -> int:
    """How long a test may take."""
    own = item.get_closest_marker("timeout")
    return int(own.args[0] if own else item.config.getini("timeout"))


def _needs_cluster(item: pytest.Item) -> bool:
    return item.get_closest_marker("cluster") is not None
