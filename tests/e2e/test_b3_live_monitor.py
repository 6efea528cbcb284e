"""Row B3: somebody watches a release under way: healthy, then breached, with a log of its Events and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cluster import ADMIN
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

PROGRAM = Path(sys.executable).with_name("kubectl-sparkrelease")
STAGES = [{"name": "quarter", "weight": 25, "duration": "5m"}]
SLOW = [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "10s"}]


def test_a_healthy_release_becomes_a_breached_one_before_the_eyes_of_who_watches(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load(rps=100)
    shop.ship("v2", stages=STAGES, triggers=SLOW)
    shop.until_weight(25)  # before that it is healthy, too, and other pods are behind canary

    def look() -> int:
        done = cluster.kubectl("sparkrelease", "watch", shop.name, "--once", "-n", shop.namespace)
        return done.returncode

    wait_for("healthy", lambda: look() == 0, timeout=60)
    log = tmp_path / "watched.txt"
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig(ADMIN)), "NO_COLOR": "1"}
    command = [str(PROGRAM), "watch", shop.name, "--every", "1s", "--namespace", shop.namespace]
    with log.open("w") as out, subprocess.Popen(command, env=environment, stdout=out, text=True) as watching:
        try:
            wait_for("it prints", lambda: " healthy" in log.read_text(), timeout=30)
            cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
            wait_for("breached", lambda: look() == 1, timeout=30)
            shop.until_phase("RolledBack")
            wait_for("the alert in the log", lambda: "event Warning Roll" in log.read_text(), timeout=30)
        finally:
            watching.send_signal(signal.SIGINT)
    text = log.read_text()
    # Before the first scrape nothing can be asked, which is told as breached, too.
    assert text.index(" healthy") < text.index(" breached: burst: ")
    assert f"{shop.namespace}/{shop.name}" in text
