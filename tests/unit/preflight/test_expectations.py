"""One line of an expectation: what is read of it, and what meets it."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.expectations import EXPECTATION, Expectation, Op, number_of, read_expectation, steps_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("line", "kind", "read"),
    [
        ("value < 0.1", "promql", Expectation("value", Op.BELOW, "0.1")),
        ("status == 204", "http", Expectation("status", Op.EQUAL, "204")),
        ("X-Build-SHA", "http", Expectation("X-Build-SHA")),
        ("Content-Security-Policy has default-src 'self'", "http",
         Expectation("Content-Security-Policy", Op.HAS, "default-src 'self'")),
        (".checks[0].score >= 0.8", "http", Expectation(".checks[0].score", Op.AT_LEAST, "0.8")),
        ("licenses in MIT, Apache-2.0", "sbom", Expectation("licenses", Op.IN, "MIT, Apache-2.0")),
        ("high <= 5", "vulnerabilities", Expectation("high", Op.AT_MOST, "5")),
        ("Content-Security-Policy lacks *, 'unsafe-eval'", "http",
         Expectation("Content-Security-Policy", Op.LACKS, "*, 'unsafe-eval'")),
        ("log has 0 pending", "job", Expectation("log", Op.HAS, "0 pending")),
    ],
)  # fmt: skip
def test_a_line_is_read_as_it_is_written(line: str, kind: str, read: Expectation) -> None:
    assert read_expectation(line, kind) == read
    assert read.text == line
    assert re.search(EXPECTATION, line)


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ("value", "promql", "needs one of"),
        ("value < much", "promql", "not a number"),
        ("value < NaN", "promql", "not a number"),
        ("value < inf", "promql", "not a number"),
        ("values < 1", "promql", "nothing that promql knows"),
        ("status === 200", "http", "not a subject"),
        ("value<1", "promql", "not a subject"),
        (".a..b == 1", "http", "not a path"),
        (". == 1", "http", "is not a subject"),
        ("licenses == MIT", "sbom", "needs one of"),
        ("licenses in  , ", "sbom", "the list is empty"),
        ("Server lacks ,", "http", "the list is empty"),
        ("log lacks error", "job", "needs one of"),
        ("critical == 0", "sbom", "nothing that sbom knows"),
        ("anything", "file", "nothing that file knows"),
    ],
)
def test_a_line_that_means_nothing_is_refused_with_the_reason(line: str, kind: str, says: str) -> None:
    told = read_expectation(line, kind)
    assert isinstance(told, str)
    assert says in told


@given(FINITE, FINITE)
def test_numbers_compare_as_numbers_do(one: float, other: float) -> None:
    def holds(op: str) -> bool:
        read = read_expectation(f"value {op} {other!r}", "promql")
        assert isinstance(read, Expectation)
        return read.holds_of(repr(one))

    assert holds("<") is (one < other)
    assert holds("<=") is (one <= other)
    assert holds(">") is (one > other)
    assert holds(">=") is (one >= other)
    assert holds("==") is (one == other)
    assert holds("!=") is (one != other)


@given(st.text(max_size=20))
def test_no_text_but_a_finite_decimal_number_is_a_number(text: str) -> None:
    number = number_of(text)
    assert math.isnan(number) or (math.isfinite(number) and float(text) == number)


@given(st.text(max_size=40), st.sampled_from(["promql", "http", "job", "file", "sbom", "provenance"]))
def test_reading_never_fails_otherwise_than_with_a_sentence(text: str, kind: str) -> None:
    assert read_expectation(text, kind)


def test_a_number_is_never_met_by_a_text() -> None:
    assert not Expectation("status", Op.AT_MOST, "5").holds_of("none")
    assert not Expectation("status", Op.ABOVE, "5").holds_of("")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("default-src 'self' https://*.example.com; report-uri /r", ()),
        ("default-src *", ("*",)),
        ("default-src 'self';script-src * 'Unsafe-Eval'", ("*", "'unsafe-eval'")),
        ("default-src 'self', script-src HTTPS:", ("https:",)),
        ("img-src https://a.example", ()),
        ("", ()),
    ],
)
def test_a_text_lacks_what_is_no_word_of_it_however_it_is_written(found: str, words: tuple[str, ...]) -> None:
    line = Expectation("Content-Security-Policy", Op.LACKS, "*, https:, 'unsafe-eval'")
    assert line.names_in(found) == words
    assert line.holds_of(found) is not bool(words)


def test_a_path_is_names_and_places() -> None:
    assert steps_of(".data.items[0].a-b") == ("data", "items", 0, "a-b")
    assert steps_of(".[2].x") == (2, "x")
