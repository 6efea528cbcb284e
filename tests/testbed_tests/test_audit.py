"""The audit log is read while it is being written."""

from __future__ import annotations

import json
from pathlib import Path

from testbed.audit import AuditLog

AT = "2026-11-26T11:00:00.000000Z"


def line(name: str) -> bytes:
    about = {"resource": "sparkreleases", "namespace": "shop", "name": name}
    event = {
        "verb": "patch",
        "objectRef": about,
        "stage": "ResponseComplete",
        "requestReceivedTimestamp": AT,
        "stageTimestamp": AT,
    }
    return json.dumps(event).encode() + b"\n"


def names(log: AuditLog, since: int = 0) -> list[str]:
    return [event.name for event in log.events(since)]


def test_a_cursor_taken_in_the_middle_of_a_line_is_behind_that_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.path.write_bytes(line("first") + line("second")[:40])
    since = log.cursor()
    log.path.write_bytes(line("first") + line("second") + line("third"))
    assert names(log, since) == ["third"]


def test_a_cursor_at_the_end_of_a_line_leaves_nothing_out(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    assert log.cursor() == 0
    log.path.write_bytes(line("first"))
    since = log.cursor()
    log.path.write_bytes(line("first") + line("second"))
    assert names(log) == ["first", "second"]
    assert names(log, since) == ["second"]


def test_a_line_that_is_being_written_is_left_for_next_time(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.path.write_bytes(line("first") + line("second")[:40])
    assert names(log) == ["first"]
