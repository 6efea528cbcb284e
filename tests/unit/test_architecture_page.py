"""docs/architecture.md answers where things are: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
TEXT = PAGE.read_text()
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)", TEXT)))
ROWS = [line for line in TEXT.splitlines() if line.startswith(("| where", "| when", "| which", "| in which"))]
ASKED = ("a weight is decided", "a weight is written", "a condition is set", "PromQL is built", "evidence is hashed")


@pytest.mark.parametrize("link", LINKS)
def test_what_the_page_links_to_is_there(link: str) -> None:
    assert (PAGE.parent / link).exists()


@pytest.mark.parametrize("row", ROWS)
def test_a_module_named_beside_another_is_beside_it(row: str) -> None:
    files = [PAGE.parent / link for link in re.findall(r"\]\(([^)]+)", row)]
    folders = {file if file.is_dir() else file.parent for file in files}
    source = PAGE.parents[1] / "operator" / "sparkrelease"
    for name in re.findall(r"`([\w/]+\.py)`", row):
        places = [*(folder / name for folder in folders), source / name]
        assert any(place.exists() for place in places), name


@pytest.mark.parametrize("question", ASKED)
def test_five_questions_are_answered_in_one_row_each(question: str) -> None:
    assert len([row for row in ROWS if f"where {question} |" in row]) == 1


def test_every_invariant_has_its_row_and_what_shows_it_is_there() -> None:
    table = TEXT.split("| invariant |", 1)[1].splitlines()[2:]
    assert [int(row.split()[1]) for row in table] == list(range(1, 17))
    named = [re.findall(r"`(tests/[\w/.]+)`", row) for row in table]
    assert all(named)
    assert [name for names in named for name in names if not (PAGE.parents[1] / name).exists()] == []


def test_a_scenario_that_makes_its_own_shops_has_their_promises_checked_or_is_named_as_not_watched() -> None:
    unwatched = []
    for file in sorted((PAGE.parents[1] / "tests" / "e2e").glob("test_*.py")):
        text = file.read_text()
        if re.search(r"\b(\w*Shop|FlagDesk)\(", text) and not re.search(r"== \[\]|assert not", _checks(text)):
            unwatched.append(f"tests/e2e/{file.name}")
    named = TEXT.split("One scenario is not watched:", 1)[1].split(".\n", 1)[0]
    assert unwatched == re.findall(r"`([\w/.]+)`", named)


def _checks(text: str) -> str:
    """The lines in which the promises are checked."""
    return "\n".join(line for line in text.splitlines() if "promises_broken(" in line)
