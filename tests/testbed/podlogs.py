"""The kubelet's address for logs: the API server asks it on behalf of `kubectl logs` and of everybody else."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from testbed import addresses

PORT = 10250


def serve(folder: Path) -> None:
    """Serves the logs of the cluster in `folder` in a thread of its own; a pod's are what its processes wrote."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pki" / "apiserver.crt", folder / "pki" / "apiserver.key")
    server = ThreadingHTTPServer((addresses.NODE, PORT), _handler(folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True, name="logs").start()


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    class Logs(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urlsplit(self.path)
            words = split.path.strip("/").split("/")
            path = folder / "log" / "pods" / ("_".join(words[1:4]) + ".log")
            found = words[0] == "containerLogs" and len(words) == 4 and path.exists()
            body = _end(path.read_bytes(), parse_qs(split.query)) if found else b"no such log\n"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Logs


def _end(text: bytes, query: dict[str, list[str]]) -> bytes:
    lines = text.splitlines(keepends=True)
    if "tailLines" in query:
        lines = lines[-int(query["tailLines"][0]) :]
    limit = int(query.get("limitBytes", ["1000000"])[0])
    return b"".join(lines)[:limit]
