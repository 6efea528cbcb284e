"""What a decision was based on comes back from evidence as it went in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.basis import read_reading, reading_data
from sparkrelease.decide.evidence import canonical_json
from sparkrelease.decide.facts import Again, Buckets, Counts, MetricFacts, Missing, Reading, Value

numbers = st.floats()
readings: st.SearchStrategy[Reading] = st.one_of(
    st.builds(Value, numbers),
    st.builds(Counts, numbers, numbers),
    st.builds(Buckets, st.dictionaries(st.floats(allow_nan=False), numbers, max_size=4), numbers),
    st.builds(Missing, st.sampled_from(sorted(Reason)), st.text(max_size=20), st.booleans()),
)
instants = st.builds(
    lambda seconds, micros, zone: datetime.fromtimestamp(seconds, zone).replace(microsecond=micros),
    st.integers(0, 4_000_000_000),
    st.integers(0, 999_999),
    st.sampled_from([UTC, timezone(timedelta(hours=5))]),
)
twice = st.none() | st.builds(Again, st.text(max_size=20), st.text(max_size=20), readings)
facts_of_a_metric = st.builds(
    MetricFacts,
    query=st.text(st.characters(codec="utf-8"), max_size=30),
    at=instants,
    window=st.timedeltas(timedelta(0), timedelta(days=60)),
    canary=readings,
    stable=readings,
    canary_again=twice,
    stable_again=twice,
)


def text(facts: MetricFacts) -> str:
    """Equality in which NaN equals NaN, instants count and not their time zones, and buckets have no order."""
    again = [one for one in (facts.canary_again, facts.stable_again) if one is not None]
    sides = [
        Buckets(dict(sorted(side.at_or_below.items())), side.total) if isinstance(side, Buckets) else side
        for side in (facts.canary, facts.stable, *(one.reading for one in again))
    ]
    whys = [(one.why, one.query, one is facts.canary_again) for one in again]
    return repr((facts.query, facts.at.astimezone(UTC), facts.window, sides, whys))


@given(facts_of_a_metric)
def test_readings_come_back_from_a_stored_line_as_they_went_in(facts: MetricFacts) -> None:
    stored = json.loads(canonical_json(reading_data(facts)))
    assert text(read_reading(stored)) == text(facts)


@given(facts_of_a_metric)
def test_the_json_form_is_json(facts: MetricFacts) -> None:
    assert json.loads(json.dumps(reading_data(facts), allow_nan=False)) == reading_data(facts)


def test_why_something_is_missing_is_kept() -> None:
    missing = Missing(Reason.PROMETHEUS_UNREACHABLE, "timed out after 2 s", server_wide=True)
    facts = MetricFacts("up", datetime(2026, 11, 21, tzinfo=UTC), timedelta(seconds=30), missing, Value(1.0))
    assert read_reading(reading_data(facts)) == facts
    assert reading_data(facts)["canary"] == {
        "missing": "PrometheusUnreachable",
        "message": "timed out after 2 s",
        "serverWide": True,
    }


GOOD = reading_data(
    MetricFacts("up", datetime(2026, 11, 21, tzinfo=UTC), timedelta(seconds=30), Value(1.0), Counts(1.0, 2.0))
)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**GOOD, "at": "yesterday"},
        {**GOOD, "windowSeconds": "long"},
        {**GOOD, "canary": None},
        {**GOOD, "canary": {"value": True}},
        {**GOOD, "canary": {"value": "1"}},
        {**GOOD, "canary": {"buckets": [1], "total": 2}},
        {**GOOD, "stable": {"missing": "NotAReason", "message": "", "serverWide": False}},
    ],
)
def test_data_of_another_shape_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a|isoformat|to unpack"):
        read_reading(wrong)
