"""A Prometheus that answers badly on demand, as a local process before the real one."""

from __future__ import annotations

from pathlib import Path

import urllib3

from testbed import addresses, app, parts
from testbed.binaries import binary
from testbed.cluster import Fault
from testbed.processes import ManagedProcess
from testbed.prometheus import Prometheus
from testbed.waiting import wait_for


class LocalPrometheusProxy:
    """See `testbed.cluster.PrometheusProxy`."""

    url = f"http://{addresses.PROMETHEUS_PROXY}:{addresses.PROMETHEUS_PORT}"

    def __init__(self, folder: Path) -> None:
        address = self.url.removeprefix("http://")
        argv: list[str | Path] = [binary(parts.APP), "proxy", "-addr", address, "-upstream", Prometheus.url]
        self.process = ManagedProcess("prometheus-proxy", argv, folder)

    def start(self) -> None:
        self.process.start()
        wait_for("proxy", lambda: self.queries() == 0, expected=(urllib3.exceptions.HTTPError,))

    def fail(self, fault: Fault, *, match: str = "", delay: str = "30s") -> int:
        return int(app.switch(self.url, mode=fault, match=match, delay=delay)["unix_ns"])

    def heal(self) -> int:
        return int(app.switch(self.url)["unix_ns"])

    def queries(self) -> int:
        self.process.require_running()
        return int(urllib3.request("GET", f"{self.url}/-/stats", timeout=5, retries=False).json()["queries"])

    def stop(self) -> None:
        self.process.stop()
