"""A real Alertmanager as a local process: who silences alerts does it there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from testbed import addresses, parts
from testbed.binaries import binary
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for

CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


class Alertmanager:
    """Has the silences of one test, and tells nobody of anything."""

    url = f"http://{addresses.ALERTMANAGER}:{addresses.ALERTMANAGER_PORT}"

    def __init__(self, folder: Path) -> None:
        configuration = folder / "alertmanager.yml"
        configuration.write_text(CONFIGURATION)
        argv: list[str | Path] = [
            binary(parts.ALERTMANAGER),
            f"--config.file={configuration}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",  # one by itself
            "--log.level=warn",
        ]
        self.process = ManagedProcess("alertmanager", argv, folder)

    def start(self) -> None:
        """Returns once it answers."""
        self.process.start()
        wait_for("alertmanager", self._ready, expected=(urllib3.exceptions.HTTPError,))

    def silence(self, alert: str, lasting: dt.timedelta) -> str:
        """Silences an alert from now on for so long; answers the silence's id."""
        now = dt.datetime.now(dt.UTC)
        return self._put(
            {
                "matchers": [{"name": "alertname", "value": alert, "isRegex": False, "isEqual": True}],
                "startsAt": now.isoformat(),
                "endsAt": (now + lasting).isoformat(),
                "createdBy": "testbed",
                "comment": "a deployment",
            }
        )

    def shorten(self, silence: str, left: dt.timedelta) -> None:
        """Lets a silence run out so long from now."""
        answer = urllib3.request("GET", f"{self.url}/api/v2/silence/{silence}", timeout=5, retries=False)
        known = {name: value for name, value in answer.json().items() if name not in {"status", "updatedAt"}}
        kept = self._put(known | {"endsAt": (dt.datetime.now(dt.UTC) + left).isoformat()})
        if kept != silence:
            raise RuntimeError(f"alertmanager: silence {silence} became {kept}")

    def stop(self) -> None:
        self.process.stop()

    def _ready(self) -> bool:
        self.process.require_running()
        return urllib3.request("GET", f"{self.url}/-/ready", timeout=2, retries=False).status == 200

    def _put(self, silence: Mapping[str, Any]) -> str:
        answer = urllib3.request("POST", f"{self.url}/api/v2/silences", json=silence, timeout=5, retries=False)
        if answer.status != 200:
            raise RuntimeError(f"alertmanager: {answer.status}: {answer.data.decode(errors='replace')}")
        return str(answer.json()["silenceID"])
