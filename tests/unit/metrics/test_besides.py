"""Other windows, the past, histories, baselines, pods: asked once for all, and read by each release for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from fakes.metric_source import LAG, RATIO, T0, FakeSource, after, config, healthy, key, rows, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Ask, Buckets, Counts, Missing, Role, Track, Value
from sparkrelease.decide.metricchecks import baseline_findings
from sparkrelease.decide.ranges import FEWEST, baseline_of_counts, spread_of
from sparkrelease.decide.series import Answer, RangeAnswer, Row, Series
from sparkrelease.engine.measure import Measurements

MEMORY = {"name": "rss", "value": "max by ($by, pod) (rss_bytes{$sel})"}
CPU = {"name": "cpu", "value": "sum by ($by) (cpu_seconds{$sel})", "attribution": "pod"}
POOL = {"name": "pool", "value": "max(pool_used)", "attribution": "shared"}
BURN = {
    "kind": "burnRate",
    "metric": "http",
    "objective": 0.999,
    "windows": [{"long": "1h", "short": "5m", "factor": 14}],
}
GROWTH = {"kind": "growth", "metric": "lag", "over": "10m", "factor": 2}
TREND = {"kind": "trend", "metric": "rss", "over": "30m", "slopePerMinute": 1}
BORN = after(-600)


class Pods:
    """Two pods of stable, one of canary."""

    def pods(self, namespace: str, service: str) -> Mapping[str, datetime | None]:
        known: dict[str, dict[str, datetime | None]] = {
            "shop-stable": {"s-1": BORN, "s-2": None},
            "shop-canary": {"c-1": BORN},
        }
        return known.get(service, {})


def measuring(source: FakeSource, **fields: object) -> Measurements:
    return Measurements(source, config(**fields), pods=Pods())


def triggers(*legs: dict[str, object], **more: object) -> list[dict[str, object]]:
    return [{"name": f"t{place}", "all": [leg], "for": "0s", **more} for place, leg in enumerate(legs)]


def flat(labels: Mapping[str, str], value: float, count: int = 60) -> Series:
    return Series(labels, tuple((T0.timestamp() - 60.0 * place, value) for place in range(count - 1, -1, -1)))


# ---------------------------------------------------------------- other windows and the past


async def test_burn_windows_and_the_past_are_asked_as_often_as_the_metric_says() -> None:
    source = FakeSource()
    measured = measuring(source)
    measured.follow(key(), spec(triggers=triggers(BURN, GROWTH)))
    for second in range(31):
        await measured.tick(after(second))
    found = measured.asked_besides(key())
    hour, minutes, past = (
        Ask("http", timedelta(hours=1)),
        Ask("http", timedelta(minutes=5)),
        Ask("lag", timedelta(minutes=1), timedelta(minutes=10)),
    )
    assert set(found) == {hour, minutes, past}
    assert found[hour].canary == Counts(1, 100)
    assert found[past].stable == Value(5)
    assert found[past].at == after(30), "when it was asked, not when it was so"
    hours = [at for _, promql, at in source.queries if "offset 3600s" in promql]
    assert hours == [after(0), after(15), after(30)]
    then = [at for _, promql, at in source.queries if "lag_seconds" in promql and at < T0]
    assert then == [after(moment - 600) for moment in (0, 15, 30)]


async def test_a_metric_that_cannot_be_asked_is_missing_in_other_windows_too() -> None:
    measured = measuring(FakeSource())
    broken = RATIO | {"total": "sum(x)"}
    measured.follow(key(), spec(metrics=[broken], triggers=triggers(BURN), thresholds=[]))
    await measured.tick(T0)
    found = [facts.canary for facts in measured.asked_besides(key()).values()]
    assert len(found) == 2
    assert all(isinstance(one, Missing) and one.reason is Reason.INVALID_QUERY for one in found)


# ---------------------------------------------------------------- histories


async def test_a_history_has_a_track_per_pod_with_its_birth() -> None:
    source = FakeSource()
    source.reply_range = lambda *_: RangeAnswer(
        [
            flat({"namespace": "trading", "service": "shop-canary", "pod": "c-1"}, 7, 3),
            flat({"namespace": "trading", "service": "shop-stable", "pod": "s-2"}, 9, 3),
            flat({"namespace": "trading", "service": "shop-stable", "pod": "s-1"}, float("nan"), 3),
            flat({"namespace": "trading", "service": "other", "pod": "o-1"}, 1, 3),
        ]
    )
    measured = measuring(source)
    measured.follow(key(), spec(metrics=[MEMORY], triggers=triggers(TREND), thresholds=[]))
    for second in range(0, 121, 5):
        await measured.tick(after(second))
    history = measured.histories(key())["rss"]
    seconds = T0.timestamp()
    assert history.canary == (Track("c-1", ((seconds - 120, 7), (seconds - 60, 7), (seconds, 7)), BORN),)
    assert isinstance(history.stable, tuple)
    assert [track.name for track in history.stable] == ["s-2"], "what is no number was not measured"
    assert history.over == timedelta(minutes=30)
    assert [(end - start, step) for _, _, start, end, step in source.ranges] == [
        (timedelta(minutes=30), timedelta(seconds=15))
    ] * 2, "every two minutes"
    assert not any("rss_bytes" in promql for _, promql, _ in source.queries), "nobody looks at its reading"


async def test_a_history_without_a_series_of_the_role_says_so() -> None:
    measured = measuring(FakeSource())
    measured.follow(key(), spec(metrics=[MEMORY], triggers=triggers(TREND), thresholds=[]))
    await measured.tick(T0)
    found = measured.histories(key())["rss"].canary
    assert isinstance(found, Missing)
    assert found.reason is Reason.NO_DATA


# ---------------------------------------------------------------- whose series they are


async def test_series_of_pods_belong_to_the_service_behind_which_the_pod_is() -> None:
    def reply(_: str, promql: str, at: datetime) -> Answer:
        if "cpu_seconds" not in promql:
            return healthy(promql, at)
        assert 'cpu_seconds{pod!="",namespace="trading"}' in promql
        pods = {"s-1": 1.0, "s-2": 3.0, "c-1": 2.0, "stranger": 99.0}
        named = [("value", value, pod) for pod, value in pods.items()]
        named += [("newest0", at.timestamp(), pod) for pod in pods]
        return Answer([Row({"namespace": "trading", "pod": pod, "sr_part": part}, value) for part, value, pod in named])

    measured = measuring(FakeSource(reply))
    measured.follow(key(), spec(metrics=[CPU], thresholds=[{"name": "cpu", "metric": "cpu", "max": 5}], triggers=[]))
    await measured.tick(T0)
    facts = measured.readings(key())["cpu"]
    assert facts.stable == Value(3), "the pod that is worst for a rule that looks upwards"
    assert facts.canary == Value(2)


async def test_what_both_share_counts_for_both() -> None:
    def reply(_: str, promql: str, at: datetime) -> Answer:
        if "pool_used" not in promql:
            return healthy(promql, at)
        return Answer([Row({"sr_part": "value"}, 0.9), Row({"sr_part": "newest0"}, at.timestamp())])

    measured = measuring(FakeSource(reply))
    measured.follow(key(), spec(metrics=[POOL], thresholds=[{"name": "p", "metric": "pool", "max": 1}], triggers=[]))
    await measured.tick(T0)
    facts = measured.readings(key())["pool"]
    assert facts.canary == facts.stable == Value(0.9)


async def test_targets_that_are_scraped_are_counted_where_up_names_the_service() -> None:
    def reply(_: str, promql: str, at: datetime) -> Answer:
        if '"sr_part", "up"' not in promql:
            return healthy(promql, at)
        return Answer(rows("trading", "shop-stable", at, {"up": 2}) + rows("trading", "shop-canary", at, {"up": 0}))

    measured = measuring(FakeSource(reply))
    measured.follow(key(), spec())
    assert measured.scraped(key()) == {}
    await measured.tick(T0)
    assert measured.scraped(key()) == {Role.STABLE: 2, Role.CANARY: 0}
    silent = measuring(FakeSource(lambda *_: Answer([])))
    silent.follow(key(), spec())
    await silent.tick(T0)
    assert silent.scraped(key()) == {}


async def test_rows_that_a_release_s_own_expression_puts_into_other_namespaces_are_dropped() -> None:
    def reply(_: str, promql: str, at: datetime) -> Answer:
        return Answer(rows("hr", "pay", at, {"value": 1, "newest0": 1}) + healthy(promql, at).rows)  # type: ignore[operator]  # a list

    measured = measuring(FakeSource(reply))
    measured.follow(key(), spec(metrics=[LAG], thresholds=[{"name": "l", "metric": "lag", "max": 9}], triggers=[]))
    await measured.tick(T0)
    (batch,) = measured._batches.values()
    assert {place[0] for place in batch.found.groups} == {"trading"}


# ---------------------------------------------------------------- baselines


def minutes(bad: list[float], total: float = 1000) -> RangeAnswer:
    """Per minute, what exact windows of stable counted."""
    moments = [T0.timestamp() - 60.0 * place for place in range(len(bad) - 1, -1, -1)]
    labels = {"namespace": "trading", "service": "shop-stable"}
    return RangeAnswer(
        [
            Series({**labels, "sr_part": "bad"}, tuple(zip(moments, bad, strict=True))),
            Series({**labels, "sr_part": "total"}, tuple((moment, total) for moment in moments)),
            Series({**labels, "sr_part": "reset"}, ((moments[0], 1.0),)),
        ]
    )


async def test_a_baseline_of_counts_is_the_highest_share_and_the_spread_beyond_chance() -> None:
    source = FakeSource()
    source.reply_range = lambda *_: minutes([900.0] + [10.0, 20.0] * 10)
    measured = measuring(source)
    comparison = {"alpha": 0.01, "tests": [{"metric": "http"}]}
    found = (await measured.baselines(key(), spec(comparison=comparison), after(2)))["http"]
    assert found.problem is None
    assert found.value == 0.02, "the minute that is void is left out"
    assert found.events == 300
    assert found.spread == pytest.approx((25 - 15) / 15**2)
    ((_, promql, start, end, step),) = source.ranges
    assert "resets(" in promql
    assert (end, start, step) == (T0, T0 - timedelta(minutes=59), timedelta(minutes=1))


async def test_a_baseline_of_values_is_the_highest_mean() -> None:
    source = FakeSource()
    answer = RangeAnswer([flat({"namespace": "trading", "service": "shop-stable"}, 4)])
    source.reply_range = lambda *_: answer
    thresholds = [{"name": "lag", "metric": "lag", "maxVsBaseline": 1.5}]
    wanted = spec(thresholds=thresholds, triggers=[])
    measured = measuring(source)
    found = await asyncio.gather(*(measured.baselines(key(), wanted, after(2)) for _ in range(20)))
    assert {one["lag"].value for one in found} == {4}
    assert len(source.ranges) == 1, "releases that start together ask once"


async def test_too_little_history_is_no_baseline_and_a_warning() -> None:
    source = FakeSource()
    source.reply_range = lambda *_: minutes([1.0, 2.0, 3.0])
    comparison = {"alpha": 0.01, "tests": [{"metric": "http"}]}
    found = (await measuring(source).baselines(key(), spec(comparison=comparison), after(2)))["http"]
    assert found.value is None
    assert found.problem is not None
    assert found.problem.reason is Reason.NO_BASELINE
    (warning,) = baseline_findings(spec(comparison=comparison), {"http": found})
    assert not warning.fatal, "the comparison does without"
    legs = triggers({"kind": "vsBaseline", "metric": "lag", "factor": 1.5})
    (fault,) = baseline_findings(spec(triggers=legs), {"lag": found})
    assert fault.fatal, "the rule could never pass"
    assert fault.problem.reason is Reason.NO_BASELINE


async def test_a_baseline_that_void_windows_leave_without_history_says_what_voids_them() -> None:
    source = FakeSource()
    source.reply_range = lambda *_: minutes([2000.0] * 40)
    comparison = {"alpha": 0.01, "tests": [{"metric": "http"}]}
    found = (await measuring(source).baselines(key(), spec(comparison=comparison), after(2)))["http"]
    assert found.problem is not None
    assert "39 of 40 windows are void: there are more bad events (2000) than events (1000)" in found.problem.message


@pytest.mark.parametrize(("counts", "spread"), [([], 0), ([0, 0], 0), ([5, 5, 5], 0), ([0, 100], (2500 - 50) / 2500)])
def test_spread_is_what_chance_does_not_explain(counts: list[float], spread: float) -> None:
    assert spread_of(counts) == pytest.approx(spread)


@pytest.mark.parametrize(("beyond", "slow"), [(25.0, 25.0), (24.0, 40.0)])
def test_slow_is_what_a_baseline_has_beyond_the_highest_edge_that_the_quantile_reaches(
    beyond: float, slow: float
) -> None:
    """Of a hundred a minute, a quarter has to be above it; there is a higher edge that next to none are above."""
    minute = Buckets({0.1: 60.0, 0.2: 100.0 - beyond, 0.4: 99.0}, 100.0)
    found = baseline_of_counts([minute] * FEWEST, 0.75)
    assert found is not None
    assert found[2] == slow * FEWEST


# ---------------------------------------------------------------- how much is asked


SLOW = ("5m", "5m", "3m", "2m", "3m", "3m", "3m", "5m", "3m", "3m")


async def queries_in_a_minute(releases: int) -> int:
    """With fourteen triggers, two comparisons, three of growth, two of trends, at a tick of five seconds."""
    metrics = [RATIO, {"name": "latency", "buckets": "duration_bucket", "quantile": 0.95}, MEMORY]
    metrics += [{"name": f"m{place}", "value": f"max by ($by) (m{place}{{$sel}})"} for place in range(13)]
    patient = [{"name": f"s{place}", "all": [_above(place)], "for": wait} for place, wait in enumerate(SLOW)]
    growing = [
        {
            "name": f"g{place}",
            "all": [{"kind": "growth", "metric": f"m{place}", "over": "10m", "factor": 2}],
            "for": "3m",
        }
        for place in (0, 1)
    ]
    rules = [
        *patient,
        *growing,
        {"name": "leak", "all": [TREND, {"metric": "http", "op": ">", "value": 0.01}], "for": "0s"},
        {"name": "decimal", "all": [_above(12)], "for": "0s"},
    ]
    comparison = {"alpha": 0.01, "tests": [{"metric": "http"}, {"metric": "latency"}]}
    names = [f"r{place}" for place in range(releases)]
    source = FakeSource(lambda _, promql, at: healthy(promql, at, "r0"))
    counter = {"counter": "gateway_requests_total", "judged": True}
    measured = measuring(source, tick="5s", servers={"default": {"url": "http://prometheus:9090", "share": counter}})
    for name in names:
        measured.follow(key(name), spec(name, metrics=metrics, triggers=rules, comparison=comparison, thresholds=[]))
        measured.windows(key(name), {"http": T0, "latency": T0})
    for second in range(0, 60, 5):
        await measured.tick(after(second))
    before = measured.asked
    for second in range(60, 120, 5):
        await measured.tick(after(second))
    return measured.asked - before


def _above(place: int) -> dict[str, object]:
    return {"metric": f"m{place}", "op": ">", "value": 1}


@pytest.mark.slow
async def test_a_hundred_queries_a_minute_are_enough_for_any_number_of_releases() -> None:
    few, many = await queries_in_a_minute(2), await queries_in_a_minute(150)
    assert many == few <= 100
