"""One container of a local pod: the test application as a process, with its probe, restarts and reported status."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from testbed.paths import PROJECT
from testbed.processes import ManagedProcess
from testbed.volumes import within

IMAGE = re.compile(r"(?:.*/)?testbed/(?P<program>app|trading):(?P<version>v[\w.]+)(?:-[\w.-]+)?")
"""Images this kubelet has: the test application and the example `trading`, tagged with the version they answer
(`testbed/app:v2-rebuilt`)."""

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0
"""Seconds before a dead container is started again; doubled with each death (a real kubelet: 10 s to 300 s)."""
UNTIL_READY = 0.05
"""Seconds between two probes of a container that has not been ready yet, so that tests need not wait a period."""
STABLE_AFTER = 30.0
"""Seconds of running after which a death counts as the first one again."""


def image_digest(image: str) -> str:
    """`imageID` of an image: as in a real cluster another image has another one, the same image the same."""
    return f"{image.partition(':')[0]}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def timestamp() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Container:
    """State of one container; `step` moves it on and never blocks for longer than one probe may take."""

    spec: Mapping[str, Any]
    address: str
    process: ManagedProcess | None
    once: bool = False
    """Whether it is not started again once it has ended, as in the pod of a Job."""
    restarts: int = 0
    started_at: str = ""
    ready: bool = False
    waiting: str = ""
    last_exit: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    """How it ended, when it is not started again."""
    _begun: float = 0.0
    _deaths: int = 0
    _next_start: float = 0.0
    _next_probe: float = 0.0
    _was_ready: bool = False  # since it was started
    _answers: int = 0  # equal probe answers in a row: good ones positive, bad ones negative

    @classmethod
    def create(
        cls,
        app: Path,
        folder: Path,
        pod: Mapping[str, Any],
        spec: Mapping[str, Any],
        address: str,
        *,
        mounts: Mapping[str, Path] | None = None,
    ) -> Container:
        """A container that has not been started yet; one with an unknown image never will be."""
        known = IMAGE.fullmatch(spec["image"])
        if known is None:
            return cls(spec, address, None, waiting="ImagePullBackOff")
        meta = pod["metadata"]
        program: list[str | Path] = [app] if known["program"] == "app" else [sys.executable, "-m", known["program"]]
        argv = [*program, *spec.get("command", ["app"])[1:], *spec.get("args", ["serve"])]
        name = f"pods/{meta['namespace']}_{meta['name']}_{spec['name']}"
        inside = {"POD_IP": address, "VERSION": known["version"], "GOMAXPROCS": "1", "GOGC": "50"}
        inside["PYTHONPATH"] = str(PROJECT / "examples")
        env = {**inside, **within(mounts or {}, _environment(pod, spec, address))}
        once = pod["spec"].get("restartPolicy") == "Never"
        return cls(spec, address, ManagedProcess(name, argv, folder, env, isolated_env=True), once)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.running

    def step(self, now: float) -> bool:
        """Starts, restarts and probes as is due; True when the reported status has changed."""
        before = (self.ready, self.waiting, self.restarts, self.started_at, bool(self.ended))
        if self.process is not None and not self.ended:
            if self.started_at and not self.waiting and not self.process.running:
                self._died(now)
            if not self.ended and not self.process.running and now >= self._next_start:
                self._start(now)
            if self.process.running:
                self._probe(now)
        return before != (self.ready, self.waiting, self.restarts, self.started_at, bool(self.ended))

    def status(self) -> dict[str, Any]:
        """An element of `status.containerStatuses`."""
        if self.ended:
            state: dict[str, Any] = {"terminated": self.ended}
        elif self.waiting:
            state = {"waiting": {"reason": self.waiting}}
        else:
            state = {"running": {"startedAt": self.started_at}}
        image = str(self.spec["image"])
        return {
            "name": self.spec["name"],
            "image": image,
            "imageID": image_digest(image) if self.process else "",
            "ready": self.ready,
            "started": not self.waiting,
            "restartCount": self.restarts,
            "state": state,
            "lastState": {"terminated": self.last_exit} if self.last_exit else {},
        }

    def _start(self, now: float) -> None:
        if self.process is None:
            return
        if self.started_at:
            self.restarts += 1
        self.process.start()
        self.waiting, self.started_at, self._begun = "", timestamp(), now
        self._was_ready, self._answers = False, 0
        self._next_probe = now + self._probe_spec("initialDelaySeconds", 0)
        self.ready = "readinessProbe" not in self.spec

    def _died(self, now: float) -> None:
        if self.process is None:
            return
        self._deaths = 1 if now - self._begun > STABLE_AFTER else self._deaths + 1
        self._next_start = now + min(FIRST_BACKOFF * 2 ** (self._deaths - 1), LAST_BACKOFF)
        self.ready, self.waiting = False, "CrashLoopBackOff"
        code = self.process.exit_code or 0
        self.last_exit = {
            "exitCode": code if code >= 0 else 128 - code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": self.started_at,
            "finishedAt": timestamp(),
        }
        if self.once:
            self.waiting, self.ended = "", self.last_exit

    def _probe(self, now: float) -> None:
        if "readinessProbe" not in self.spec or now < self._next_probe:
            return
        good = self._asks_well()
        same = self._answers > 0 if good else self._answers < 0
        self._answers = (self._answers if same else 0) + (1 if good else -1)
        if self._answers >= self._probe_spec("successThreshold", 1):
            self.ready = True
        elif -self._answers >= self._probe_spec("failureThreshold", 3):
            self.ready = False
        self._was_ready |= self.ready
        period = self._probe_spec("periodSeconds", 10) if self._was_ready else UNTIL_READY
        self._next_probe = now + period

    def _asks_well(self) -> bool:
        probe = self.spec["readinessProbe"].get("httpGet", {})
        url = f"http://{self.address}:{self._port(probe.get('port'))}{probe.get('path', '/')}"
        timeout = self._probe_spec("timeoutSeconds", 1)
        try:
            status = urllib3.request("GET", url, timeout=timeout, retries=False, redirect=False).status
        except urllib3.exceptions.HTTPError:
            return False
        return 200 <= status < 400

    def _port(self, wish: int | str | None) -> int:
        ports = self.spec.get("ports", [])
        if isinstance(wish, int):
            return wish
        named = [p["containerPort"] for p in ports if wish is None or p.get("name") == wish]
        return int(named[0]) if named else 8080

    def _probe_spec(self, name: str, default: float) -> float:
        return float(self.spec.get("readinessProbe", {}).get(name, default))


def _environment(pod: Mapping[str, Any], spec: Mapping[str, Any], address: str) -> dict[str, str]:
    meta = pod["metadata"]
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "status.podIP": address,
    }
    env = {}
    for variable in spec.get("env", []):
        path = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        env[variable["name"]] = fields.get(path, "") if path else str(variable.get("value", ""))
    return env
