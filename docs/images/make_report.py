"""Draws report-*.png: what `kubectl sparkrelease report` shows of a release that turns bad in its fourth stage.

Traffic is made up from a seed; rules, evidence and page are the real ones. Run it from the root with the project's
environment, where a Chromium is on PATH: `PYTHONPATH=tests:. .venv/bin/python docs/images/make_report.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from sparkrelease.documents.files import report
from testbed.browser import browser, find_browser
from unit.documents.runs import chain_of, showcase

HERE = Path(__file__).parent
TOP = 1180
"""Pixels of the page's beginning."""


def draw() -> None:
    """One picture for each width and theme, and one of the whole page."""
    program = find_browser()
    if program is None:
        raise SystemExit("there is no Chromium on PATH")
    with pytest.MonkeyPatch.context() as patch:
        entries = showcase(patch)
    with tempfile.TemporaryDirectory() as folder, browser(program) as window:
        page = Path(folder) / "report.html"
        page.write_text(report(entries, chain_of(entries))[0], encoding="utf-8")
        window.open(page, width=1440)
        window.picture(HERE / "report-rolled-back.png", height=2110)
        window.open(page, width=1440, dark=True)
        window.picture(HERE / "report-dark.png", height=TOP)
        for theme in ("light", "dark"):
            window.open(page, width=360, dark=theme == "dark")
            window.picture(HERE / f"report-phone-{theme}.png", height=TOP)


if __name__ == "__main__":
    draw()
