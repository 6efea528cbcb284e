"""`evidence export` and `report`: from a cluster, from an earlier export, and what they leave with."""

from __future__ import annotations

import dataclasses
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sparkrelease.cli.app import app
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.export import Source, export, write_report
from sparkrelease.decide.evidence import Entry
from unit.cli.doors import FakeDoor
from unit.cli.test_replay import config_map, rechained, rolled_back


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return rolled_back()


def source(entries: list[Entry], lines: list[str], name: str = "shop") -> Source:
    door = FakeDoor(None, namespace="shop")
    door.config_maps = [config_map(entries, lines)]
    return Source(name, None, cluster=door)


def invoke(*args: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": None}).invoke(app, list(args))
    return done.exit_code, done.output


def test_an_export_writes_every_file_and_says_which(
    entries: list[Entry], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "folder"
    assert export(source(entries, rechained(entries)), folder) is ExitCode.FINE
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    said = capsys.readouterr().out
    assert len(written) == 17 and f"wrote 17 files of run {entries[0].run}" in said
    assert not [name for name in written if name not in said]
    assert (folder / "evidence.jsonl").read_text().splitlines() == rechained(entries)


def test_an_export_is_evidence_itself(entries: list[Entry], tmp_path: Path) -> None:
    """Verified, replayed, exported again to the same bytes, and reported, without a cluster."""
    first, second = tmp_path / "first", tmp_path / "second"
    export(source(entries, rechained(entries)), first)
    kept = ("shop", "--from-dir", str(first))
    assert invoke("evidence", "verify", *kept)[0] == 0
    assert invoke("evidence", "replay", *kept)[0] == 0
    assert invoke("evidence", "export", *kept, str(second))[0] == 0
    one = {path.name: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    other = {path.name: path.read_bytes() for path in second.rglob("*") if path.is_file()}
    assert one == other
    code, said = invoke("report", *kept, "--no-open", "-o", str(tmp_path / "page.html"))
    assert (code, "Rolled back: v2 went back from 25 %" in said) == (0, True)
    assert (tmp_path / "page.html").read_bytes() == one["report.html"]


def test_the_chain_alone_is_enough(entries: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    file.write_text("\n".join(rechained(entries)))
    code, said = invoke("evidence", "export", "shop", "--from-dir", str(file), str(tmp_path / "out"))
    assert (code, "wrote 17 files" in said) == (0, True)


def test_a_broken_chain_is_exported_and_said_with_exit_code_1(
    entries: list[Entry], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rechained(entries)
    broken = source(entries, [*lines[:2], *lines[3:]])
    assert export(broken, tmp_path) is ExitCode.BAD
    assert "entry 3 is missing" in capsys.readouterr().err
    assert "entry 3 is missing" in (tmp_path / "report.html").read_text()
    assert write_report(broken, tmp_path / "page.html", show=False) is ExitCode.BAD


def test_evidence_without_its_start_has_no_documents(entries: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(CliError, match="has no documents: no entry tells of the start") as caught:
        export(source(entries, rechained(entries)[1:]), tmp_path)
    assert caught.value.code is ExitCode.BAD
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(entries: list[Entry], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CliError, match="cannot be written") as caught:
        export(source(entries, rechained(entries)), tmp_path / "file")
    assert caught.value.code is ExitCode.USAGE


def test_the_report_is_opened_unless_told_otherwise(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or False)
    monkeypatch.chdir(tmp_path)
    one = source(entries, rechained(entries))
    assert write_report(one, None, show=True) is ExitCode.FINE
    assert opened == [(tmp_path / f"shop-{entries[0].run}-report.html").as_uri()]
    assert "no browser could be opened" in capsys.readouterr().err
    write_report(one, None, show=False)
    assert len(opened) == 1


def test_a_forged_run_does_not_choose_the_folder_of_its_report(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = rechained([dataclasses.replace(entry, run="../../evil") for entry in entries])
    (tmp_path / "evidence.jsonl").write_text("\n".join(forged))
    inside = tmp_path / "one" / "two"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert write_report(Source("shop", None, kept=tmp_path), None, show=False) is ExitCode.FINE
    assert [path.parent for path in tmp_path.rglob("*report.html")] == [inside]


@pytest.mark.parametrize("option", ["--stage", "--restore-point"])
def test_what_goes_with_a_rollback_says_something(option: str) -> None:
    code, said = invoke("rollback", "shop", "--reason", "bad", option, "  ")
    assert (code, "name the" in said) == (2, True)
