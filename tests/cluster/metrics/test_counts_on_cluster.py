"""Readings against what clients were really answered, through a real gateway and a real Prometheus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Value

if TYPE_CHECKING:
    from cluster.metrics.conftest import Shop


def is_missing(reading: object, reason: Reason) -> bool:
    return isinstance(reading, Missing) and reading.reason is reason


async def test_before_the_first_request_there_is_no_data_which_is_not_zero(shop: Shop) -> None:
    facts = await shop.look()
    assert is_missing(facts["http"].canary, Reason.NO_DATA)


async def test_a_series_born_with_errors_counts_from_its_first_sample_on(shop: Shop) -> None:
    """The bad series appears with all its errors at once: its increase would be none."""
    shop.cluster.set_app(shop.namespace, shop.canary.selector, error=1.0)
    seen = await shop.send_to_canary(60)
    sent = seen.by["v2/500"]
    assert sent == seen.versions["v2"] > 0
    first = await shop.until("the first sample", lambda f: isinstance(f["http"].canary, Counts))
    counts = first["http"].canary
    assert isinstance(counts, Counts)
    assert counts.bad == counts.total > 0
    await shop.until("all errors", lambda f: f["http"].canary == Counts(sent, sent))


async def test_counts_between_two_quiet_moments_are_the_clients_own(shop: Shop) -> None:
    """Also over the whole stage, and also where no error series was ever born: that is none bad."""
    began = before_any_request()
    first = (await shop.send_to_canary(120)).by["v2/200"]
    await shop.until("the first load", lambda f: f["http"].canary == Counts(0, first))
    shop.cluster.set_app(shop.namespace, shop.canary.selector, error=0.5)
    second = (await shop.send(200)).by
    bad, sent = second["v2/500"], second["v2/500"] + second["v2/200"]
    assert sent == 200
    assert 0 < bad < 200
    await shop.until("the window has only the second load", lambda f: f["http"].canary == Counts(bad, 200), within=50)
    assert (await _over_stage(shop, began, first + 200)).total == first + 200
    await shop.until("a quiet window", lambda f: f["http"].canary == Counts(0, 0), within=50)


async def test_latency_is_counted_at_the_edges_rules_read(shop: Shop) -> None:
    began = before_any_request()
    fast = (await shop.send_to_canary(50)).versions["v2"]
    shop.cluster.set_app(shop.namespace, shop.canary.selector, latency="400ms")
    slow = (await shop.send(30, rps=60)).versions["v2"]
    histogram = await _over_stage(shop, began, fast + slow)
    assert histogram.at_or_below[5.0] == fast + slow
    assert histogram.at_or_below[0.2] <= fast
    assert set(histogram.at_or_below) == {0.2, 5.0}


def before_any_request() -> datetime:
    """A beginning of the stage that leaves nothing out: its window is moved inwards to a full second.

    Canary has answered nothing before, so it may lie in the past.
    """
    return datetime.now(UTC) - timedelta(seconds=2)


async def _over_stage(shop: Shop, began: datetime, total: int) -> Buckets:
    """The histogram since `began`, once it has counted that many requests; never more."""
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while True:
        now = datetime.now(UTC)
        found = (await shop.measuring.gate(shop.key, shop.spec, now - began, now))["p95"].canary
        if isinstance(found, Buckets) and found.total >= total:
            assert found.total == total
            return found
        assert now < deadline, found
        await asyncio.sleep(0.2)


async def test_an_expression_is_read_for_each_side(shop: Shop) -> None:
    none_open = Value(0)
    await shop.until("both sides", lambda f: f["streams"].canary == f["streams"].stable == none_open)


async def test_the_gateway_s_own_counter_gives_the_share(shop: Shop) -> None:
    shop.route(canary=50)
    seen = (await shop.send(400)).versions
    answered = seen["v1"] + seen["v2"] + shop.probes
    counted = None
    deadline = datetime.now(UTC) + timedelta(seconds=15)
    while counted is None or counted.stable + counted.canary < answered:
        assert datetime.now(UTC) < deadline, counted
        counted = await shop.share()
    assert counted.judged
    assert counted.canary == seen["v2"]
    assert counted.stable == seen["v1"] + shop.probes


async def test_a_restarted_pod_makes_no_negative_count(shop: Shop) -> None:
    """A window of triggers has what came after. A gate has what was before as well: test_restarts_on_prometheus.py."""
    sent = (await shop.send_to_canary(100)).versions["v2"]
    await shop.until("the first load", lambda f: f["http"].canary == Counts(0, sent))
    shop.cluster.set_app(shop.namespace, shop.canary.selector, crash=True)

    await shop.until("the restart", lambda _: _restarts(shop) > 0)
    await shop.until("new pods are rolled out", lambda _: _ready(shop))
    later = await shop.until_served("v2") + (await shop.send(20)).versions["v2"]
    await shop.until("the later requests", lambda f: f["http"].canary == Counts(0, later))


def _restarts(shop: Shop) -> int:
    pods = shop.cluster.list("v1", "Pod", shop.namespace, labels=shop.canary.selector)
    return sum(one.get("restartCount", 0) for pod in pods for one in pod["status"].get("containerStatuses", []))


def _ready(shop: Shop) -> bool:
    pods = shop.cluster.list("v1", "Pod", shop.namespace, labels=shop.canary.selector)
    conditions = [c for pod in pods for c in pod["status"].get("conditions", []) if c["type"] == "Ready"]
    return bool(conditions) and all(condition["status"] == "True" for condition in conditions)
