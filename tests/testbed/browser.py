"""A real browser without a window, for pages that people open: what it shows, how wide it gets, what it refuses."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.sync.client import ClientConnection, connect

from testbed.waiting import wait_for

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = "no Chromium or Chrome on PATH: `apt-get install chromium` brings one"
ANSWER_WITHIN = 30.0
"""Seconds."""


def find_browser() -> str | None:
    """Path of a browser that speaks the DevTools protocol; None where there is none."""
    return next((found for found in map(shutil.which, PROGRAMS) if found), None)


def browser_or_skip() -> str:
    """The same for a test, which is skipped where there is none; the last lines of the run say so."""
    program = find_browser()
    if program is None:
        pytest.skip(NO_BROWSER)
    return program


class Browser:
    """One page of it. Everything it logs, violations of a Content-Security-Policy among it, is in `said`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.said: list[str] = []
        self.dialogs = 0
        """Dialogs that scripts opened."""
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.ask(f"{domain}.enable")
        self.requests: list[str] = []

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """Sends a command and answers its result; events that come before it are noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=ANSWER_WITHIN))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return cast("dict[str, Any]", message["result"])
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        about = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded":
                self.said.append(str(about["entry"]["text"]))
            case "Runtime.exceptionThrown":
                self.said.append(str(about["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.said.append(str(about["args"]))
            case "Page.javascriptDialogOpening":
                self.dialogs += 1
            case "Network.requestWillBeSent":
                self.requests.append(str(about["request"]["url"]))

    def open(self, page: Path | str, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Opens a file or a URL in a window of that size (in CSS pixels), in the light or the dark theme."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media="screen", features=[theme])
        self.ask("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        wait_for("the page is there", lambda: self.run("document.readyState") == "complete", timeout=ANSWER_WITHIN)

    def run(self, script: str) -> Any:  # noqa: ANN401 - whatever the script answers
        """What a script of the test says of the page."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until a script of the test is true of the page."""
        wait_for(script, lambda: self.run(script), timeout=ANSWER_WITHIN)

    def picture(self, file: Path, *, height: int | None = None) -> None:
        """The page, as high as it is or as told, as PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(shot["data"]))

    def printed(self) -> bytes:
        """The page on paper, as PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Starts it with a profile of its own and ends it."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        flags += ["--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync"]
        process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = Path(profile) / "DevToolsActivePort"
            wait_for("the browser listens", lambda: port.exists() and port.read_text().count("\n"), timeout=60)
            number, path = port.read_text().split("\n")[:2]
            with connect(f"ws://127.0.0.1:{number}{path}", max_size=None) as whole:
                target = _attach(whole)
                with connect(f"ws://127.0.0.1:{number}/devtools/page/{target}", max_size=None) as page:
                    yield Browser(page)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _attach(socket: ClientConnection) -> str:
    socket.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
    while True:
        message = json.loads(socket.recv(timeout=ANSWER_WITHIN))
        if message.get("id") == 1:
            return str(message["result"]["targetId"])
