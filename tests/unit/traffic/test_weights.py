from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.traffic.gateway_api.weights import Pair, pair_of, percent_of, said_otherwise


def test_every_thousandth_comes_back_as_it_was_and_sums_to_the_whole() -> None:
    for thousandths in range(100_001):
        wanted = round(thousandths / 1000, 3)
        pair = pair_of(wanted)
        assert pair.stable + pair.canary == (100 if thousandths % 1000 == 0 else 100_000)
        assert percent_of(pair.canary, pair.stable + pair.canary) == wanted


@given(st.integers(0, 100_000))
def test_the_same_share_by_other_numbers_is_one_the_api_takes(thousandths: int) -> None:
    pair = pair_of(round(thousandths / 1000, 3))
    other = said_otherwise(pair)
    assert other != pair
    assert max(other.stable, other.canary) <= 1_000_000
    whole, other_whole = pair.stable + pair.canary, other.stable + other.canary
    assert percent_of(pair.canary, whole) == percent_of(other.canary, other_whole)


@pytest.mark.parametrize(("percent", "pair"), [(0, (100, 0)), (1, (99, 1)), (0.1, (99_900, 100)), (100, (0, 100))])
def test_weights_read_as_people_write_them(percent: float, pair: tuple[int, int]) -> None:
    assert pair_of(percent) == Pair(*pair)


@pytest.mark.parametrize("percent", [-0.001, 100.001, 0.0005, float("nan"), float("inf")])
def test_a_share_that_cannot_be_written_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="a weight"):
        pair_of(percent)


@given(st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_foreign_weights_read_as_a_share_or_as_nothing(stable: int, canary: int) -> None:
    share = percent_of(canary, stable + canary)
    assert share is None if stable + canary == 0 else share is not None and 0 <= share <= 100
