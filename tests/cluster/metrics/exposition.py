"""Native histograms as a pod exposes them: the protobuf form of a scrape, written by hand, for there is no client here.

Field numbers are those of `io.prometheus.client.MetricFamily` (client_model, metrics.proto).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_HISTOGRAM = 4
ZERO_THRESHOLD = 2.0**-128
"""What Go's client takes for nothing unless it is told otherwise."""


def index_of(value: float, scale: int) -> int:
    """Number of the exponential bucket a positive value falls into; bucket i ends at 2 ** (i / 2 ** scale)."""
    return math.ceil(math.log2(value) * 2.0**scale)


def family(name: str, scale: int, buckets: Mapping[int, int], total: float) -> bytes:
    """One histogram of these buckets (number to count) as a whole scrape; `total` is the sum of what was observed."""
    spans, deltas = _spans(buckets)
    histogram = [
        _number(1, sum(buckets.values())),
        _double(2, total),
        _number(5, _zigzag(scale)),
        _double(6, ZERO_THRESHOLD),
        _number(7, 0),
        *(_bytes(12, _number(1, _zigzag(offset)) + _number(2, length)) for offset, length in spans),
        _bytes(13, b"".join(_varint(_zigzag(delta)) for delta in deltas)),
    ]
    metric = _bytes(7, b"".join(histogram))
    whole = _bytes(1, name.encode()) + _number(3, _HISTOGRAM) + _bytes(4, metric)
    return _varint(len(whole)) + whole


def _spans(buckets: Mapping[int, int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Buckets in a row, each row with its distance from the one before; and counts as differences."""
    numbers = sorted(buckets)
    spans: list[list[int]] = []
    after = 0
    for number in numbers:
        if spans and number == after:
            spans[-1][1] += 1
        else:
            spans.append([number - after, 1])
        after = number + 1
    if not spans:
        spans = [[0, 0]]  # says that it is a native histogram, though nothing is counted yet
    counts = [0, *(buckets[number] for number in numbers)]
    return [(offset, length) for offset, length in spans], [after - before for before, after in pairwise(counts)]


def _varint(value: int) -> bytes:
    return bytes(_septets(value))


def _septets(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value
