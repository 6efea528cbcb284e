"""`evidence replay`: from a cluster or from files, and what it leaves with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sparkrelease.api.reasons import Reason
from sparkrelease.cli.app import app
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.options import Format
from sparkrelease.cli.replay import replay_evidence, replay_files
from sparkrelease.decide.evidence import Entry, link
from sparkrelease.decide.facts import Counts
from sparkrelease.decide.plan import EntryDraft
from unit.cli.doors import FakeDoor
from unit.decide.world import World


def rolled_back() -> list[Entry]:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(30)
    return world.stored()


def rechained(entries: list[Entry], **changes: str) -> list[str]:
    """The whole chain hashed again, after the rollback's entry was changed: what an attacker with our source does."""
    lines: list[str] = []
    head = ""
    for entry in entries:
        fired = entry.kind == Reason.TRIGGER_FIRED.value
        kind, message = (changes.get("kind", entry.kind), changes.get("message")) if fired else (entry.kind, None)
        draft = EntryDraft(Reason.named(kind), message or entry.message, entry.data)
        at: Any = entry.at
        new = link(head, entry.number, at=at, release=entry.release, run=entry.run, draft=draft)
        lines.append(new.line)
        head = new.digest
    return lines


def config_map(entries: list[Entry], lines: list[str]) -> dict[str, Any]:
    run = entries[0].run
    meta = {"name": f"shop-{run}-evidence-000", "annotations": {"sparkrelease.dev/run": run}}
    return {"metadata": meta, "data": {"entries.jsonl": "".join(f"{line}\n" for line in lines)}}


def door(entries: list[Entry], lines: list[str]) -> FakeDoor:
    one = FakeDoor(None, namespace="shop")
    one.config_maps = [config_map(entries, lines)]
    return one


def test_a_true_run_is_reproduced(capsys: pytest.CaptureFixture[str]) -> None:
    entries = rolled_back()
    assert replay_evidence(door(entries, rechained(entries)), "shop", None, Format.TEXT) is ExitCode.FINE
    said = capsys.readouterr().out
    assert "4 of 4 decisions reproduced (6 entries)" in said
    assert "no status knows the head" in said


def test_a_verdict_changed_under_a_new_chain_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    entries = rolled_back()
    one = door(entries, rechained(entries, kind="GatePassed"))
    assert replay_evidence(one, "shop", None, Format.TEXT) is ExitCode.DIFFERS
    said = capsys.readouterr().out
    assert "entry 5 does not come out as it was recorded" in said
    for word in ("field       kind", "stored      GatePassed", "recomputed  TriggerFired"):
        assert word in said


def test_a_rollback_laid_at_another_rule_s_door_under_a_new_chain_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    entries = rolled_back()
    (fired,) = [place for place, entry in enumerate(entries) if entry.kind == Reason.TRIGGER_FIRED.value]
    assert entries[fired].data["trigger"] == "burst"
    entries[fired] = dataclasses.replace(entries[fired], data={**entries[fired].data, "trigger": "latency"})
    one = door(entries, rechained(entries))
    assert replay_evidence(one, "shop", None, Format.TEXT) is ExitCode.DIFFERS
    said = capsys.readouterr().out
    assert f"entry {fired + 1} does not come out as it was recorded" in said
    for word in ("field       data.trigger", "stored      latency", "recomputed  burst"):
        assert word in said


def test_a_broken_chain_is_not_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    entries = rolled_back()
    lines = rechained(entries)
    assert replay_evidence(door(entries, [*lines[:2], *lines[3:]]), "shop", None, Format.TEXT) is ExitCode.BAD
    said = capsys.readouterr().out
    assert "Dropped" in said and "reproduced" not in said


@pytest.mark.parametrize(
    ("changes", "code", "found"),
    [({}, ExitCode.FINE, None), ({"message": "fine"}, ExitCode.DIFFERS, "message")],
)
def test_json_has_the_whole_answer(
    changes: dict[str, str], code: ExitCode, found: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = rolled_back()
    assert replay_evidence(door(entries, rechained(entries, **changes)), "shop", None, Format.JSON) is code
    said = json.loads(capsys.readouterr().out)
    assert (said["intact"], said["of"]) == (True, 6)
    assert (said["difference"] or {}).get("field") == found


# ---------------------------------------------------------------- files


def test_evidence_in_files_needs_no_cluster(tmp_path: Path) -> None:
    entries = rolled_back()
    lines = rechained(entries)
    (tmp_path / "README.txt").write_text("not evidence")
    (tmp_path / "maps.yaml").write_text(yaml.safe_dump({"kind": "List", "items": [config_map(entries, lines)]}))
    done = CliRunner(env={"COLUMNS": None}).invoke(app, ["evidence", "replay", "shop", "--from-dir", str(tmp_path)])
    assert (done.exit_code, "4 of 4 decisions reproduced" in done.output) == (0, True), done.output
    (tmp_path / "maps.yaml").write_text(json.dumps(config_map(entries, rechained(entries, message="fine"))))
    assert replay_files(tmp_path, "shop", None, entries[0].run, Format.TEXT) is ExitCode.DIFFERS


def test_entries_in_a_file_of_lines_are_evidence_too(tmp_path: Path) -> None:
    entries = rolled_back()
    (tmp_path / "run.jsonl").write_text("\n".join(rechained(entries)))
    assert replay_files(tmp_path, "shop", None, None, Format.TEXT) is ExitCode.FINE
    assert replay_files(tmp_path, "other", None, None, Format.TEXT) is ExitCode.BAD


@pytest.mark.parametrize(
    ("name", "text", "run", "code"),
    [
        ("maps.yaml", "a: [", None, ExitCode.USAGE),
        ("run.jsonl", "no entry", None, ExitCode.USAGE),
        ("maps.yaml", "a: b", None, ExitCode.NOT_FOUND),
        ("maps.yaml", "a: b", "v2-abc", ExitCode.NOT_FOUND),
    ],
)
def test_files_without_the_evidence_asked_for_are_told(
    tmp_path: Path, name: str, text: str, run: str | None, code: ExitCode
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CliError) as caught:
        replay_files(tmp_path, "shop", None, run, Format.TEXT)
    assert caught.value.code is code
    with pytest.raises(CliError, match="neither a directory nor a file"):
        replay_files(tmp_path / "gone", "shop", None, run, Format.TEXT)
