"""What nobody means on a command line is a usage error that names the option, the value and what could be written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sparkrelease.cli.app import app
from sparkrelease.cli.backtesting import roles_of
from sparkrelease.cli.exits import CliError, ExitCode
from unit.cli.test_simulating import release

ENDLESS = "9" * 400
"""A number that a float holds as infinity."""


@pytest.fixture
def file(tmp_path: Path) -> str:
    found = tmp_path / "release.yaml"
    found.write_text(yaml.safe_dump(release()))
    return str(found)


def told(*args: str) -> str:
    """What the command says of an input it cannot use, however it came to be said."""
    done = CliRunner(env={"COLUMNS": None}).invoke(app, list(args))
    if isinstance(done.exception, CliError):
        assert done.exception.code is ExitCode.USAGE, done.exception
        return str(done.exception)
    assert done.exit_code == ExitCode.USAGE, (done.exception, done.output)
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize("rps", ["inf", "nan", "0", "-3", "1e9"])
def test_requests_a_second_are_a_number_that_a_service_can_have(file: str, rps: str) -> None:
    said = told("simulate", "-f", file, "--scenario", "healthy", "--runs", "1", "--rps", rps)
    assert "--rps" in said and "0.01" in said


@pytest.mark.parametrize(("option", "value"), [("--errors", "nan"), ("--p95", "nan"), ("--p95", "inf")])
def test_good_health_is_told_in_numbers(file: str, option: str, value: str) -> None:
    assert option in told("simulate", "-f", file, "--scenario", "healthy", "--runs", "1", option, value)


@pytest.mark.parametrize(
    ("scenario", "remedy"),
    [
        ("errors=2%@", "@35m"),
        ("errors=@", "@35m"),
        ("latency=+0%", "+25%"),
        ("latency=1x", "1.25x"),
        ("latency=0.5x", "1.25x"),
        (f"latency=+{ENDLESS}%", "+25%"),
        (f"quiet={ENDLESS}", "such as 3"),
        (f"leak={ENDLESS}", "such as 3"),
    ],
)
def test_a_scenario_that_would_be_another_one_or_none_is_not_taken(file: str, scenario: str, remedy: str) -> None:
    said = told("simulate", "-f", file, "--runs", "1", "--scenario", scenario)
    assert said.startswith("--scenario: ") and remedy in said


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--from", "-99999999d", "-7d"),
        ("--from", f"-{ENDLESS}d", "-7d"),
        ("--from", "-soon", "-7d"),
        ("--from", "0001-01-01T00:00:00+14:00", "-7d"),
        ("--to", "-99999999d", "-7d"),
        ("--incident", "-99999999d/now", "-7d"),
        ("--control", "99999999d", "7d"),
        ("--control", "soon", "7d"),
        ("--step", "99999999999h", "15s"),
        ("--step", "soon", "30s"),
        ("--namespace-label", "1bad", "letters"),
        ("--service-label", "a b", "letters"),
    ],
)
def test_a_past_or_a_label_that_cannot_be_is_told(file: str, option: str, value: str, remedy: str) -> None:
    said = told("backtest", "-f", file, "--prometheus", "http://unasked.invalid", option, value)
    assert option in said and value[:20].partition("/")[0] in said and remedy in said, said


@pytest.mark.parametrize("command", [("plan",), ("preflight", "--offline")])
@pytest.mark.parametrize("option", ["--namespace-label", "--service-label"])
def test_a_name_that_no_label_can_have_is_told(file: str, command: tuple[str, ...], option: str) -> None:
    said = told(*command, "-f", file, option, "1bad")
    assert said == f"{option}: '1bad' is no name of a label: letters, digits and _, with a letter or _ in front"


@pytest.mark.parametrize(("ago", "taken"), [("0d", False), ("0", False), ("59s", False), ("1m", True), ("7d", True)])
def test_a_service_is_not_compared_with_itself_as_it_is(ago: str, taken: bool) -> None:
    if taken:
        control = roles_of(None, None, ago).control
        assert control is not None and control >= timedelta(minutes=1)
        return
    with pytest.raises(CliError, match=r"--control.*itself.*7d") as caught:
        roles_of(None, None, ago)
    assert caught.value.code is ExitCode.USAGE
