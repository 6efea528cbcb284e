"""The operator's own command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from sparkrelease import __version__
from sparkrelease.__main__ import app

if TYPE_CHECKING:
    from pathlib import Path


def test_version_is_printed() -> None:
    assert CliRunner().invoke(app, ["version"]).output.strip() == f"sparkrelease {__version__}"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tick: 10ms", "tick"),
        ("tick: [", "operator.yaml"),
        ("nosuch: 1", "nosuch"),
        ("servers: {default: {url: 'ftp://x'}}", "servers.default.url"),
        ("httpPort: 700000", "httpPort"),
    ],
)
def test_a_bad_configuration_ends_with_its_field_and_code_2(tmp_path: Path, text: str, named: str) -> None:
    config = tmp_path / "operator.yaml"
    config.write_text(text)
    ended = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert ended.exit_code == 2
    assert named in ended.output


def test_a_missing_configuration_ends_with_code_2(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["run", "--config", str(tmp_path / "none.yaml")])
    assert ended.exit_code == 2
    assert "none.yaml" in ended.output
