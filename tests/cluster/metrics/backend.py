"""Pods whose counters the test sets, and a Prometheus that scrapes them: what was counted is known exactly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3
import yaml

from testbed import parts
from testbed.binaries import binary
from testbed.processes import ManagedProcess
from testbed.prometheus import query
from testbed.waiting import wait_for

EDGES = ("0.1", "0.2", "1.0", "+Inf")
_ADDRESS = "127.0.0.77:9090"


@dataclass
class Pod:
    """One pod's counters, by the labels that tell them apart. A pod that is down answers 500."""

    namespace: str
    service: str
    name: str
    good: int | None = None
    bad: int | None = None
    down: bool = False
    latency: str = "0.2"
    """Edge of the bucket its requests fall into."""
    slow: int = 0

    def exposition(self) -> str:
        """What a scrape gets; a counter that never counted is not there."""
        counts = {"200": self.good, "500": self.bad}
        lines = [f'requests_total{{code="{code}"}} {count}' for code, count in counts.items() if count is not None]
        total = (self.good or 0) + (self.bad or 0)
        if lines:
            at_or_below = {"0.1": 0, "0.2": total - self.slow, "1.0": total, "+Inf": total}
            lines += [f'duration_bucket{{le="{edge}"}} {at_or_below[edge]}' for edge in EDGES]
        return "".join(f"{line}\n" for line in lines)


@dataclass
class Backend:
    """All pods, served by one process of ours and scraped by one Prometheus."""

    folder: Path
    pods: dict[str, Pod] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    address: str = ""
    url: str = f"http://{_ADDRESS}"

    def __post_init__(self) -> None:
        self.process = ManagedProcess("ledger-prometheus", self._argv(), self.folder)

    def add(self, pod: Pod) -> Pod:
        """A pod that is a target from the next look at the file on."""
        with self.lock:
            self.pods[pod.name] = pod
            self._write_targets()
        return pod

    def remove(self, pod: Pod) -> None:
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

    def until_scraped(self, pod: Pod) -> None:
        """Returns once there is a sample of the pod."""
        wait_for(f"{pod.name} scraped", lambda: query(self.url, f'up{{pod="{pod.name}"}} == 1'), timeout=30)

    def _write_targets(self) -> None:
        targets = [
            {
                "targets": [self.address],
                "labels": {
                    "__metrics_path__": f"/{pod.name}",
                    "namespace": pod.namespace,
                    "service": pod.service,
                    "pod": pod.name,
                    "instance": pod.name,
                },
            }
            for pod in self.pods.values()
        ]
        unfinished = self.folder / "targets.tmp"
        unfinished.write_text(json.dumps(targets))
        unfinished.rename(self.folder / "targets.json")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with backend.lock:
                    pod = backend.pods.get(self.path.lstrip("/"))
                    text = pod.exposition() if pod is not None and not pod.down else None
                body = (text or "").encode()
                self.send_response_only(500 if text is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
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
                    "job_name": "ledger",
                    "file_sd_configs": [{"files": [str(self.folder / "targets.json")], "refresh_interval": "250ms"}],
                }
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
