"""The synthetic exporter as a local process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from testbed import addresses, parts
from testbed.binaries import binary
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for


class LocalExporter:
    """See `testbed.cluster.Exporter`."""

    def __init__(self, folder: Path, *, releases: int, namespaces: int, rps: float, histogram: bool) -> None:
        self.address = f"{addresses.EXPORTER}:{addresses.EXPORTER_PORT}"
        argv: list[str | Path] = [binary(parts.APP), "synthetic", "-addr", self.address]
        argv += ["-releases", str(releases), "-namespaces", str(namespaces), "-rps", f"{rps:g}"]
        if histogram:
            argv.append("-histogram")
        self.process = ManagedProcess("exporter", argv, folder)

    def start(self) -> None:
        self.process.start()
        wait_for("exporter", self._answers, expected=(urllib3.exceptions.HTTPError,))

    def set(
        self,
        namespace: str,
        service: str,
        *,
        rps: float | None = None,
        error: float | None = None,
        latency: str | None = None,
    ) -> int:
        wish = {"namespace": namespace, "service": service, "rps": rps, "error": error, "latency": latency}
        given = {key: value for key, value in wish.items() if value is not None}
        return self._ask("GET", f"?{urlencode(given)}")

    def set_many(self, behaviours: Sequence[Mapping[str, Any]]) -> int:
        return self._ask("POST", "", json.dumps(list(behaviours)))

    def stop(self) -> None:
        self.process.stop()

    def _answers(self) -> bool:
        self.process.require_running()
        return urllib3.request("GET", f"http://{self.address}/readyz", timeout=2, retries=False).status == 200

    def _ask(self, method: str, query: str, body: str | None = None) -> int:
        url = f"http://{self.address}/-/set{query}"
        answer = urllib3.request(method, url, body=body, timeout=10, retries=False)
        if answer.status != 200:
            raise ValueError(f"exporter: {answer.status} {answer.data.decode(errors='replace')}")
        return int(answer.json()["unix_ns"])
