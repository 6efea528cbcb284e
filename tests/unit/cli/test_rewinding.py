"""A server that is wound back answers as it would have answered then, in few queries."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.cli.backtest.rewind import CHUNK, Control, Rewind
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.native import Bucket, Histogram, histogram_of
from sparkrelease.decide.series import Answer, RangeAnswer, Row, Series, row_of

T0 = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Values = Callable[[str, float], dict[str, float]]


def waves(promql: str, at: float) -> dict[str, float]:
    """Two series, one of which comes and goes."""
    found = {"steady": math.sin(at) + len(promql)}
    return found | ({"restless": at} if int(at) % 7 < 4 else {})


class Past:
    """A MetricSource of a function of time."""

    def __init__(self, values: Values = waves, most: int = 11_000) -> None:
        self.values, self.most = values, most
        self.sent: list[int] = []

    def servers(self) -> frozenset[str]:
        return frozenset({"default"})

    def rows(self, promql: str, at: datetime) -> list[Row]:
        values = self.values(promql, at.timestamp())
        return [Row({"service": name, "sr_part": "value"}, value) for name, value in values.items()]

    async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        self.sent.append(1)
        return Answer(self.rows(promql, at))

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        count = (end - start) // step + 1
        self.sent.append(count)
        if count > self.most:
            return Missing(Reason.ANSWER_TOO_LARGE, "too large")
        series: dict[str, list[tuple[float, float]]] = {}
        for place in range(count):
            for row in self.rows(promql, start + place * step):
                series.setdefault(row.labels["service"], []).append(((start + place * step).timestamp(), row.value))
        named = [Series({"service": name, "sr_part": "value"}, tuple(points)) for name, points in series.items()]
        return RangeAnswer(named)


def said(answer: Answer | Missing) -> list[tuple[str, float]]:
    assert isinstance(answer, Answer)
    return sorted((row.labels["service"], row.value) for row in answer.rows)


looks = st.lists(
    st.tuples(st.sampled_from(["a", "bb"]), st.sampled_from([0, 0, 60]), st.sampled_from([5, 5, 5, 15, 40])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(looks)
async def test_every_answer_is_that_of_the_instant_whatever_the_pace(history: list[tuple[str, int, int]]) -> None:
    past, now = Past(), T0
    rewind = Rewind(past, now, T0 + timedelta(hours=1))
    for promql, back, pause in history:
        now += pause * SECOND
        rewind.now = now
        at = now - back * SECOND
        assert said(await rewind.query("default", promql, at)) == said(Answer(past.rows(promql, at)))


async def test_a_steady_pace_takes_one_query_for_a_chunk() -> None:
    past = Past()
    rewind = Rewind(past, T0, T0 + timedelta(hours=4))
    for place in range(2 * CHUNK):
        rewind.now = T0 + 15 * place * SECOND
        await rewind.query("default", "a", rewind.now)
    assert len(past.sent) == rewind.asked == 3
    assert max(past.sent) == CHUNK


async def test_a_pace_that_changes_is_fetched_ahead_too() -> None:
    past = Past()
    rewind = Rewind(past, T0, T0 + timedelta(hours=4))
    for place in range(CHUNK):
        rewind.now += (15, 30, 45)[place % 3] * SECOND
        await rewind.query("default", "a", rewind.now)
    assert len(past.sent) <= 6


async def test_nothing_is_fetched_from_beyond_the_end() -> None:
    past = Past()
    rewind = Rewind(past, T0, T0 + 60 * SECOND)
    for place in range(5):
        rewind.now = T0 + 15 * place * SECOND
        await rewind.query("default", "a", rewind.now)
    assert past.sent == [1, 4]


async def test_an_answer_that_is_too_large_is_asked_for_in_smaller_chunks() -> None:
    past = Past(most=20)
    rewind = Rewind(past, T0, T0 + timedelta(hours=1))
    for place in range(30):
        rewind.now = T0 + 15 * place * SECOND
        assert said(await rewind.query("default", "a", rewind.now)) == said(Answer(past.rows("a", rewind.now)))
    assert rewind.problem is None
    past.most = 0
    rewind.now += timedelta(minutes=20)
    assert isinstance(await rewind.query("default", "a", rewind.now), Missing)
    assert rewind.problem is not None


async def test_histories_are_cut_from_what_was_fetched_ahead() -> None:
    past = Past()
    rewind = Rewind(past, T0, T0 + timedelta(hours=4))
    for place in range(20):
        rewind.now = T0 + 120 * place * SECOND
        span = (rewind.now - timedelta(minutes=30), rewind.now, 15 * SECOND)
        found = await rewind.query_range("default", "a", *span)
        direct = await Past().query_range("default", "a", *span)
        assert isinstance(found, RangeAnswer) and isinstance(direct, RangeAnswer)
        assert {s.labels["service"]: s.points for s in found.series} == {
            s.labels["service"]: s.points for s in direct.series
        }
    assert len(past.sent) == 2


async def test_a_control_is_the_service_as_it_was_under_another_name() -> None:
    def counted(_: str, at: float) -> dict[str, float]:
        return {"web": at}

    past = Past(counted)
    rewind = Rewind(past, T0, T0 + timedelta(hours=1), Control("web-then", timedelta(days=7), "service"))
    for place in range(3):
        rewind.now = T0 + 15 * place * SECOND
        now, then = rewind.now.timestamp(), (rewind.now - timedelta(days=7)).timestamp()
        assert said(await rewind.query("default", "a", rewind.now)) == [("web", now), ("web-then", then)]
    found = await rewind.query_range("default", "a", T0, T0 + 30 * SECOND, 15 * SECOND)
    assert isinstance(found, RangeAnswer)
    assert [point[0] for point in found.series[1].points] == [T0.timestamp() + 15 * n for n in range(3)]


async def test_a_server_that_cannot_be_asked_ends_the_looking_back() -> None:
    class Away(Past):
        async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
            return Missing(Reason.PROMETHEUS_UNREACHABLE, "refused", server_wide=True)

    rewind = Rewind(Away(), T0, T0)
    await rewind.query("default", "a", T0)
    assert rewind.problem is not None


async def test_no_more_is_kept_of_a_long_past_than_of_a_short_one() -> None:
    """One chunk a query asked at a pace, and of those that never come again the last few."""
    kept = []
    for looks in (600, 3000):
        rewind = Rewind(Past(), T0, T0 + looks * SECOND)
        for place in range(looks):
            rewind.now = T0 + place * SECOND
            await rewind.query("default", "up", rewind.now)
            await rewind.query("default", f"gate {place}", rewind.now)
        paces = rewind._paces.values()
        kept.append((len(paces), sum(len(pace.ahead) for pace in paces)))
    assert kept[0] == kept[1]
    assert kept[0][1] <= CHUNK


class Histograms(Past):
    """One native histogram, which has one event more every second; its total is a number beside it."""

    def rows(self, promql: str, at: datetime) -> list[Row]:
        count = (at - T0 + timedelta(hours=2)) / SECOND
        named = {"service": "steady"}
        filled = histogram_of(count + 4, [Bucket(0, 0.25, 0.5, 4), Bucket(0, 1, 2, count)])
        return [row_of({**named, "sr_part": "native"}, filled), Row({**named, "sr_part": "total"}, count + 4)]

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        self.sent.append(1)
        instants = [start + place * step for place in range((end - start) // step + 1)]
        seen = [(at.timestamp(), *self.rows(promql, at)) for at in instants]
        native, total = self.rows(promql, start)
        assert all(isinstance(row.histogram, Histogram) for _, row, _ in seen)
        histograms = tuple((at, row.histogram) for at, row, _ in seen if row.histogram is not None)
        points = tuple((at, row.value) for at, _, row in seen)
        return RangeAnswer([Series(native.labels, (), histograms), Series(total.labels, points)])


async def test_native_histograms_are_fetched_ahead_like_numbers() -> None:
    past, control = Histograms(), Control("control", timedelta(hours=1), "service")
    rewind, alone = Rewind(past, T0, T0 + timedelta(hours=1), control), Histograms()
    for place in range(20):
        rewind.now = T0 + place * SECOND
        answer = await rewind.query("default", "a", rewind.now)
        assert isinstance(answer, Answer)
        wanted = {row.labels["sr_part"]: row for row in alone.rows("a", rewind.now)}
        assert {row.labels["sr_part"]: row for row in answer.rows if row.labels["service"] == "steady"} == wanted
        moved = {row.labels["sr_part"]: row for row in answer.rows if row.labels["service"] == "control"}
        then = alone.rows("a", rewind.now - timedelta(hours=1))
        assert [moved[row.labels["sr_part"]].histogram for row in then] == [row.histogram for row in then]
    assert len(past.sent) < 8
    for _ in range(2):
        whole = await rewind.query_range("default", "a", T0, T0 + 9 * SECOND, SECOND)
        assert isinstance(whole, RangeAnswer)
        assert {len(one.histograms) + len(one.points) for one in whole.series} == {10}


async def test_an_answer_that_says_what_it_left_out_is_none() -> None:
    class Partial(Past):
        async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
            return Answer(self.rows(promql, at), left_out="vector contains a mix of histograms")

    found = await Rewind(Partial(), T0, T0).query("default", "a", T0)
    assert isinstance(found, Missing)
    assert found.reason is Reason.PARTIAL_ANSWER
