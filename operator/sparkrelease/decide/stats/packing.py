"""What a test has accumulated, and how a status holds it: base64 of little-endian numbers.

    header      layout, channels, candidates, beginnings, last window, windows of that kind in a row (6 x u8),
                nothing (u16), start of the stage in whole seconds of Unix time (u32)
    requests    of canary and of stable in this stage, of canary and of stable before it (4 x f32)
    candidates  their edges, stable's slower events of each, stable's events; nothing once channels are chosen (f32)
    channels    each its edge, weights carried, sums of this stage, sums before it (f32; lengths as in eprocess)

With the most channels there can be, six, that is 1.7 kB, 2.2 kB as text. A text of another layout, or none of ours,
reads as nothing: the test begins anew.
"""

from __future__ import annotations

import binascii
import math
import struct
import sys
from array import array
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from sparkrelease.decide.stats.eprocess import ALTERNATIVES, MULTIPLES, TALLIES, Channel

LAYOUT = 2
"""Changes with the header, the grid, or what a number means."""

_HEADER = struct.Struct("<BBBBBBHI")
_REQUESTS = 4
_SUMS = TALLIES + len(MULTIPLES)
_CHANNEL = 1 + len(ALTERNATIVES) + 2 * _SUMS


class Seen(IntEnum):
    """What a window was to the test."""

    NONE = 0
    COUNTED = 1
    RESTED = 2
    """One role had no request, so there was nothing to compare."""
    WARMING = 3
    VOID = 4
    MOVED = 5
    """Void, because stable's level moved while the roles are scraped at different moments."""

    @property
    def void(self) -> bool:
        """Whether it says nothing because its counts cannot be relied on."""
        return self is Seen.VOID or self is Seen.MOVED


@dataclass(frozen=True, slots=True)
class Candidates:
    """Edges one can choose from, with stable's events slower than each, and all of them."""

    edges: tuple[float, ...]
    slower: tuple[float, ...]
    total: float


_NO_REQUESTS = array("f", bytes(4 * _REQUESTS))
"""Shared by all that begin; requests are never changed in place."""


class State(NamedTuple):
    """What one test has accumulated. Without channels it is still choosing them."""

    stage_at: int
    begun: int = 1
    last: Seen = Seen.NONE
    in_a_row: int = 0
    requests: array[float] = _NO_REQUESTS
    candidates: Candidates | None = None
    channels: tuple[Channel, ...] = ()


def pack(state: State) -> str:
    """The state as text; the inverse of `unpack`."""
    chosen = state.candidates
    header = (len(state.channels), len(chosen.edges) if chosen else 0, state.begun, state.last, state.in_a_row)
    numbers = array("f", state.requests)
    if chosen:
        numbers.extend([*chosen.edges, *chosen.slower, chosen.total])
    for ch in state.channels:
        numbers.append(ch.edge)
        for part in (ch.carried, ch.stage, ch.before):
            numbers.extend(part)
    raw = _HEADER.pack(LAYOUT, *header, 0, state.stage_at) + _little(numbers).tobytes()
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def unpack(text: str) -> State | None:
    """The state of this text; None when it is none of this layout."""
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
        layout, channels, candidates, begun, last, in_a_row, _, stage_at = _HEADER.unpack_from(raw)
        seen = Seen(last)
    except (binascii.Error, struct.error, ValueError):
        return None
    expected = _REQUESTS + (2 * candidates + 1 if candidates else 0) + channels * _CHANNEL
    if layout != LAYOUT or begun < 1 or len(raw) != _HEADER.size + 4 * expected:
        return None
    numbers = array("f")
    numbers.frombytes(raw[_HEADER.size :])
    numbers = _little(numbers)
    if not math.isfinite(sum(numbers)):
        return None
    at = _REQUESTS
    chosen = None
    if candidates:
        chosen = Candidates(
            tuple(numbers[at : at + candidates]),
            tuple(numbers[at + candidates : at + 2 * candidates]),
            numbers[at + 2 * candidates],
        )
        at += 2 * candidates + 1
    found = tuple([_channel(numbers, place) for place in range(at, expected, _CHANNEL)])
    return State(stage_at, begun, seen, in_a_row, numbers[:_REQUESTS], chosen, found)


def _channel(numbers: array[float], at: int) -> Channel:
    carried = at + 1 + len(ALTERNATIVES)
    return Channel(
        numbers[at],
        numbers[at + 1 : carried],
        numbers[carried : carried + _SUMS],
        numbers[carried + _SUMS : carried + 2 * _SUMS],
    )


def _little(numbers: array[float]) -> array[float]:
    """In the byte order of the text; a copy only where the machine's is another."""
    if sys.byteorder == "little":
        return numbers
    swapped = array("f", numbers)
    swapped.byteswap()
    return swapped
