"""Where scenarios have notifications sent, and what a person reads there in Slack."""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.shop import Shop


class Receiver(ThreadingTCPServer):
    """Takes messages; or takes connections and never answers, when it hangs."""

    daemon_threads = True

    def __init__(self, address: str, *, hangs: bool) -> None:
        super().__init__((address, 0), _Take)
        self.url = f"http://{address}:{self.server_address[1]}/hook"
        self.closing = threading.Event()
        self.hangs = hangs
        self.taken: list[tuple[dict[str, str], bytes]] = []

    def bodies(self, release: str) -> list[Any]:
        """The messages of a webhook about a release, in the order in which they came."""
        found = [json.loads(body) for _, body in self.taken]
        return [body for body in found if f"/namespaces/{release}/" in body["source"]]

    def posted(self, shop: Shop) -> list[Posted]:
        """The messages of Slack about a release, in the order in which they came."""
        found = [read_slack(json.loads(body)) for _, body in self.taken]
        return [one for one in found if one.title.startswith(f"{shop.namespace}/{shop.name} ")]

    def until_posted(self, shop: Shop, title: str, timeout: float = 30.0) -> Posted:
        """Waits for a message of Slack whose title ends so; there is one such message and no other.

        Raises:
            TimeoutError: none came.
            AssertionError: several did.
        """
        what = f"{shop.namespace}/{shop.name}: a message that ends in {title!r}"
        found = wait_for(what, lambda: [one for one in self.posted(shop) if one.title.endswith(title)], timeout=timeout)
        (only,) = found
        return only


class _Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
        if self.server.hangs:
            self.server.closing.wait()
            return
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def receiving(address: str, *, hangs: bool = False) -> Iterator[Receiver]:
    """A receiver at an address of this machine, for as long as it is wanted."""
    receiver = Receiver(address, hangs=hangs)
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        receiver.shutdown()
        receiver.server_close()


@dataclass(frozen=True)
class Posted:
    """A message as Slack shows it: its title, its sentence, its figures by name, and the command to look further."""

    title: str
    sentence: str
    figures: tuple[tuple[str, str], ...]
    command: str

    def figure(self, name: str) -> str:
        """The one figure of that name.

        Raises:
            AssertionError: there is none, or there are several.
        """
        found = [text for known, text in self.figures if known == name]
        assert len(found) == 1, (name, self.figures)
        return found[0]

    @property
    def names(self) -> tuple[str, ...]:
        """What its figures are called, in their order."""
        return tuple(name for name, _ in self.figures)


def read_slack(body: Mapping[str, Any]) -> Posted:
    """What the blocks of a message say; each has the form that Block Kit gives it."""
    header, sentence, *figures, command = body["blocks"]
    kinds = [block["type"] for block in body["blocks"]]
    assert kinds == ["header", "section", *("section" for _ in figures), "context"], kinds
    fields = [_figure(field["text"]) for block in figures for field in block["fields"]]
    (element,) = command["elements"]
    return Posted(
        title=html.unescape(header["text"]["text"]),
        sentence=html.unescape(sentence["text"]["text"].strip("`")),
        figures=tuple(fields),
        command=html.unescape(element["text"].strip("`")),
    )


def _figure(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"\*(.+)\*\n`(.*)`", text)
    assert found is not None, text
    return html.unescape(found[1]), html.unescape(found[2])
