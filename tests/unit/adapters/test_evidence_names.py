"""Names and pieces of evidence: valid for the API server whatever a version is called, and never a byte lost."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.kubernetes.evidence import evidence_name, first_piece, label_value, name_part

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")

RELEASES = st.from_regex(
    r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,3}", fullmatch=True
)
RUNS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=160)


@given(RELEASES, RUNS, st.integers(0, 5000))
def test_every_run_has_a_valid_name(release: str, run: str, index: int) -> None:
    name = evidence_name(release, run, index)
    assert SUBDOMAIN.fullmatch(name), name
    assert len(name) <= 253
    assert name.endswith(f"-evidence-{index:03d}")


@given(RUNS)
def test_every_run_has_a_valid_label(run: str) -> None:
    value = label_value(run)
    assert LABEL.fullmatch(value), value
    assert 0 < len(value) <= 63


@given(RUNS, RUNS)
def test_different_runs_have_different_names_and_labels(one: str, other: str) -> None:
    assert (one == other) == (name_part(one) == name_part(other))
    assert (one == other) == (label_value(one) == label_value(other))


def test_a_plain_run_is_named_as_it_is() -> None:
    assert evidence_name("shop", "v1.4.0-6c1f0a", 7) == "shop-v1.4.0-6c1f0a-evidence-007"


@given(
    st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40)),
    st.integers(8, 60),
)
def test_pieces_fit_and_together_are_the_whole(lines: list[str], limit: int) -> None:
    text = "".join(f"{line}\n" for line in lines)
    pieces = []
    rest = text
    while rest:
        pieces.append(first_piece(rest, limit))
        rest = rest[len(pieces[-1]) :]
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= limit for piece in pieces)
    for piece in pieces:
        if not piece.endswith("\n"):
            assert "\n" not in piece, "a line is cut only when it does not fit by itself"
