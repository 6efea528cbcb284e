"""The page's own server: loopback only, one secret path, GET only, and nothing a page of somebody else could reach.

A name that is made to point to 127.0.0.1 (DNS rebinding) has the wrong Host, and no other site knows the path.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

LOOPBACK = "127.0.0.1"

_PAGES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class DashboardServer(ThreadingHTTPServer):
    """Serves the page, its style and script, and the newest data. `port` 0 takes a free one."""

    daemon_threads = True

    def __init__(self, data: Callable[[], Mapping[str, object]], port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.data = data
        self.token = secrets.token_urlsafe(24)
        here = files("sparkrelease.cli.dashboard")
        self.pages = {path: (here.joinpath(name).read_bytes(), kind) for path, (name, kind) in _PAGES.items()}

    @property
    def url(self) -> str:
        """Where the page is, its secret included."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may call this server."""
        return frozenset(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer
    server_version, sys_version = "sparkrelease", ""
    timeout = 10

    def do_GET(self) -> None:
        """Answers a page or the data; anything else is not there."""
        if self.headers.get("Host", "") not in self.server.hosts:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"", "text/plain")
            return
        token, _, path = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
        elif path == "data.json":
            self._answer(HTTPStatus.OK, json.dumps(self.server.data()).encode(), "application/json")
        elif path in self.server.pages:
            self._answer(HTTPStatus.OK, *self.server.pages[path])
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Says nothing: the path is a secret."""
