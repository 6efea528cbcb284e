"""What a test has accumulated goes through a status unchanged, and nothing else is taken for it."""

from __future__ import annotations

import base64
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api import status
from sparkrelease.decide.stats.edges import MOST_CANDIDATES, MOST_CHANNELS
from sparkrelease.decide.stats.eprocess import ALTERNATIVES, MULTIPLES, TALLIES, Channel
from sparkrelease.decide.stats.packing import LAYOUT, Candidates, Seen, State, pack, unpack

single = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**80), max_value=2.0**80)


def floats(count: int) -> st.SearchStrategy[array[float]]:
    return st.lists(single, min_size=count, max_size=count).map(lambda found: array("f", found))


sums = floats(TALLIES + len(MULTIPLES))
channels = st.builds(Channel, single, floats(len(ALTERNATIVES)), sums, sums)


@st.composite
def candidates(draw: st.DrawFn) -> Candidates:
    count = draw(st.integers(1, 20))
    return Candidates(tuple(draw(floats(count))), tuple(draw(floats(count))), draw(single))


states = st.builds(
    State,
    st.integers(0, 2**32 - 1),
    st.integers(1, 255),
    st.sampled_from(Seen),
    st.integers(0, 255),
    floats(4),
    st.none() | candidates(),
    st.lists(channels, max_size=3).map(tuple),
)


@pytest.mark.slow
@given(states)
def test_what_is_packed_is_what_is_unpacked_bit_by_bit(state: State) -> None:
    text = pack(state)
    again = unpack(text)
    assert again == state
    assert pack(again) == text


@given(st.integers(0, 3), st.none() | st.integers(1, MOST_CANDIDATES), st.data())
def test_a_text_of_another_length_is_read_as_nothing(count: int, edges: int | None, data: st.DataObject) -> None:
    """Whatever the numbers are, it is their count that a length is right for."""
    half, sums = array("f", [0.5]) * len(ALTERNATIVES), array("f", [1.5]) * (TALLIES + len(MULTIPLES))
    found = None if edges is None else Candidates((0.1,) * edges, (2.0,) * edges, 1.0)
    raw = base64.b64decode(pack(State(7, candidates=found, channels=(Channel(0.1, half, sums, sums),) * count)))
    cut = data.draw(st.integers(0, len(raw) - 1))
    assert unpack(base64.b64encode(raw[:cut]).decode()) is None
    assert unpack(base64.b64encode(raw + b"\0" * 4).decode()) is None


@given(st.text(max_size=100))
def test_no_text_makes_reading_fail(text: str) -> None:
    assert unpack(text) is None


@pytest.mark.parametrize("place", [0, 4])
def test_another_layout_and_an_unknown_window_are_read_as_nothing(place: int) -> None:
    raw = bytearray(base64.b64decode(pack(State(7))))
    assert raw[0] == LAYOUT
    raw[place] = 99
    assert unpack(base64.b64encode(bytes(raw)).decode()) is None


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_read_as_nothing(odd: float) -> None:
    assert unpack(pack(State(7, requests=array("f", [1.0, odd, 0.0, 0.0])))) is None


def test_the_largest_states_fit_into_a_status() -> None:
    limit = next(m.max_length for m in status.TestState.model_fields["state"].metadata if hasattr(m, "max_length"))
    ch = Channel(0.1, array("f", [0.0] * len(ALTERNATIVES)), *[array("f", [0.0] * (TALLIES + len(MULTIPLES)))] * 2)
    testing = State(7, channels=(ch,) * MOST_CHANNELS)
    choosing = State(7, candidates=Candidates((0.1,) * MOST_CANDIDATES, (1.0,) * MOST_CANDIDATES, 1.0))
    assert max(len(pack(testing)), len(pack(choosing))) <= limit


def test_the_layout_is_little_endian_whatever_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(0x01020304, requests=array("f", [1.0, 2.0, 0.0, 0.0]))
    raw = base64.b64decode(pack(state))
    assert raw == bytes([LAYOUT, 0, 0, 1, 0, 0, 0, 0, 4, 3, 2, 1]) + bytes.fromhex("0000803f00000040") + bytes(8)
