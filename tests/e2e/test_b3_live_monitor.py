"""Row B3: somebody watches a release under way: healthy, then breached, with a log of its Events and an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.ladder import PACE, quick, release_by_policy
from e2e.trials import LONG
from testbed.cluster import ADMIN
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.flagdesk import FlagDesk
    from testbed.shop import Shop

PROGRAM = Path(sys.executable).with_name("kubectl-sparkrelease")
STAGES = [{"name": "quarter", "weight": 25, "duration": "5m"}]
SLOW = [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "10s"}]

MONITORED = {
    "api-p95": "% <= 1s limit at most 1s",
    "stream-staleness": "s limit at most ",
    "errors": r"% \(.*\) limit at most 1%",
    "score-rate": "/min limit at least 10/min",
    "confidence": " limit at least 0.55",
}
"""What the row's monitor looks at, each with what stands behind its number."""


@dataclass
class Screen:
    """What somebody sees who watches a release, in lines."""

    log: Path
    seen: int = 0
    """What was read before is not looked at again."""

    def shows(self, line: str, timeout: float = 60) -> None:
        """Waits for a line that fits; what is looked for afterwards has to come later than now."""
        wait_for(f"seen: {line}", lambda: re.search(line, self._new), timeout=timeout, every=0.2)

    def says(self, rule: str, verdict: str) -> None:
        """Waits for that word of a rule of the monitor, with its value and its limit."""
        self.shows(rf"rule {rule} {verdict} [\d.]+{MONITORED[rule]}")

    def from_now(self) -> None:
        """Forgets what was shown."""
        self.seen = len(self.log.read_text())

    @property
    def _new(self) -> str:
        return self.log.read_text()[self.seen :]


@contextmanager
def watched(shop: Shop, folder: Path, every: str = "1s") -> Iterator[Screen]:
    """Has somebody watch a release through a pipe."""
    screen = Screen(folder / "watched.txt")
    environment = {**os.environ, "KUBECONFIG": str(shop.cluster.kubeconfig(ADMIN)), "NO_COLOR": "1"}
    command = [str(PROGRAM), "watch", shop.name, "--every", every, "--namespace", shop.namespace]
    with screen.log.open("w") as out, subprocess.Popen(command, env=environment, stdout=out, text=True) as watching:
        try:
            yield screen
        finally:
            watching.send_signal(signal.SIGINT)


def once(shop: Shop) -> int:
    """The exit code of one look."""
    return shop.cluster.kubectl("sparkrelease", "watch", shop.name, "--once", "-n", shop.namespace).returncode


def test_a_healthy_release_becomes_a_breached_one_before_the_eyes_of_who_watches(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load(rps=100)
    shop.ship("v2", stages=STAGES, triggers=SLOW)
    shop.until_weight(25)  # before that it is healthy, too, and other pods are behind canary
    wait_for("healthy", lambda: once(shop) == 0, timeout=60)
    with watched(shop, tmp_path) as screen:
        screen.shows(" healthy", timeout=30)
        cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
        wait_for("breached", lambda: once(shop) == 1, timeout=30)
        shop.until_phase("RolledBack")
        screen.shows("event Warning Roll", timeout=30)
    text = screen.log.read_text()
    # Before the first scrape nothing can be asked, which is told as breached, too.
    assert text.index(" healthy") < text.index(" breached: burst: ")
    assert f"{shop.namespace}/{shop.name}" in text


@pytest.mark.timeout(400)
def test_latency_staleness_errors_scores_and_confidence_are_seen_to_go_bad_with_each_alert_in_the_log(
    flag_operator: Operator, desk: FlagDesk, tmp_path: Path
) -> None:
    desk.pace = PACE
    desk.begin()
    desk.start_load(rps=10, duration=300)
    desk.cluster.apply(quick(half=LONG))
    release_by_policy(desk)
    desk.until("half is in force", lambda s: s["weight"]["desired"] == 50 and s["weight"]["verified"], timeout=150)
    wait_for("healthy", lambda: once(desk) == 0, timeout=60)
    with watched(desk, tmp_path) as screen:
        screen.shows("desk v2 Progressing stage half .* healthy: ")
        for rule in MONITORED:
            screen.says(rule, "Pass")

        screen.from_now()
        desk.break_feature("stream-silent")
        screen.says("stream-staleness", "Fail")
        screen.shows("desk v2 .* breached: ")
        screen.shows("event Warning Notified: .*stale: ")

        screen.from_now()
        desk.break_feature("unsure-model")  # the floor of its confidence lets no score of such a model through
        screen.says("confidence", "Fail")
        screen.says("score-rate", "Fail")
        screen.shows("event Warning SteppedBack: .*unsure: ")

        screen.from_now()
        desk.break_feature("very-slow-answers")
        screen.says("api-p95", "Fail")
        screen.shows("event Warning Mitigating: slow: ")

        screen.from_now()
        desk.break_feature("server-errors")
        screen.says("errors", "Fail")
        desk.until_phase("RolledBack", timeout=60)
        screen.shows("event Warning RolledBack: .*errors: ")
        screen.shows("desk v2 RolledBack .* breached: ")
    assert once(desk) == 1
