"""A metrics server over HTTP with a made-up past: Services whose share of bad requests is known at every instant."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

RPS = 100.0
_UNIT = {"ms": 0.001, "s": 1.0}

Rows = list[tuple[dict[str, str], float]]


@dataclass(frozen=True)
class Burst:
    """A time (Unix seconds) in which a share of the requests fails."""

    begin: float
    end: float
    share: float

    def bad(self, since: float, until: float) -> float:
        """Failed requests between two instants."""
        return RPS * self.share * max(0.0, min(self.end, until) - max(self.begin, since))


@dataclass
class PastServer:
    """Answers instant and range queries as `reply` says, and counts them. `most` is the most points of a range."""

    services: Mapping[str, Sequence[Burst]] = field(default_factory=dict)
    born: float = 0.0
    """Before this there were no samples."""
    most: int = 11_000
    largest: int = 0
    """Points of the longest range query."""
    paths: list[str] = field(default_factory=list)
    url: str = ""
    reply: Callable[[str, float], Rows] | None = None

    def rows(self, promql: str, at: float) -> Rows:
        """What a query answers at an instant."""
        return self.reply(promql, at) if self.reply is not None else self.served(promql, at)

    def served(self, promql: str, at: float) -> Rows:
        """What the Services' requests come to, whatever `reply` says."""
        found = re.search(r"offset (\d+)(ms|s)", promql)
        window = float(found[1]) * _UNIT[found[2]] if found else 60.0
        parts = set(re.findall(r'"sr_part", "(\w+)"', promql))
        named = re.search(r'service=~?"([^"]+)"', promql)
        wanted = named[1].split("|") if named else []
        rows: Rows = []
        for service in wanted:
            if service not in self.services or at < self.born:
                continue
            bad = sum(burst.bad(at - window, at) for burst in self.services[service])
            values = {"bad": bad, "total": RPS * window, "newest": at}
            labels = {"namespace": "shop", "service": service}
            rows += [({**labels, "sr_part": part}, value) for part, value in values.items() if part in parts]
        return rows

    @contextmanager
    def serving(self) -> Iterator[PastServer]:
        """Serves on a free port of the loopback address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, path: str, form: Mapping[str, list[str]]) -> tuple[int, object]:
        """Status and body."""
        self.paths.append(path)
        promql = form["query"][0]
        if path.endswith("/query"):
            at = float(form["time"][0])
            result = [{"metric": labels, "value": [at, repr(value)]} for labels, value in self.rows(promql, at)]
            return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        count = int((end - start) / step + 1e-9) + 1
        self.largest = max(self.largest, count)
        if count > self.most:
            return 400, {"status": "error", "errorType": "bad_data", "error": "exceeded maximum resolution"}
        series: dict[str, list[list[object]]] = {}
        for place in range(count):
            at = round(start + place * step, 3)
            for labels, value in self.rows(promql, at):
                series.setdefault(json.dumps(labels, sort_keys=True), []).append([at, repr(value)])
        result = [{"metric": json.loads(labels), "values": values} for labels, values in series.items()]
        return 200, {"status": "success", "data": {"resultType": "matrix", "result": result}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                status, body = told.answer(self.path, parse_qs(self.rfile.read(length).decode()))
                data = json.dumps(body).encode()
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        return Handler
