"""release-notes.md: every table has its columns, and a release of five stages and six objectives fits on one page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from sparkrelease.documents.files import documents
from testbed.browser import browser, browser_or_skip
from testbed.markdown import table
from unit.documents import runs

PAPER = """<!doctype html><meta charset="utf-8"><style>
@page { size: A4; margin: 12mm } body { font: 11px/1.35 sans-serif; margin: 0 }
table { border-collapse: collapse; width: 100% } th, td { border: 1px solid #ccc; padding: 2px 5px }
</style>"""
"""A plain page, as a wiki or a pull request prints it."""


@pytest.fixture(scope="module")
def note() -> str:
    """Of a release that was rolled back in its fourth stage: it has everything a note can have."""
    with pytest.MonkeyPatch.context() as patch:
        entries = runs.showcase(patch)
    return documents([], entries, runs.chain_of(entries))["release-notes.md"]


def test_the_stages_say_traffic_duration_status_and_metrics(note: str) -> None:
    head, *rows = table(note, "Stages")
    assert head == ["stage", "traffic", "duration", "status", "metrics"]
    assert [row[0] for row in rows] == ["one", "five", "quarter", "half", "full"]
    assert [row[4] for row in rows] == ["6/6", "6/6", "6/6", "5/6 (last look)", "-"]


def test_every_objective_has_its_limit_and_a_value_for_each_stage(note: str) -> None:
    head, *rows = table(note, "Metrics by stage")
    assert head == ["objective", "limit", "one", "five", "quarter", "half (last look)"]
    assert len(rows) == 6
    assert {len(row) for row in rows} == {6}
    errors = next(row for row in rows if row[0] == "http-5xx")
    assert errors[1] == "≤ 1 %"
    assert all(re.fullmatch(r"[\d.]+ % ✔ \([\d.]+ %\)", cell) for cell in errors[2:5])
    assert re.fullmatch(r"[\d.]+ % ✖ \([\d.]+ %\)", errors[5])


def test_a_rollback_has_its_rule_its_times_and_its_evidence(note: str) -> None:
    head, (rule, decided, recovery, weight, evidence) = table(note, "Rollback events")
    assert head == ["rule", "decided", "recovery time", "from", "evidence"]
    assert (rule, recovery, weight) == ("comparison/http", "0.4 s", "50 %")
    assert decided.endswith(" UTC") and evidence.startswith("entry ")


def test_each_risk_has_a_description_an_owner_a_date_a_mitigation_and_a_status(note: str) -> None:
    head, *rows = table(note, "Remaining risks")
    assert head == ["description", "owner", "due", "mitigation", "status"]
    assert len(rows) >= 3
    assert all(len(row) == len(head) and all(row) for row in rows)
    assert {tuple(row[1:3]) for row in rows} == {("to be named", "to be named")}, "only people can say these"
    assert {row[4].partition(" ")[0] for row in rows} <= {"open", "seen"}
    first = rows[0]
    assert "v1.4.0 was rolled back" in first[0] and first[3:] == ["find the cause, then a new version", "open"]


@pytest.mark.slow
def test_it_prints_on_one_page(note: str, tmp_path: Path) -> None:
    program = browser_or_skip()
    page = tmp_path / "note.html"
    page.write_text(PAPER + MarkdownIt("commonmark").enable("table").render(note), encoding="utf-8")
    with browser(program) as window:
        window.open(page, width=800)
        assert window.run("document.querySelectorAll('table').length") == 4
        assert window.printed().count(b"/Type /Page\n") == 1
