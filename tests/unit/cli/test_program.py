"""The program as a whole: quick help, documented exit codes, one sentence per error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sparkrelease import __version__
from sparkrelease.cli import app
from sparkrelease.cli.exits import CliError, ExitCode

PROGRAM = Path(sys.executable).with_name("kubectl-sparkrelease")
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROGRAM), *args], capture_output=True, text=True, timeout=60, check=False)


def test_help_needs_neither_the_kubernetes_client_nor_the_models() -> None:
    probe = (
        "import sys; from sparkrelease.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print([m for m in ('kubernetes', 'pydantic', 'yaml', 'urllib3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


COMMANDS = [
    ["status"],
    ["watch"],
    ["dashboard"],
    ["list"],
    ["rollback"],
    ["pause"],
    ["resume"],
    ["retry"],
    ["settle"],
    ["promote"],
    ["evidence", "verify"],
    ["evidence", "show"],
    ["evidence", "replay"],
    ["evidence", "export"],
    ["report"],
    ["plan"],
    ["backtest"],
]
OFFLINE = [["simulate"]]
"""Commands that need no cluster."""


@pytest.mark.parametrize("command", [[], *COMMANDS, *OFFLINE], ids=" ".join)
def test_every_help_tells_the_exit_codes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        app.app([*command, "--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for code in ExitCode:
        assert re.search(rf"\b{code.value} [a-z]", text)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_takes_the_flags_kubectl_users_expect(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        app.app([*command, "--help"])
    text = capsys.readouterr().out
    for flag in ("--namespace", "-n", "--kubeconfig", "--context"):
        assert flag in text


def test_the_documentation_has_every_command_and_every_exit_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for command in [*COMMANDS, *OFFLINE]:
        assert f"kubectl sparkrelease {' '.join(command)}" in text
    for code in ExitCode:
        assert re.search(rf"^\| {code.value} \|", text, re.MULTILINE)


def test_the_version_is_the_package_s() -> None:
    done = run("version")
    assert (done.returncode, done.stdout) == (0, f"kubectl-sparkrelease {__version__}\n")


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.FINE])
def test_an_error_is_one_sentence_on_standard_error_and_its_exit_code(
    code: ExitCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise CliError(code, "it is [red]so\x1b[31m")

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(SystemExit) as left:
        app.main()
    said = capsys.readouterr()
    assert (left.value.code, said.out, said.err) == (code.value, "", "error: it is [red]so [31m\n")


@pytest.mark.parametrize(("flags", "full"), [([], False), (["--stage"], False), (["--full"], True)])
def test_promote_skips_one_gate_unless_all_are_asked_for(
    flags: list[str], full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(app, "_connect", lambda *_: None)
    monkeypatch.setattr(app, "_ask", lambda *_, **more: asked.append(more))
    monkeypatch.setattr(sys, "argv", ["kubectl-sparkrelease", "promote", "shop", "--reason", "seen", *flags])
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code in {None, 0}
    assert [one["full"] for one in asked] == [full]


def test_one_gate_and_all_of_them_cannot_be_meant_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "_ask", lambda *_, **__: pytest.fail("nothing is asked for"))
    monkeypatch.setattr(
        sys, "argv", ["kubectl-sparkrelease", "promote", "shop", "--reason", "seen", "--stage", "--full"]
    )
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code == ExitCode.USAGE
    assert "--stage and --full" in capsys.readouterr().err


def test_without_any_kubeconfig_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    done = run("list")
    assert done.returncode == ExitCode.USAGE
    assert "kubeconfig" in done.stderr.lower()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "told"), [("nonsense", "config"), ("", "config"), ("apiVersion: v1\nkind: Config\n", "config")]
)
def test_a_kubeconfig_that_is_none_is_a_usage_error(
    tmp_path: Path, content: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    monkeypatch.setattr(sys, "argv", ["kubectl-sparkrelease", "list", "--kubeconfig", str(file)])
    with pytest.raises(SystemExit) as left:
        app.main()
    said = capsys.readouterr().err
    assert (left.value.code, "Traceback" in said, told in said) == (ExitCode.USAGE, False, True)
