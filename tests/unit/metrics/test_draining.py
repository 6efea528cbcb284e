"""What a canary still holds after its rollback: asked for a while, shown, and waited for by nobody."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from fakes.metric_source import T0, UNREACHABLE, FakeSource, after, config, key, rows, spec
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer
from sparkrelease.engine.measure import Measurements

GAUGE = "envoy_cluster_upstream_rq_active"
SERVERS = {"default": {"url": "http://prometheus:9090", "connections": {"gauge": GAUGE}}}


class Gateway(FakeSource):
    """A server that counts what is open on each Service."""

    def __init__(self) -> None:
        super().__init__(self.count)
        self.open: dict[str, float] = {}
        self.seen: datetime | None = None

    def count(self, _: str, promql: str, at: datetime) -> Answer | Missing:
        found = []
        for service, number in self.open.items():
            found += rows("trading", service, self.seen or at, {"total": number})
        return Answer(found)


async def tick(measuring: Measurements, seconds: float) -> None:
    """A tick, and the answers to what nobody waits for."""
    await measuring.tick(after(seconds))
    tasks = [batch.task for batch in measuring._draining._batches.values() if batch.task is not None]
    for task in tasks:
        await task


def drained() -> tuple[Gateway, Measurements]:
    gateway = Gateway()
    measuring = Measurements(gateway, config(servers=SERVERS))
    measuring.drain(key(), spec(), T0)
    return gateway, measuring


async def test_what_is_open_is_asked_for_until_nothing_is() -> None:
    gateway, measuring = drained()
    gateway.open = {"shop-canary": 3, "shop-stable": 40}
    await tick(measuring, 1)
    assert measuring.connections(key()) == 3
    gateway.open["shop-canary"] = 0
    await tick(measuring, 7)
    assert measuring.connections(key()) == 0
    await tick(measuring, 13)
    assert measuring.connections(key()) == 0, "kept for one look"
    await tick(measuring, 19)
    assert list(measuring.draining) == []
    asked = len(gateway.queries)
    await tick(measuring, 60)
    assert len(gateway.queries) == asked


async def test_nobody_is_asked_for_longer_than_ten_minutes() -> None:
    gateway, measuring = drained()
    gateway.open = {"shop-canary": 3}
    for second in range(0, 590, 10):
        await tick(measuring, second)
    assert list(measuring.draining) == [key()]
    await tick(measuring, 600)
    assert list(measuring.draining) == []
    assert measuring.connections(key()) is None


async def test_what_nobody_counts_is_unknown_and_not_none() -> None:
    gateway, measuring = drained()
    gateway.open = {"shop-stable": 40}
    await tick(measuring, 1)
    assert measuring.connections(key()) is None
    gateway.reply = lambda *_: UNREACHABLE
    await tick(measuring, 7)
    assert measuring.connections(key()) is None


async def test_a_sample_from_before_the_rollback_says_nothing() -> None:
    gateway, measuring = drained()
    gateway.open, gateway.seen = {"shop-canary": 0}, T0 - timedelta(seconds=5)
    await tick(measuring, 1)
    assert measuring.connections(key()) is None


@pytest.mark.parametrize("servers", [{}, {"default": {"url": "http://prometheus:9090"}}])
async def test_a_server_without_the_gauge_is_not_asked(servers: dict[str, object]) -> None:
    source = FakeSource()
    measuring = Measurements(source, config(servers=servers))
    measuring.drain(key(), spec(), T0)
    await measuring.tick(after(1))
    assert source.queries == []
    assert list(measuring.draining) == []


async def test_a_new_run_ends_the_question_of_the_last_one() -> None:
    gateway, measuring = drained()
    gateway.open = {"shop-canary": 3}
    await tick(measuring, 1)
    measuring.follow(key(), spec())
    assert list(measuring.draining) == []


async def test_a_question_that_hangs_holds_up_no_tick() -> None:
    gateway, measuring = drained()
    gateway.held[GAUGE] = asyncio.Event()
    async with asyncio.timeout(0.9):
        await measuring.tick(after(1))
    gateway.held[GAUGE].set()
