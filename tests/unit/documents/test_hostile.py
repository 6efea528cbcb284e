"""Whatever a name or a sentence holds, it is text in every file."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.documents.environment import _texts, markdown
from sparkrelease.documents.files import documents
from sparkrelease.documents.report import LARGEST, policy
from unit.documents import runs


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture(scope="module")
def hostile() -> Mapping[str, str]:
    """A run every sentence, name and reason of which is hostile."""
    entries = runs.rechained(
        runs.by_command(reason=runs.HOSTILE[:500], restore_point=runs.HOSTILE[:250], user=runs.HOSTILE[:250]),
        release=f"shop/{runs.HOSTILE}",
        message=runs.HOSTILE,
    )
    return documents([], entries, runs.chain_of(entries))


def test_a_hostile_page_has_the_tags_and_attributes_of_any_other(hostile: Mapping[str, str]) -> None:
    entries = runs.by_command()
    plain = Tags(documents([], entries, runs.chain_of(entries))["report.html"])
    found = Tags(hostile["report.html"])
    assert found.tags <= plain.tags | {"figure", "figcaption"}
    assert not found.tags & {"script", "img", "iframe", "object", "link", "a", "form"}
    assert not [name for name in found.attributes if name == "style" or name.startswith("on")]


def test_the_page_loads_nothing_and_allows_its_own_style_alone(hostile: Mapping[str, str]) -> None:
    page = hostile["report.html"]
    assert not re.search(r"<[^>]+\b(?:src|href|action)\s*=", page)
    assert "url(" not in page and "@import" not in page
    assert f'content="{html.escape(policy()).replace("&#x27;", "&#39;")}"' in page
    assert policy().startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("kind", [".txt", ".md"])
def test_no_value_breaks_a_line_or_moves_a_cursor(hostile: Mapping[str, str], kind: str) -> None:
    for name, text in hostile.items():
        if name.endswith(kind):
            assert "\n# big" not in text and "\x1b" not in text and "\u202e" not in text, name


def test_markdown_holds_no_markup_of_a_value(hostile: Mapping[str, str]) -> None:
    for name in hostile:
        if not name.endswith(".md"):
            continue
        bare = re.sub(r"\\.", "", re.sub(r"`[^`]*`", "", hostile[name]))
        assert "<" not in bare and "](" not in bare and "https:" not in bare, name
        tables = re.findall(r"(?:^\|.*\n)+", bare, re.MULTILINE)
        assert tables, name
        for table in tables:
            assert len({row.count("|") for row in table.splitlines()}) == 1, "a value begins no cell of its own"


def test_templates_in_values_are_not_run(hostile: Mapping[str, str]) -> None:
    assert not [name for name, text in hostile.items() if re.search(r"rm.{0,90} 49 ", text)]


def test_data_files_have_the_hostile_text_as_it_is(hostile: Mapping[str, str]) -> None:
    assert json.loads(hostile["run.json"])["release"] == f"shop/{runs.HOSTILE}"
    rows = list(csv.DictReader(io.StringIO(hostile["data/observations.csv"])))
    assert rows and {row["release"] for row in rows} == {f"shop/{runs.HOSTILE}"}


@given(st.text())
def test_markdown_of_any_text_is_one_line_without_bare_markup(text: str) -> None:
    inert = markdown(text)
    assert len(inert.splitlines()) <= 1
    assert not re.search(r"[`*_{}\[\]<>|#~&$!]", re.sub(r"\\.", "", inert))


@pytest.mark.parametrize("value", [1.5, None])
def test_a_number_goes_into_a_document_by_a_word_for_it_only(value: object) -> None:
    with pytest.raises(TypeError, match="by a word for it"):
        _texts().from_string("{{ value }}").render(value=value)


def test_a_page_of_an_endless_run_still_fits_and_says_what_it_leaves_out() -> None:
    entries = runs.rechained(runs.stepped_back(), release="shop/shop", message="x" * 2000, times=60)
    page = documents([], entries, runs.chain_of(entries))["report.html"]
    assert len(page.encode()) < LARGEST
    assert "entries are not shown" in page and "more in run.json" in page


def test_a_page_of_the_largest_spec_still_fits() -> None:
    entries = runs.largest()
    page = documents([], entries, runs.chain_of(entries))["report.html"]
    assert len(page.encode()) < LARGEST
    assert "more metrics are in data/observations.csv" in page
