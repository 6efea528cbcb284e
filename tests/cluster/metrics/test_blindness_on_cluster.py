"""A real Prometheus stopped, frozen, or asked what it refuses: each has its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cluster.metrics.conftest import config, release
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Counts, Finding, MetricFacts, Missing
from sparkrelease.decide.series import Answer
from sparkrelease.engine.measure import Measurements
from testbed.awaiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cluster.metrics.conftest import Shop
    from testbed.cluster import Cluster, Fault, PrometheusProxy

BLIND: dict[Fault, str] = {
    "error": "PrometheusError",
    "html": "PrometheusError",
    "nan": "NotANumber",
    "empty": "NoData",
    "warning": "PartialAnswer",
}


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[PrometheusProxy]:
    running = cluster.start_prometheus_proxy()
    yield running
    running.stop()


def blind(reason: Reason) -> Callable[[Mapping[str, MetricFacts]], bool]:
    def seen(facts: Mapping[str, MetricFacts]) -> bool:
        canary = facts["http"].canary
        return isinstance(canary, Missing) and canary.reason is reason and canary.server_wide

    return seen


@pytest.mark.parametrize("way", ["stop", "pause"])
async def test_a_prometheus_that_is_away_is_a_blind_server_and_heals(shop: Shop, way: str) -> None:
    sent = (await shop.send_to_canary(40)).versions["v2"]
    await shop.until("the requests", lambda f: f["http"].canary == Counts(0, sent))
    outage = shop.cluster.prometheus
    try:
        outage.stop() if way == "stop" else outage.pause()
        await shop.until("a blind server", blind(Reason.PROMETHEUS_UNREACHABLE))
    finally:
        outage.start() if way == "stop" else outage.resume()
    await shop.until("sight again", lambda f: isinstance(f["http"].canary, Counts))


@pytest.mark.parametrize("fault", sorted(BLIND))
async def test_a_spoiled_answer_has_its_reason(shop: Shop, proxy: PrometheusProxy, fault: Fault) -> None:
    declared = config(proxy.url)
    source = PrometheusSource(declared.servers)
    measuring = Measurements(source, declared)
    measuring.follow(shop.key, shop.spec)
    sent = (await shop.send_to_canary(40)).versions["v2"]
    await shop.until("the requests", lambda f: f["http"].canary == Counts(0, sent))
    proxy.fail(fault)
    try:
        await measuring.tick(datetime.now(UTC))
        canary = measuring.readings(shop.key)["http"].canary
        assert isinstance(canary, Missing)
        assert canary.reason == BLIND[fault]
        proxy.heal()
        await measuring.tick(datetime.now(UTC))
        assert isinstance(measuring.readings(shop.key)["http"].canary, Counts)
    finally:
        proxy.heal()
        source.close()


async def test_a_target_that_is_gone_becomes_stale_and_then_no_data(shop: Shop) -> None:
    sent = (await shop.send_to_canary(40)).versions["v2"]
    await shop.until("the requests", lambda f: f["http"].canary == Counts(0, sent))
    shop.cluster.delete("apps/v1", "Deployment", "shop-canary", shop.namespace)
    await shop.until("no data", lambda f: getattr(f["http"].canary, "reason", None) is Reason.NO_DATA)


async def ask(cluster: Cluster, promql: str, **server: object) -> Answer | Missing:
    source = PrometheusSource(config(cluster.prometheus_local_url, **server).servers)
    try:
        return await source.query("default", promql, datetime.now(UTC))
    finally:
        source.close()


@pytest.mark.parametrize(
    "promql", ["sum(", 'up{job="x"', "up * on (x) group_left () (up or up offset 1s)", "up[5m]", "1"]
)
async def test_what_prometheus_refuses_or_answers_otherwise_is_the_query_s_fault(cluster: Cluster, promql: str) -> None:
    found = await ask(cluster, promql)
    assert isinstance(found, Missing)
    assert found.reason is Reason.INVALID_QUERY
    assert not found.server_wide


async def test_a_large_answer_hits_the_limit(cluster: Cluster) -> None:
    found = await ask(cluster, '{__name__=~".+"}', maxBytes=20_000)
    assert isinstance(found, Missing)
    assert found.reason is Reason.ANSWER_TOO_LARGE


async def test_a_long_query_gets_through(cluster: Cluster) -> None:
    found = await ask(cluster, f'up{{job!="{"x" * 20_000}"}}')
    assert isinstance(found, Answer)


# ---------------------------------------------------------------- preflight


async def preflight(shop: Shop, **fields: object) -> list[Finding]:
    return list(await shop.measuring.preflight(shop.key, release(**fields), datetime.now(UTC)))


async def passes_preflight(shop: Shop) -> bool:
    return not [one for one in await preflight(shop) if one.fatal]


async def test_preflight_passes_once_stable_has_series(shop: Shop) -> None:
    """It asks about a moment that is full tenths of a second, which the first sample may be newer than."""
    await until("a good preflight", lambda: passes_preflight(shop))
    assert isinstance((await shop.look())["http"].stable, Counts)


async def test_preflight_names_what_is_wrong(shop: Shop) -> None:
    await until("a good preflight", lambda: passes_preflight(shop))
    metrics = [
        {"name": "typo", "bad": 'http_requests_total{kode=~"5.."}', "total": "http_requests_total"},
        {"name": "absent", "bad": "no_such_errors", "total": "no_such_requests"},
        {"name": "edge", "buckets": "http_request_duration_seconds_bucket", "quantile": 0.95},
        {"name": "ungrouped", "value": "sum(http_open_streams{$sel})"},
        {"name": "several", "value": "http_requests_total{$sel} or http_open_streams{$sel}"},
    ]
    triggers = [{"name": one["name"], "all": [{"metric": one["name"], "op": ">", "value": 0.3}]} for one in metrics]
    found = await preflight(shop, metrics=metrics, triggers=triggers, thresholds=[])
    reasons = {one.check: one.problem for one in found if one.fatal}
    assert reasons["metrics/typo"].reason is Reason.NO_SERIES
    assert reasons["metrics/absent"].reason is Reason.NO_SERIES
    assert reasons["metrics/edge"].reason is Reason.BUCKET_EDGE
    assert "0.2 and 0.5" in reasons["metrics/edge"].message
    assert reasons["metrics/ungrouped"].reason is Reason.INVALID_QUERY
    assert set(reasons) <= {f"metrics/{one['name']}" for one in metrics}
