"""Each distinct query once per tick, one instant for all, and facts that say when they were true."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from fakes.metric_source import RATIO, T0, UNREACHABLE, FakeSource, after, config, healthy, key, rows, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, MetricFacts, Missing, Value
from sparkrelease.decide.series import Answer
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.metrics import OperatorMetrics

SHARE = {"counter": "gateway_requests_total", "judged": True}
WITH_SHARE = {"default": {"url": "http://prometheus:9090", "share": SHARE}}


def measuring(source: FakeSource, **fields: object) -> Measurements:
    return Measurements(source, config(**fields), OperatorMetrics())


def canary(facts: Mapping[str, MetricFacts], metric: str = "http") -> object:
    return facts[metric].canary


async def test_every_metric_of_a_release_is_read_at_one_instant() -> None:
    source = FakeSource()
    asked = measuring(source)
    asked.follow(key(), spec())
    assert asked.readings(key()) == {}, "nothing is known before the first answer"
    await asked.tick(T0)
    facts = asked.readings(key())
    assert {name: facts[name].canary for name in facts} == {
        "http": Counts(1, 100),
        "latency": Buckets({0.2: 90, 1.0: 99}, 100),
        "lag": Value(5),
    }
    assert {fact.at for fact in facts.values()} == {T0}
    assert {at for _, _, at in source.queries} == {T0}
    assert asked.readings(key()) is facts, "nothing is built twice from the same answers"


async def test_what_a_shadow_alone_is_judged_by_is_read_at_every_tick_and_what_the_watch_is_judged_by_is_not() -> None:
    asked = measuring(FakeSource())
    at = {"errors": "gates", "p95": "watch", "lag": "mirror"}
    thresholds = [one.model_dump(by_alias=True, exclude_none=True) | {"at": at[one.name]} for one in spec().thresholds]
    half = {"name": "half", "weight": 50, "duration": "5m"}
    stages = [{"name": "shadow", "weight": 0, "mirror": 50, "duration": "5m"}, half]
    asked.follow(
        key(), spec(stages=stages, thresholds=thresholds, triggers=[], watch={"duration": "1h", "every": "5m"})
    )
    await asked.tick(T0)
    assert set(asked.readings(key())) == {"http", "lag"}


async def test_the_query_shown_is_the_release_s_own() -> None:
    source = FakeSource()
    asked = measuring(source)
    for name in ("a", "b"):
        asked.follow(key(name), spec(name))
    await asked.tick(T0)
    shown = asked.readings(key("a"))["http"].query
    assert 'namespace="trading",service=~"a-canary|a-stable"' in shown
    assert "b-canary" not in shown


@pytest.mark.slow
async def test_releases_that_share_a_metric_share_its_query() -> None:
    """A hundred queries a minute at a tick of five seconds, for a thousand releases on one policy."""
    names = [f"r{i}" for i in range(1000)]
    source = FakeSource(lambda _, promql, at: healthy(promql, at, "r7"))
    asked = measuring(source, tick="5s", servers=WITH_SHARE)
    metrics = [RATIO | {"name": f"m{i}", "total": f"http_{i}_total"} for i in range(6)]
    triggers = [{"name": f"t{i}", "all": [{"metric": f"m{i}", "op": ">", "value": 0.1}], "for": "0s"} for i in range(6)]
    for name in names:
        asked.follow(key(name), spec(name, metrics=metrics, triggers=triggers, thresholds=[]))
    for second in range(0, 60, 5):
        await asked.tick(after(second))
    assert len(source.queries) == 12 * 7
    assert asked.asked == len(source.queries) + len(source.ups) <= 100
    assert all(len(promql) < 2000 for _, promql, _ in source.queries)


async def test_a_release_that_joined_reads_no_answer_that_was_not_asked_for_it() -> None:
    """Its series may be missing from the answer before: that would look like a silent canary."""
    source = FakeSource(lambda _, promql, at: healthy(promql, at, "a", "b"))
    asked = measuring(source)
    asked.follow(key("a"), spec("a"))
    await asked.tick(T0)
    asked.follow(key("b"), spec("b"))
    assert asked.readings(key("b")) == {}
    await asked.tick(after(1))
    assert canary(asked.readings(key("b"))) == Counts(1, 100)
    assert set(asked.readings(key("b"))) == {"http", "latency", "lag"}, "those that are asked for seldom, too"


async def test_a_metric_is_asked_as_often_as_its_rules_are_impatient() -> None:
    source = FakeSource()
    asked = measuring(source, tick="250ms", servers=WITH_SHARE)
    triggers = [
        {"name": "errors", "all": [{"metric": "http", "op": ">", "value": 0.03}], "for": "0s"},
        {"name": "p95", "all": [{"metric": "latency", "op": ">", "value": 1}], "for": "20s"},
    ]
    asked.follow(key(), spec(triggers=triggers))
    for quarter in range(60 * 4):
        await asked.tick(after(quarter / 4))
    count = {part: sum(part in promql for _, promql, _ in source.queries) for part in ("lag_s", "http_r", "duration_b")}
    assert count == {"http_r": 240, "duration_b": 12, "lag_s": 4}, "at once, four times in its time, every 15 s"


async def test_of_every_server_something_is_asked_at_every_tick_and_all_once_it_says_nothing() -> None:
    """Else a server that is blind would be noticed only when a patient rule looks again."""
    source = FakeSource()
    asked = measuring(source)
    triggers = [{"name": "errors", "all": [{"metric": "http", "op": ">", "value": 0.03}], "for": "5m"}]
    asked.follow(key(), spec(triggers=triggers))
    await asked.tick(T0)
    source.reply = lambda *_: UNREACHABLE
    await asked.tick(after(1))
    assert UNREACHABLE in [fact.canary for fact in asked.readings(key()).values()]
    await asked.tick(after(2))
    assert {fact.canary for fact in asked.readings(key()).values()} == {UNREACHABLE}


def unheard_until(seconds: float) -> FakeSource:
    """A server that knows nothing of canary's lag before that second."""

    def reply(_: str, promql: str, at: datetime) -> Answer:
        known = healthy(promql, at)
        silent = at < after(seconds) and "lag_seconds" in promql
        return Answer([row for row in known.rows if not (silent and row.labels["service"] == "shop-canary")])

    return FakeSource(reply)


async def test_a_canary_that_has_just_got_its_first_requests_is_looked_for_until_it_is_seen() -> None:
    """An answer of before its first scrape says that it has no series: the stage's clock would stand for long."""
    source = unheard_until(7)
    asked = measuring(source, servers=WITH_SHARE)
    asked.follow(key(), spec())
    await asked.tick(T0)
    asked.rose(key(), after(0.5))
    seen = []
    for second in range(1, 30):
        await asked.tick(after(second))
        if canary(asked.readings(key()), "lag") == Value(5):
            seen.append(second)
    assert seen[0] == 7
    lags = [at for _, promql, at in source.queries if "lag_s" in promql]
    assert lags == [*map(after, range(8)), after(22)], "once it is seen, as seldom as its rules are patient"


async def test_a_canary_that_stays_silent_is_looked_for_as_seldom_as_its_rules_are_patient_in_the_end() -> None:
    source = unheard_until(math.inf)
    asked = measuring(source, servers=WITH_SHARE)
    asked.follow(key(), spec())
    asked.rose(key(), T0)
    for second in range(100):
        await asked.tick(after(second))
    late = [at for _, promql, at in source.queries if "lag_s" in promql and at > after(30)]
    assert len(late) == 70 // 15


async def test_what_nobody_follows_is_not_asked() -> None:
    source = FakeSource()
    asked = measuring(source, servers=WITH_SHARE)
    asked.follow(key(), spec())
    asked.drop(key())
    asked.drop(key())
    await asked.tick(T0)
    assert source.queries == []


async def test_following_again_with_the_same_spec_changes_nothing() -> None:
    source = FakeSource()
    asked = measuring(source)
    asked.follow(key(), spec())
    await asked.tick(T0)
    asked.follow(key(), spec())
    assert asked.readings(key())


@pytest.mark.slow
async def test_a_slow_query_holds_up_no_other_and_keeps_its_instant() -> None:
    source = FakeSource()
    source.held["duration_bucket"] = asyncio.Event()
    asked = measuring(source, tick="250ms")
    asked.follow(key(), spec())
    await asked.tick(T0)
    await asked.tick(after(0.25))
    facts = asked.readings(key())
    assert facts["http"].at == after(0.25)
    assert "latency" not in facts
    assert sum("duration_bucket" in promql for _, promql, _ in source.queries) == 1, "it is not asked twice"
    source.held["duration_bucket"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asked.readings(key())["latency"].at == T0


async def test_a_blind_server_is_told_from_a_blind_query() -> None:
    def partly(_: str, promql: str, at: datetime) -> Answer | Missing:
        return UNREACHABLE if "http_requests_total" in promql else healthy(promql, at)

    source = FakeSource(partly)
    asked = measuring(source)
    asked.follow(key(), spec())
    await asked.tick(T0)
    assert canary(asked.readings(key())) == Missing(UNREACHABLE.reason, UNREACHABLE.message, server_wide=False)
    source.reply = lambda *_: UNREACHABLE
    await asked.tick(after(10))
    await asked.tick(after(11))
    assert {fact.canary for fact in asked.readings(key()).values()} == {UNREACHABLE}
    assert {fact.stable for fact in asked.readings(key()).values()} == {UNREACHABLE}


async def test_what_a_server_lacks_when_it_has_just_come_back_is_no_release_s_fault() -> None:
    """It answers before its first scrape; a fleet that outlasted the outage must not go back for that."""
    source = FakeSource()
    asked = measuring(source, servers={"default": {"url": "http://prometheus:9090", "maxAge": "60s"}})
    asked.follow(key(), spec())
    await asked.tick(T0)
    source.reply = lambda *_: UNREACHABLE
    await asked.tick(after(100))
    for second, answer in ((101, healthy("http_requests_total", T0)), (102, Answer([])), (160, Answer([]))):
        source.reply = lambda *_, answer=answer: answer
        await asked.tick(after(second))
        assert {fact.canary.server_wide for fact in asked.readings(key()).values()} == {True}  # type: ignore[union-attr]  # each is Missing
    await asked.tick(after(180))
    assert {fact.canary.server_wide for fact in asked.readings(key()).values()} == {False}  # type: ignore[union-attr]  # each is Missing


async def test_what_is_missing_after_a_take_over_amid_blindness_is_no_release_s_fault_at_first() -> None:
    source = FakeSource(lambda *_: Answer([]))
    asked = measuring(source, servers={"default": {"url": "http://prometheus:9090", "maxAge": "60s"}})
    asked.follow(key("blind"), spec("blind"))
    asked.was_blind(key("blind"))
    asked.follow(key("new"), spec("new"))
    for second, expected in ((0, True), (55, True), (70, False), (200, False)):
        await asked.tick(after(second))
        found = [{fact.canary.server_wide for fact in asked.readings(key(name)).values()} for name in ("blind", "new")]  # type: ignore[union-attr]  # each is Missing
        assert found == [{expected}, {False}]


async def test_counters_that_come_back_after_an_outage_are_not_counted_from_birth() -> None:
    """Without a sample at the window's start the difference would be all the counter ever counted."""
    source = FakeSource()
    asked = measuring(source)
    asked.follow(key(), spec())
    await asked.tick(T0)
    source.reply = lambda *_: UNREACHABLE
    for minute in range(1, 11):
        await asked.tick(after(60 * minute))
    source.reply = lambda _, promql, at: healthy(promql, at)
    await asked.tick(after(601))
    found = canary(asked.readings(key()))
    assert isinstance(found, Missing)
    assert (found.reason, found.server_wide) == (Reason.NO_DATA, True)
    assert asked.readings(key())["lag"].canary == Value(5), "an expression sees to its own window"
    gate = await asked.gate(key(), spec(), timedelta(minutes=3), after(601))
    assert isinstance(gate["errors"].canary, Missing)
    gate = await asked.gate(key(), spec(), timedelta(minutes=10), after(601))
    assert gate["errors"].canary == Counts(1, 100), "the stage began before the outage"
    await asked.tick(after(662))
    assert canary(asked.readings(key())) == Counts(1, 100)


async def test_a_short_outage_voids_nothing() -> None:
    source = FakeSource()
    asked = measuring(source)
    asked.follow(key(), spec())
    await asked.tick(T0)
    source.reply = lambda *_: UNREACHABLE
    await asked.tick(after(100))
    source.reply = lambda _, promql, at: healthy(promql, at)
    await asked.tick(after(200))
    assert canary(asked.readings(key())) == Counts(1, 100)


async def test_the_share_is_read_from_the_declared_counter() -> None:
    def reply(_: str, promql: str, at: datetime) -> Answer:
        counts = rows("trading", "shop-stable", at, {"total": 750}) + rows("trading", "shop-canary", at, {"total": 250})
        return Answer(counts) if "gateway_requests_total" in promql else healthy(promql, at)

    asked = measuring(FakeSource(reply), servers=WITH_SHARE)
    asked.follow(key(), spec())
    assert asked.share(key()) is None
    await asked.tick(T0)
    share = asked.share(key())
    assert share is not None
    assert (share.stable, share.canary, share.at, share.judged) == (750, 250, T0, True)


async def test_a_share_is_dated_by_its_scrape_and_not_by_the_question() -> None:
    """A share that contradicts the route is counted once per date: one odd scrape is looked at many times."""
    scraped = {"mine": T0, "others": T0}

    def reply(_: str, promql: str, at: datetime) -> Answer:
        if "gateway_requests_total" not in promql:
            return healthy(promql, at)
        mine = [
            row for s in ("stable", "canary") for row in rows("trading", f"shop-{s}", scraped["mine"], {"total": 9})
        ]
        return Answer([*mine, *rows("trading", "other-canary", scraped["others"], {"total": 5})])

    async def dated(seconds: float) -> datetime:
        await asked.tick(after(seconds))
        share = asked.share(key())
        assert share is not None
        return share.at

    asked = measuring(FakeSource(reply), servers=WITH_SHARE)
    asked.follow(key(), spec())
    assert [await dated(second) for second in (1, 2, 3)] == [T0, T0, T0]
    scraped["others"] = after(3)
    assert await dated(4) == T0, "another release's requests are counted by another gateway"
    scraped["mine"] = after(5)
    assert await dated(6) == after(5)


async def test_without_an_answer_there_is_no_share() -> None:
    asked = measuring(FakeSource(lambda *_: UNREACHABLE), servers=WITH_SHARE)
    asked.follow(key(), spec())
    await asked.tick(T0)
    assert asked.share(key()) is None


async def test_a_query_that_cannot_be_built_is_missing_data_and_nothing_is_sent_for_it() -> None:
    source = FakeSource()
    asked = measuring(source)
    broken = [RATIO | {"total": "sum(http_requests_total)"}]
    asked.follow(key(), spec(metrics=broken, triggers=[], thresholds=[{"name": "e", "metric": "http", "max": 1}]))
    await asked.tick(T0)
    found = canary(asked.readings(key()))
    assert isinstance(found, Missing)
    assert found.reason is Reason.INVALID_QUERY
    assert source.queries == []


async def test_a_server_that_is_not_declared_is_missing_data() -> None:
    asked = measuring(FakeSource())
    asked.follow(key(), spec(prometheus="elsewhere"))
    await asked.tick(T0)
    found = canary(asked.readings(key()))
    assert isinstance(found, Missing)
    assert found.reason is Reason.PROMETHEUS_UNKNOWN
    assert found.server_wide
    (finding,) = await asked.preflight(key(), spec(prometheus="elsewhere"), T0)
    assert finding.fatal
    assert finding.problem.reason is Reason.PROMETHEUS_UNKNOWN
