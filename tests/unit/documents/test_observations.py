"""Observations are flat, complete, and true to the readings they come from."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sparkrelease.decide.facts import Buckets
from sparkrelease.documents.files import documents
from sparkrelease.documents.observations import COLUMNS, comma_separated, json_lines, observations_of
from sparkrelease.documents.results import quantile_of
from unit.documents import runs

PAGE = Path(__file__).resolve().parents[3] / "docs" / "evidence-documents.md"


def test_json_lines_and_csv_have_the_same_rows_and_the_same_columns_in_each() -> None:
    rows = observations_of(runs.run_of(runs.rolled_back()))
    lines = [json.loads(line) for line in json_lines(rows).splitlines()]
    table = list(csv.DictReader(io.StringIO(comma_separated(rows))))
    assert len(rows) == len(lines) == len(table) > 4
    assert {tuple(line) for line in lines} == {COLUMNS}
    for line, row in zip(lines, table, strict=True):
        assert {key: "" if one is None else str(one) for key, one in line.items()} == row


def test_no_row_is_nested_and_no_column_has_two_types() -> None:
    lines = [json.loads(line) for line in json_lines(observations_of(runs.run_of(runs.stepped_back()))).splitlines()]
    for column in COLUMNS:
        kinds = {type(line[column]) for line in lines if line[column] is not None}
        assert kinds <= {str} or kinds <= {int} or kinds <= {float}, column


def test_every_reading_and_gate_of_the_run_is_there_once() -> None:
    rows = observations_of(runs.run_of(runs.rolled_back()))
    breach = [row for row in rows if row.source == "reading" and row.role == "canary" and row.bad == 500]
    assert [(row.metric, row.total, row.window_seconds, row.stage) for row in breach] == [("http", 1000, 60, "quarter")]
    gates = [row for row in rows if row.source == "gate"]
    assert {(row.rule, row.metric, row.role) for row in gates} == {
        ("errors", "http", "canary"),
        ("errors", "http", "stable"),
    }
    shares = {row.role: row.total for row in rows if row.source == "share"}
    assert shares == {"canary": 250, "stable": 750}
    told = [str(replace(row, entry=0, stage="", weight=None)) for row in rows]
    assert len(told) == len(set(told))


def test_numbers_json_lacks_are_empty() -> None:
    rows = observations_of(runs.run_of(runs.rolled_back()))
    assert json.loads(json_lines([replace(rows[0], value=float("nan"))]))["value"] is None


@pytest.mark.parametrize(
    ("edges", "total", "expected"),
    [
        ({0.1: 50, 0.2: 100}, 100, 0.19),
        ({0.1: 100}, 100, 0.095),
        ({0.1: 50, 0.2: 60}, 100, 0.2),
        ({0.1: 0, 0.2: 100}, 100, 0.195),
        ({}, 100, None),
        ({0.1: 0}, 0, None),
    ],
)
def test_quantiles_are_interpolated_as_histogram_quantile_does(
    edges: dict[float, float], total: float, expected: float | None
) -> None:
    found = quantile_of(Buckets(edges, total), 0.95)
    assert found == (pytest.approx(expected) if expected is not None else None)


def test_the_documentation_names_every_file_and_every_column() -> None:
    text = PAGE.read_text(encoding="utf-8")
    entries = runs.rolled_back()
    for name in documents([], entries, runs.chain_of(entries)):
        assert f"`{re.sub(r'_[0-9TZ]+[.]', '_<time>.', name)}`" in text, name
    for column in COLUMNS:
        assert f"`{column}`" in text, column
