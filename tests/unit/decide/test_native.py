"""A native histogram says of every bound exactly what a count of its events would, or that it does not know."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.measured import Buckets, Missing
from sparkrelease.decide.native import (
    Bucket,
    Histogram,
    bounds_around,
    compared,
    histogram_of,
    names_bound,
    scale_of,
    together,
)

UP_TO, FROM, NEITHER, BOTH = range(4)
"""Rules of Prometheus: which bound a bucket holds."""

latencies = st.lists(st.floats(1e-4, 1e3), max_size=60)
scales = st.integers(-4, 8)
counts = st.integers(1, 1000).map(float)


def known(found: Histogram | Missing) -> Histogram:
    assert isinstance(found, Histogram), found
    return found


def refused(*buckets: Bucket, total: float | None = None) -> Reason:
    found = histogram_of(sum(b.events for b in buckets) if total is None else total, buckets)
    assert isinstance(found, Missing), found
    return found.reason


def bound(number: int, scale: int) -> float:
    return float(2.0 ** (number / 2.0**scale))


def exponential(values: Sequence[float], scale: int, threshold: float = 0.0) -> list[Bucket]:
    """What a client of that scale makes of the values: `threshold` and less, either way, is counted as zero."""
    filled: Counter[tuple[int, float, float]] = Counter()
    for value in values:
        if abs(value) <= threshold or value == 0:
            filled[BOTH, -threshold, threshold] += 1
            continue
        place = math.ceil(math.log2(abs(value)) * 2.0**scale)
        low, high = max(bound(place - 1, scale), threshold), bound(place, scale)
        filled[(UP_TO, low, high) if value > 0 else (FROM, -high, -low)] += 1
    return [Bucket(rule, low, high, float(n)) for (rule, low, high), n in filled.items()]


def custom(values: Sequence[float], edges: Sequence[float]) -> list[Bucket]:
    """The same of a histogram of these edges: Prometheus says of the first bucket that it holds both its bounds."""
    filled = Counter(bisect_left(edges, value) for value in values)
    ends = [-math.inf, *edges, math.inf]
    return [Bucket(BOTH if n == 0 else UP_TO, ends[n], ends[n + 1], float(c)) for n, c in filled.items()]


def clear(values: Sequence[float], *scales: int) -> bool:
    """Whether no value is so near to a bound that rounding decides which side it is on."""
    places = (math.log2(value) * 2.0**scale for value in values for scale in scales)
    return all(abs(place - round(place)) > 1e-6 for place in places)


def counted(values: Sequence[float], at: float) -> int:
    return sum(value <= at for value in values)


# ---------------------------------------------------------------- counting


@given(latencies, scales, st.randoms())
def test_every_bound_counts_what_counting_the_events_does(
    values: list[float], scale: int, order: random.Random
) -> None:
    assume(clear(values, scale))
    buckets = exponential(values, scale)
    order.shuffle(buckets)
    found = known(histogram_of(len(values), buckets))
    assert {bound for bucket in buckets for bound in (bucket.lower, bucket.upper)} == set(found.bounds)
    assert [found.count_at(at) for at in found.bounds] == [counted(values, at) for at in found.bounds]
    assert sorted(found.bounds) == list(found.bounds)


@given(latencies, scales, st.floats(1e-5, 1e4))
def test_any_number_is_counted_exactly_or_not_at_all(values: list[float], scale: int, at: float) -> None:
    assume(clear(values, scale))
    buckets = exponential(values, scale)
    found = known(histogram_of(len(values), buckets)).count_at(at)
    inside = any(
        b.lower < at < b.upper for b in buckets if not math.isclose(at, b.lower) and not math.isclose(at, b.upper)
    )
    assert found == (None if inside else counted(values, at))


@given(st.lists(st.floats(-100, 100), max_size=60), st.integers(0, 4), st.sampled_from([0.0, 0.001, 0.5]))
def test_numbers_below_zero_and_around_it_are_counted_exactly_or_not_at_all(
    values: list[float], scale: int, threshold: float
) -> None:
    large = [abs(value) for value in values if abs(value) > threshold]
    assume(all(value > 1e-9 for value in large) and clear(large, scale))
    found = known(histogram_of(len(values), exponential(values, scale, threshold)))
    for at in {*found.bounds, -threshold, threshold, 0.0, -200.0, 200.0}:
        assert found.count_at(at) in {None, counted(values, at)}
    assert found.count_at(-200.0) == 0
    assert found.count_at(200.0) == len(values)


def test_a_bucket_that_holds_its_lower_bound_does_not_tell_how_many_are_on_it() -> None:
    found = known(histogram_of(5, [Bucket(FROM, -2, -1, 2), Bucket(BOTH, -0.5, 0.5, 3)]))
    assert found.count_at(-2) is None, "some of the events may be -2 exactly"
    assert found.count_at(-1) == 2
    assert found.count_at(-0.5) is None
    assert found.count_at(0.5) == 5
    assert list(found.bounds) == [-1, 0.5]


@given(st.lists(st.floats(0.001, 20), max_size=60))
def test_custom_buckets_are_exact_at_every_classic_edge(values: list[float]) -> None:
    edges = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    found = known(histogram_of(len(values), custom(values, edges)))
    assert [found.count_at(edge) for edge in edges] == [counted(values, edge) for edge in edges]


def test_where_no_event_is_every_number_is_known() -> None:
    found = known(histogram_of(7, [Bucket(UP_TO, 0.25, 0.5, 3), Bucket(UP_TO, 1, 2, 4)]))
    assert [found.count_at(at) for at in (0.1, 0.25, 0.5, 0.7, 1, 2, 50)] == [0, 0, 3, 3, 3, 7, 7]
    assert found.count_at(0.3) is None
    assert found.count_at(1.999) is None
    empty = known(histogram_of(0, []))
    assert (empty.count_at(0.2), list(empty.bounds)) == (0, [])


def test_events_that_are_no_number_are_in_the_total_alone() -> None:
    found = known(histogram_of(9, [Bucket(UP_TO, 0.25, 0.5, 3)]))
    assert (found.count_at(0.5), found.count_at(100), found.total) == (3, 3, 9)


@given(latencies, latencies, scales, scales)
def test_pods_of_any_resolutions_are_counted_together(
    one: list[float], other: list[float], fine: int, coarse: int
) -> None:
    for values, scale in ((one, fine), (other, coarse)):
        assume(clear(values, scale))
    parts = [known(histogram_of(len(v), exponential(v, s))) for v, s in ((one, fine), (other, coarse))]
    found, values = together(parts), [*one, *other]
    assert found.total == len(values)
    for at in {bound for part in parts for bound in part.bounds}:
        alone = [part.count_at(at) for part in parts]
        assert found.count_at(at) == (None if None in alone else counted(values, at))
    assert together(parts[::-1]) == found
    assert all(found.count_at(at) is not None for at in found.bounds)


# ---------------------------------------------------------------- what is no count


def test_what_counts_no_events_is_missing_and_never_a_number() -> None:
    nan, inf = math.nan, math.inf
    assert refused(Bucket(UP_TO, 0.25, 0.5, -1), total=3) is Reason.INCONSISTENT_COUNTS
    assert refused(Bucket(UP_TO, 0.25, 0.5, 4), total=3) is Reason.INCONSISTENT_COUNTS
    assert refused(total=-1) is Reason.INCONSISTENT_COUNTS
    assert refused(Bucket(UP_TO, 0.5, 0.25, 1)) is Reason.INCONSISTENT_COUNTS
    assert refused(Bucket(UP_TO, 0.5, 0.5, 1)) is Reason.INCONSISTENT_COUNTS
    assert refused(Bucket(7, 0.25, 0.5, 1)) is Reason.INCONSISTENT_COUNTS
    assert refused(Bucket(UP_TO, 0.25, 0.5, nan), total=3) is Reason.NOT_A_NUMBER
    assert refused(Bucket(UP_TO, nan, 0.5, 1)) is Reason.NOT_A_NUMBER
    assert refused(Bucket(UP_TO, 0.25, nan, 1)) is Reason.NOT_A_NUMBER
    assert refused(Bucket(UP_TO, 0.25, 0.5, inf), total=3) is Reason.NOT_A_NUMBER
    assert refused(total=nan) is Reason.NOT_A_NUMBER
    assert refused(total=inf) is Reason.NOT_A_NUMBER


any_number = st.floats() | st.sampled_from([0.0, -0.0, 0.5, 1.0])
any_bucket = st.builds(Bucket, st.integers(-1, 5), any_number, any_number, any_number)


@given(any_number, st.lists(any_bucket, max_size=6))
def test_whatever_a_server_says_is_a_histogram_that_never_counts_down_or_is_missing(
    total: float, buckets: list[Bucket]
) -> None:
    found = histogram_of(total, buckets)
    if isinstance(found, Missing):
        assert found.reason in {Reason.INCONSISTENT_COUNTS, Reason.NOT_A_NUMBER}
        return
    told = [found.count_at(at) for at in found.bounds]
    assert None not in told
    assert told == sorted(count for count in told if count is not None)
    assert all(0 <= count <= found.total * 1.001 for count in told if count is not None)
    assert together([found]).bounds == found.bounds


# ---------------------------------------------------------------- limits of rules


def test_a_limit_is_known_where_it_names_a_bound() -> None:
    found = known(histogram_of(9, [Bucket(UP_TO, 0.25, 0.29730177875068026, 4), Bucket(UP_TO, 1, 2, 5)]))
    assert found.at([0.25, 0.2973, 0.7]) == Buckets({0.25: 0, 0.2973: 4, 0.7: 4}, 9)
    assert found.at([]) == Buckets({}, 9)


def test_a_limit_inside_a_filled_bucket_is_missing_and_the_nearest_edges_are_named() -> None:
    found = known(histogram_of(9, [Bucket(UP_TO, 0.25, 0.29730177875068026, 4), Bucket(UP_TO, 1, 2, 5)]))
    missing = found.at([0.25, 0.28])
    assert isinstance(missing, Missing)
    assert missing.reason is Reason.BUCKET_EDGE
    assert "0.28" in missing.message and "0.25 and 0.2973" in missing.message


def test_a_limit_names_no_bound_that_is_further_than_a_thousandth() -> None:
    found = known(histogram_of(4, [Bucket(UP_TO, 0.25, 0.5, 4)]))
    assert found.count_at_limit(0.2502) == 0
    assert found.count_at_limit(0.4996) == 4
    assert found.count_at_limit(0.2504) is None


# ---------------------------------------------------------------- resolutions


@given(st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=60), scales)
def test_the_resolution_is_read_off_the_bounds(values: list[float], scale: int) -> None:
    found = known(histogram_of(len(values), exponential(values, scale)))
    assert scale_of(found) == scale or scale <= 0, "a bound of a coarse one may be one of a coarser"
    assert scale_of(found) is not None


def test_bounds_that_are_at_no_resolution_tell_none() -> None:
    assert scale_of(known(histogram_of(3, custom([0.01, 0.2, 3], [0.1, 0.25, 0.5])))) is None
    assert scale_of(known(histogram_of(0, []))) is None
    with_zero = known(histogram_of(3, exponential([0.0, 0.3, 0.7], 3, 0.001)))
    assert scale_of(with_zero) == 3, "how near to zero is nothing is at no resolution"


@given(st.floats(1e-5, 1e5), scales)
def test_the_bounds_around_a_limit_are_its_nearest(limit: float, scale: int) -> None:
    low, high = bounds_around(limit, scale)
    assert low <= limit * (1 + 1e-6) and limit <= high * (1 + 1e-6)
    assert high == pytest.approx(low * 2 ** (2.0**-scale)) or low == high == pytest.approx(limit)
    assert names_bound(low, scale) and names_bound(high, scale)


def test_a_limit_of_many_digits_need_not_be_written_out() -> None:
    assert names_bound(0.2973, 2) and names_bound(0.25, 0)
    assert not names_bound(0.2973, 1) and not names_bound(0.2, 8)


# ---------------------------------------------------------------- what is compared


def alone(found: Histogram, most: int) -> dict[float, float]:
    (bounds,) = compared([found], most)
    return bounds


@given(latencies, scales, st.integers(4, 48))
def test_bounds_for_a_comparison_are_few_and_count_what_counting_does(
    values: list[float], scale: int, most: int
) -> None:
    assume(clear(values, scale))
    found = alone(known(histogram_of(len(values), exponential(values, scale))), most)
    assert len(found) <= most
    assert list(found) == sorted(found)
    assert [*found.values()] == [counted(values, at) for at in found]


@given(latencies, st.integers(3, 8), st.integers(2, 8))
def test_they_stay_the_same_when_the_server_lowers_the_resolution(values: list[float], scale: int, lower: int) -> None:
    assume(clear(values, scale, min(lower, scale), 2))
    fine, coarse = (
        alone(known(histogram_of(len(values), exponential(values, each))), 1000) for each in (scale, min(lower, scale))
    )
    assert fine == pytest.approx(coarse)
    assert [*fine] == pytest.approx([*coarse])


def test_custom_bounds_are_compared_as_they_are() -> None:
    edges = [0.1, 0.25, 0.5, 1]
    assert alone(known(histogram_of(3, custom([0.05, 0.3, 0.7], edges))), 48) == {0.1: 1, 0.25: 1, 0.5: 2, 1: 3}


def test_of_too_many_bounds_those_stay_that_tell_something_of_stable_and_are_the_same_of_both() -> None:
    """A few requests are so fast or so slow that the whole spans twenty powers of two."""
    busy = [0.1 * 1.05**place for place in range(60)] * 10
    served = [*busy, *(1e-6 * 1.5**place for place in range(40))]
    stable = known(histogram_of(len(served), exponential(served, 3)))
    canary = known(histogram_of(603, exponential([*(4 * value for value in busy), 1e-5, 1e-3, 100.0], 3)))
    ours, theirs = compared([stable, canary], 48)
    slower = {at: 1 - counted(served, at) / len(served) for at in (bound(place, 2) for place in range(-80, 30))}
    telling = [at for at, share in slower.items() if 0.005 <= share <= 0.6]
    assert len(telling) > 10
    assert all(any(math.isclose(at, edge) for edge in ours) for at in telling)
    assert len(ours) == len(theirs) == 48 and ours.keys() == theirs.keys()
    assert [*theirs.values()] == [canary.count_at(at) for at in theirs]


def test_between_edges_that_count_the_same_every_edge_is_known() -> None:
    window = Buckets({0.25: 3.0, 0.5: 3.0, 1.0: 9.0}, 9.0)
    assert [window.count_at(at) for at in (0.25, 0.3, 0.5, 2.0)] == [3, 3, 3, 9]
    assert window.count_at(0.1) is None
    assert window.count_at(0.7) is None
    assert Buckets({}, 0.0).count_at(0.1) == 0
    assert Buckets({1.0: 0.0, 0.25: 0.0}, 4.0).count_at(0.5) == 0, "in whatever order they are"
