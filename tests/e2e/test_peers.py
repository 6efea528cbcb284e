"""What other operators were seen to get wrong under a fault, each with what must happen here instead."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from testbed.shop import ROUTE_API, canary_percent, operator_config
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from testbed.audit import AuditEvent
    from testbed.cluster import Cluster, Operator, PrometheusProxy
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

SERVED = ("httproutes", "grpcroutes", "services")


@pytest.fixture
def proxy(operators: SoleOperator, cluster: Cluster) -> Iterator[PrometheusProxy]:
    """Stands between the operator and Prometheus."""
    running = cluster.start_prometheus_proxy()
    servers = operator_config(cluster)["servers"]
    servers["default"]["url"] = running.url
    operators.run(servers=servers)
    yield running
    operators.stop()
    running.stop()


def _operator(event: AuditEvent) -> bool:
    return event.user.startswith("system:serviceaccount:sparkrelease-system:")


def raises(shop: Shop, since: int) -> list[tuple[float, float]]:
    """When the operator gave the canary more weight, in Unix time, and how much."""
    found: list[tuple[float, float]] = []
    last = 0.0
    for event, weight in shop.weights_written(since):
        if weight > last and _operator(event):
            found.append((event.received.timestamp(), weight))
        last = weight
    return found


@pytest.mark.timeout(300)
def test_blind_at_ten_percent_with_triggers_alone_nobody_is_promoted(proxy: PrometheusProxy, shop: Shop) -> None:
    """Others promote on NaN when only a failure condition is set: what cannot be shown bad counts as good."""
    since = shop.cluster.audit_cursor()
    shop.open()
    shop.start_load(rps=150)
    stages = [{"name": "ten", "weight": 10, "duration": "4s"}, {"name": "full", "weight": 100, "duration": "3s"}]
    limits = {"rollbackAfter": "6s", "serverRollbackAfter": "6s"}
    shop.ship("v2", stages=stages, thresholds=[], noData=limits)
    shop.until("stage clock runs", lambda s: bool((s.get("stage") or {}).get("startedAt")))
    proxy.fail("nan")
    shop.until_condition("RolledBack", "True", "DataMissingTooLong", timeout=40)
    assert [weight for _, weight in raises(shop, since)] == [10]


@pytest.mark.timeout(300)
def test_seven_kills_in_a_row_promote_nobody_early(
    operator: Operator, operators: SoleOperator, cluster: Cluster, shop: Shop
) -> None:
    """Others tick at once after a start, so that a crash loop hurries through the stages."""
    duration = 8.0
    stages = [
        {"name": "quarter", "weight": 25, "duration": f"{duration:g}s"},
        {"name": "half", "weight": 50, "duration": f"{duration:g}s"},
        {"name": "full", "weight": 100, "duration": "1s"},
    ]
    shop.open()
    load = shop.start_load(duration=280)
    since = cluster.audit_cursor()
    shop.ship("v2", stages=stages)
    shop.until_weight(25)
    for _ in range(7):
        operators.crash()
        again = time.monotonic() + 2.5
        wait_for("a short life", lambda again=again: time.monotonic() >= again, timeout=10)
    shop.until_condition("Promoted", timeout=120)
    steps = raises(shop, since)
    assert [weight for _, weight in steps] == [25, 50, 100]
    for (earlier, _), (later, _) in itertools.pairwise(steps):
        assert later - earlier >= duration, "a stage was shorter than it says"
    assert [a for a in load.answers() if a.failed] == []


def test_an_edited_weight_is_set_again_told_and_skips_no_stage(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    """Others take the edit for the truth and skip stages, or set it again and say nothing of it."""
    stages = [{"name": "quarter", "weight": 25, "duration": "10m"}, {"name": "full", "weight": 100, "duration": "10m"}]
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=stages)
    shop.until("a verified weight", lambda s: s.get("weight", {}).get("verified", False))
    since = cluster.audit_cursor()
    edit = [
        {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 30},
        {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 70},
    ]
    cluster.patch(ROUTE_API, "HTTPRoute", shop.name, shop.namespace, edit)
    shop.until_weight(25, timeout=20)
    shop.until("verified again", lambda s: s["weight"]["verified"] and s["weight"]["observed"] == 25)
    assert shop.status["stage"]["name"] == "quarter"

    routes = [e for e in cluster.audit_events(since) if e.namespace == shop.namespace and e.resource == "httproutes"]
    edited = next(e for e in routes if e.writes and not _operator(e))
    answer = next(e for e in routes if e.writes and e.code < 300 and _operator(e))
    assert canary_percent(answer.response, f"{shop.name}-canary") == 25
    assert (answer.received - edited.completed).total_seconds() <= 2

    def told() -> bool:
        events = json.loads(cluster.kubectl("get", "events", "-n", shop.namespace, "-o", "json").stdout)["items"]
        return any(e["reason"] == "TrafficReverted" and "70" in e["message"] for e in events)

    wait_for("an Event about the edit", told, timeout=20, every=0.5)
    counted = shop.until("counted once", lambda s: (s.get("contested") or {}).get("total") == 1)
    assert counted["contested"]["manager"] == "testbed", "who edited is named"


def test_after_a_rollback_there_is_nothing_left_to_write(operator: Operator, cluster: Cluster, shop: Shop) -> None:
    """Others patch a Service seventy-six times in five seconds after an abort."""
    stages = [{"name": "quarter", "weight": 25, "duration": "10m"}, {"name": "full", "weight": 100, "duration": "10m"}]
    quiet = 15.0

    def told(status: Mapping[str, Any]) -> str:
        return next(str(c["message"]) for c in status["conditions"] if c["type"] == "EvidenceComplete")

    shop.open()
    shop.start_load()
    before = [e["spec"] for e in cluster.list("v1", "Service", shop.namespace)]
    shop.ship("v2", stages=stages, error=0.5)
    shop.until_condition("RolledBack", timeout=60)
    wait_for("the finalizer gone", lambda: not shop.get()["metadata"].get("finalizers"), timeout=10)
    shop.until("nothing open at canary", lambda s: s["rollback"].get("connections") == 0, timeout=30)
    shop.until("measured, once", lambda s: "measuredAt" in s["rollback"] and told(s) == s["evidence"]["head"])
    since, end = cluster.audit_cursor(), time.monotonic() + quiet
    wait_for("fifteen seconds", lambda: time.monotonic() >= end, timeout=30, every=0.5)
    after = [e for e in cluster.audit_events(since) if e.writes and e.namespace == shop.namespace and _operator(e)]
    assert [(e.verb, e.resource, e.subresource) for e in after if e.resource in {*SERVED, "sparkreleases"}] == []
    assert shop.canary_weight() == 0
    assert [e["spec"] for e in cluster.list("v1", "Service", shop.namespace)] == before, "Services are not ours"
