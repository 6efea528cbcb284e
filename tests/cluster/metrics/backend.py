"""Pods whose counters the test sets, and a Prometheus that scrapes them: what was counted is known exactly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import urllib3
import yaml

from cluster.metrics.pods import TEXT, Target
from testbed import parts
from testbed.binaries import binary
from testbed.processes import ManagedProcess
from testbed.prometheus import query
from testbed.waiting import wait_for

_ADDRESS = "127.0.0.77:9090"
_Pod = TypeVar("_Pod", bound=Target)


@dataclass
class Backend:
    """All pods, served by one process of ours and scraped by one Prometheus, each by its job."""

    folder: Path
    jobs: dict[str, dict[str, object]] = field(default_factory=lambda: {"ledger": {}})
    """By name, what is said of a job beside its targets."""
    pods: dict[str, Target] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    address: str = ""
    url: str = f"http://{_ADDRESS}"

    def __post_init__(self) -> None:
        self.process = ManagedProcess("ledger-prometheus", self._argv(), self.folder)

    def add(self, pod: _Pod) -> _Pod:
        """A pod that is a target from the next look at the file on."""
        with self.lock:
            self.pods[pod.name] = pod
            self._write_targets()
        return pod

    def remove(self, pod: Target) -> None:
        """The pod is gone, and no target any more."""
        with self.lock:
            del self.pods[pod.name]
            self._write_targets()

    @contextmanager
    def serving(self) -> Iterator[Backend]:
        """Serves the pods and runs Prometheus until the end."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.address = f"127.0.0.1:{server.server_address[1]}"
        self.folder.joinpath("prometheus.yml").write_text(yaml.safe_dump(self._configuration()))
        self._write_targets()
        try:
            self.start()
            yield self
        finally:
            self.process.stop()
            server.shutdown()
            server.server_close()
            thread.join()

    def start(self) -> None:
        """Starts Prometheus, and returns once it answers."""
        self.process.start()

        def ready() -> bool:
            self.process.require_running()
            return urllib3.request("GET", f"{self.url}/-/ready", timeout=2, retries=False).status == 200

        wait_for("Prometheus ready", ready, expected=(urllib3.exceptions.HTTPError,))

    def until_scraped(self, pod: Target) -> None:
        """Returns once there is a sample of the pod."""
        wait_for(f"{pod.name} scraped", lambda: query(self.url, f'up{{pod="{pod.name}"}} == 1'), timeout=30)

    def _write_targets(self) -> None:
        for job in self.jobs:
            targets = [
                {
                    "targets": [self.address],
                    "labels": {
                        "__metrics_path__": f"/{pod.name}",
                        "namespace": pod.namespace,
                        "service": pod.service,
                        "pod": pod.name,
                        "instance": pod.name,
                        "job": "ledger",
                    },
                }
                for pod in self.pods.values()
                if pod.job == job
            ]
            unfinished = self.folder / "targets.tmp"
            unfinished.write_text(json.dumps(targets))
            unfinished.rename(self._targets(job))

    def _targets(self, job: str) -> Path:
        return self.folder / f"targets-{job}.json"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with backend.lock:
                    pod = backend.pods.get(self.path.lstrip("/"))
                    found = pod.scrape() if pod is not None and not pod.down else None
                body, form = found or (b"", TEXT)
                self.send_response_only(500 if found is None else 200)
                self.send_header("Content-Type", form)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        return Handler

    def _configuration(self) -> dict[str, object]:
        return {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [
                {
                    "job_name": name,
                    "file_sd_configs": [{"files": [str(self._targets(name))], "refresh_interval": "250ms"}],
                    **more,
                }
                for name, more in self.jobs.items()
            ],
        }

    def _argv(self) -> list[str | Path]:
        return [
            binary(parts.PROMETHEUS),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address={_ADDRESS}",
            "--scrape.discovery-reload-interval=100ms",
            "--log.level=warn",
        ]
