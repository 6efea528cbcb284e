"""Spans, shares and digests as a person reads them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.cli.options import reason, seconds
from sparkrelease.cli.render.words import clean, count, percent, short_digest, span


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(milliseconds=400), "0.4s"),
        (timedelta(seconds=4), "4s"),
        (timedelta(seconds=9.96), "10s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(minutes=1), "1m"),
        (timedelta(minutes=12, seconds=30), "12m30s"),
        (timedelta(hours=3, seconds=20), "3h"),
        (timedelta(days=2, hours=4, minutes=59), "2d4h"),
    ],
)
def test_a_span_shows_its_two_largest_units(length: timedelta, text: str) -> None:
    assert span(length) == text


@given(st.timedeltas(timedelta(days=-1), timedelta(days=4000)))
def test_every_span_is_short_and_never_empty(length: timedelta) -> None:
    assert 2 <= len(span(length)) <= 8


@pytest.mark.parametrize(
    ("weight", "text"), [(None, "-"), (0.0, "0 %"), (25.0, "25 %"), (0.125, "0.125 %"), (33.333, "33.333 %")]
)
def test_a_share_shows_the_digits_it_has(weight: float | None, text: str) -> None:
    assert percent(weight) == text


def test_one_is_not_many() -> None:
    assert [count(n, "entry", "entries") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]


def test_a_digest_is_cut_where_the_eye_has_enough() -> None:
    assert short_digest("sha256:" + "a" * 64) == "sha256:" + "a" * 16 + "…"
    assert short_digest("") == ""


@given(st.text())
def test_clean_text_keeps_its_length_and_has_no_control_characters(text: str) -> None:
    assert len(clean(text)) == len(text)
    assert clean(text).isprintable()


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("2m", 120), ("500ms", 0.5), ("1.5", 1.5), ("1h", 3600)])
def test_a_timeout_is_read_with_or_without_its_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1m30s", "soon"])
def test_what_is_no_timeout_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(text)


def test_a_reason_is_one_line_and_says_something() -> None:
    assert reason("  orders\n are lost ") == "orders are lost"
    assert reason(None) is None
    for empty in ("", " \n"):
        with pytest.raises(typer.BadParameter):
            reason(empty)
