"""Draws status.svg: what `kubectl sparkrelease status` shows of the release in release.yaml.

Run it from anywhere with the project's environment: `.venv/bin/python docs/images/make_status.py`.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console
from rich.terminal_theme import TerminalTheme

from sparkrelease.api.objects import read_release
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.cli.look import ReleaseView
from sparkrelease.cli.render.status import render_status
from sparkrelease.decide.resolve import ResolvedSpec, resolve

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 21, 14, 3, 50, tzinfo=UTC)
COLUMNS = 100

# The library's own frame without its fonts, which it would load from a server.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {terminal_width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

THEME = TerminalTheme(
    (22, 27, 34),
    (220, 226, 232),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (220, 226, 232),
    ],
    [
        (110, 118, 129),
        (255, 161, 152),
        (126, 231, 135),
        (242, 204, 96),
        (165, 214, 255),
        (226, 197, 255),
        (179, 240, 255),
        (255, 255, 255),
    ],
)


def view() -> ReleaseView:
    """The release in release.yaml, its spec resolved."""
    release = read_release(yaml.safe_load((HERE / "release.yaml").read_text(encoding="utf-8")))
    assert isinstance(release.spec, SparkReleaseSpec), release.spec
    spec = resolve(release.spec, None)
    assert isinstance(spec, ResolvedSpec), spec
    return ReleaseView(release, spec)


def draw() -> str:
    """The picture as SVG; the same bytes every time."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        legacy_windows=False,
    )
    console.print(render_status(view(), NOW))
    title = "kubectl sparkrelease status trading-api -n trading"
    return console.export_svg(title=title, theme=THEME, code_format=FRAME, unique_id="sparkrelease")


if __name__ == "__main__":
    (HERE / "status.svg").write_text(draw(), encoding="utf-8")
