"""The page of the protocol names tests and pages that are there, and each of the two ready-made policies."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "protocol.md"


def test_everything_the_page_of_the_protocol_links_to_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 20
    missing = [link for link in links if not (PAGE.parent / link).exists()]
    assert missing == []


def test_every_part_of_the_protocol_that_is_there_names_a_test() -> None:
    parts = PAGE.read_text(encoding="utf-8").partition("| scenarios |")[0]  # a table about figures follows
    rows = [line for line in parts.splitlines() if line.startswith("| ") and "---" not in line]
    shown = [row for row in rows if not row.startswith("| part") and "not there yet" not in row]
    assert len(shown) > 15
    assert [row for row in shown if ".py" not in row.split("|")[3]] == []


def test_a_scenario_named_after_a_row_is_shown_in_it() -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    scenarios = sorted(path.name for path in (PROJECT / "tests" / "e2e").glob("test_[abc][0-9]*_*.py"))
    assert len(scenarios) > 15
    for name in scenarios:
        row = name.split("_")[1].upper()
        assert [line for line in page if f"**{row}**" in line and f"`{name}`" in line], name


def test_every_numbered_row_that_is_there_has_a_scenario_named_after_it() -> None:
    page = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "not there yet" not in line]
    rows = {row for line in page for row in re.findall(r"^\| \*\*([AB]\d+)\*\*", line)}
    numbers = {"A": (*range(1, 12), 14, 15), "B": (1, 2, 3, 4, 5, 7, 8)}
    assert {f"{part}{number}" for part, those in numbers.items() for number in those} <= rows
    assert [row for row in rows if not list((PROJECT / "tests" / "e2e").glob(f"test_{row.lower()}_*.py"))] == []


def test_what_was_planned_next_names_its_scenarios() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| **C** ")]
    scenarios = sorted(path.name for path in (PROJECT / "tests" / "e2e").glob("test_c_*.py"))
    assert len(scenarios) > 1
    assert [name for name in scenarios if not any(f"`{name}`" in row.split("|")[3] for row in rows)] == []
    assert [row for row in rows if "not there yet" not in row and ".py`" not in row.split("|")[3]] == []
