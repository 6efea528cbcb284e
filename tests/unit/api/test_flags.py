"""The ladder of a feature flag: what is written for a weight, and which weight a value means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.flags import LADDER, value_of, weight_of


@pytest.mark.parametrize(("weight", "value"), LADDER.items())
def test_every_rung_is_written_and_read_as_the_same_weight(weight: float, value: str) -> None:
    assert value_of(weight) == value
    assert weight_of(value) == weight


@pytest.mark.parametrize(
    ("value", "weight"), [("1", 100), ("0.10", 10), (" 0.5\n", 50), ("0.3", 30), ("0.0", 0), (" preview ", 1)]
)
def test_what_people_write_is_read_as_the_share_it_is(value: str, weight: float) -> None:
    assert weight_of(value) == weight


@pytest.mark.parametrize("value", ["", "on", "true", "Preview", "1.01", "-0.1", "nan", "inf", "50%", "0,5"])
def test_what_is_no_share_means_nothing(value: str) -> None:
    assert weight_of(value) is None


@given(st.floats(0, 100).filter(lambda weight: round(weight, 3) not in LADDER))
def test_a_weight_between_the_rungs_has_no_value(weight: float) -> None:
    assert value_of(weight) is None


@given(st.text(max_size=20))
def test_any_text_means_a_weight_from_0_to_100_or_nothing(value: str) -> None:
    weight = weight_of(value)
    assert weight is None or 0 <= weight <= 100
