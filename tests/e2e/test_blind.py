"""Prometheus gone, frozen, slow, empty or talking nonsense under a canary: hold, go back in time, never advance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.shop import operator_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.audit import AuditEvent
    from testbed.cluster import Cluster, Fault, Operator, PrometheusProxy
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

STAGE = 4.0
LIMIT = 9.0
"""Longer than the stage: an operator that went on counting would raise the weight before it goes back. And longer than
it takes until the pods of a canary that was just rolled out are found and scraped."""


STAGES = [
    {"name": "quarter", "weight": 25, "duration": f"{STAGE:g}s"},
    {"name": "full", "weight": 100, "duration": "5s"},
]
LIMITS = {"rollbackAfter": f"{LIMIT:g}s", "serverRollbackAfter": f"{LIMIT:g}s"}
SPOILED: list[tuple[Fault, str]] = [
    ("error", "PrometheusError"),
    ("html", "PrometheusError"),
    ("empty", "NoData"),
    ("nan", "NotANumber"),
    ("slow", "PrometheusUnreachable"),
]


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[PrometheusProxy]:
    running = cluster.start_prometheus_proxy()
    yield running
    running.stop()


@pytest.fixture
def own_operator(operators: SoleOperator, cluster: Cluster, proxy: PrometheusProxy) -> Iterator[Operator]:
    """An operator that asks through the proxy, which passes everything on at first and in the end."""
    servers = operator_config(cluster)["servers"]
    servers["default"]["url"] = proxy.url
    yield operators.run(servers=servers)
    proxy.heal()


@pytest.mark.parametrize(("fault", "reason"), SPOILED)
def test_answers_that_are_none_hold_and_go_back(
    own_operator: Operator, shop: Shop, proxy: PrometheusProxy, fault: Fault, reason: str
) -> None:
    at_a_quarter(shop)
    since = shop.cluster.audit_cursor()
    proxy.fail(fault)
    goes_back(shop, reason, since)


@pytest.mark.parametrize("fault", ["stop", "pause"])
def test_a_prometheus_that_is_gone_or_frozen_holds_and_goes_back(
    operator: Operator, cluster: Cluster, shop: Shop, fault: str
) -> None:
    at_a_quarter(shop)
    since = cluster.audit_cursor()
    try:
        cluster.prometheus.stop() if fault == "stop" else cluster.prometheus.pause()
        goes_back(shop, "PrometheusUnreachable", since)
    finally:
        cluster.prometheus.start() if fault == "stop" else cluster.prometheus.resume()


def test_a_short_blindness_costs_time_and_nothing_else(operator: Operator, cluster: Cluster, shop: Shop) -> None:
    at_a_quarter(shop)
    cluster.prometheus.pause()
    try:
        shop.until_condition("MetricsAvailable", "False", timeout=20)
    finally:
        cluster.prometheus.resume()
    shop.until_condition("MetricsAvailable", "True", timeout=20)
    shop.until_condition("Promoted", timeout=60)


def at_a_quarter(shop: Shop) -> None:
    """A run at 25 % whose stage clock has just begun."""
    shop.open()
    shop.start_load(rps=100)
    shop.ship("v2", stages=STAGES, noData=LIMITS)
    shop.until("stage clock runs", lambda s: bool((s.get("stage") or {}).get("startedAt")))


def goes_back(shop: Shop, reason: str, since: int) -> None:
    """Asserts what must happen once the data is gone: hold with the reason in status, rollback after the limit.

    The audit log from `since` on says when each was written: this process may be late.
    """
    shop.until_condition("MetricsAvailable", "False", reason, timeout=20)
    shop.until_condition("RolledBack", "True", "DataMissingTooLong", timeout=40)
    assert reason in shop.status["rollback"]["message"]
    given = [(event.received, weight) for event, weight in shop.weights_written(since)]
    assert {weight for _, weight in given} == {0}, "no raise while blind, and all of it goes back at once"
    blind = next(event.received for event in shop.cluster.audit_events(since) if says_blind(shop, event))
    borne = (given[0][0] - blind).total_seconds()
    assert borne >= LIMIT - 2, "a blindness shorter than the limit is borne"
    assert shop.canary_weight() == 0


def says_blind(shop: Shop, event: AuditEvent) -> bool:
    """Whether this write of the status said that metrics are not available."""
    if event.resource != "sparkreleases" or event.namespace != shop.namespace or event.code >= 300:
        return False
    conditions = event.response.get("status", {}).get("conditions", [])
    return any(c["type"] == "MetricsAvailable" and c["status"] == "False" for c in conditions)
