"""A small HTTP server that answers queries as it is told: what a real Prometheus cannot be made to do."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


def vector(*rows: tuple[dict[str, str], str], **more: object) -> bytes:
    """A complete answer with these rows."""
    result = [{"metric": labels, "value": [1.0, value]} for labels, value in rows]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}).encode()


@dataclass
class MisbehavingServer:
    """What it answers, and what it was asked. `hang` keeps a request waiting until `released`."""

    body: bytes = field(default_factory=vector)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drip: float = 0.0
    """Seconds between the bytes of the body."""
    missing: int = 0
    """Bytes of the body that are announced and never come, because the connection breaks."""
    tls: ssl.SSLContext | None = None
    """Serves https with this certificate."""
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    """Method, path, headers and form of each request."""

    @contextmanager
    def serving(self) -> Iterator[MisbehavingServer]:
        """Serves on a free port of the loopback address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                form = parse_qs(self.rfile.read(length).decode())
                told.requests.append(("POST", self.path, dict(self.headers), form))
                if told.hang:
                    told.released.wait(10)
                self._answer()

            def do_GET(self) -> None:
                told.requests.append(("GET", self.path, dict(self.headers), {}))
                self._answer()

            def _answer(self) -> None:
                self.send_response_only(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told.body) + told.missing))
                self.end_headers()
                try:
                    self._send_body()
                    self.close_connection = self.close_connection or told.missing > 0
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _send_body(self) -> None:
                if not told.drip:
                    self.wfile.write(told.body)
                    return
                for byte in told.body:
                    self.wfile.write(bytes([byte]))
                    if told.released.wait(told.drip):
                        return

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        return Handler
