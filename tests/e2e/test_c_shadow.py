"""A shadow before the first weight: canary gets copies of requests, and is refused before any user saw an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed import app
from testbed.evidence import checked
from testbed.shop import ERRORS, GIT, STAGES
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

HEADER = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-team", "value": "shop"}]}}
DRIFT = {
    "name": "drift",
    "bad": 'shadow_results_total{outcome="different"}',
    "total": "shadow_results_total",
    "window": "5s",
}
PRICE = {
    "name": "price",
    "value": "sum by ($by) (rate(quote_price_sum{$sel}[$win])) / sum by ($by) (rate(quote_price_count{$sel}[$win]))",
    "window": "5s",
}
SHADOW = {"name": "shadow", "weight": 0, "mirror": 100, "duration": "5s"}
THRESHOLDS = [
    {"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1},
    {"name": "same-results", "metric": "drift", "max": 0.01, "minRequests": 50, "at": "mirror"},
]
SPEC: dict[str, Any] = {"stages": [SHADOW, *STAGES], "metrics": [ERRORS, DRIFT], "thresholds": THRESHOLDS}


def copies(shop: Shop) -> int:
    """Requests that canary's pods have counted themselves."""
    pods = shop.cluster.list("v1", "Pod", shop.namespace, labels=f"app={shop.name}-canary")
    return sum(app.requests(shop.cluster.pod_url(pod)) for pod in pods if pod["status"].get("podIP"))


def filters(shop: Shop) -> list[Mapping[str, Any]] | None:
    """Filters of the rule that is managed; None where it has no list of them."""
    found: list[Mapping[str, Any]] | None = shop.route_object()["spec"]["rules"][0].get("filters")
    return found


def mirroring(status: Mapping[str, Any]) -> bool:
    """Whether the status says that copies reach canary."""
    return status["weight"].get("mirror") == 100 and bool(status["weight"]["verified"])


def saw_only_stable(shop: Shop) -> None:
    """No user got anything but a good answer of stable."""
    (load,) = shop.loads
    seen = load.stop()
    assert (seen.failed, set(seen.versions)) == (0, {"v1"}), seen


@pytest.mark.timeout(300)
def test_a_good_canary_leaves_the_shadow_for_real_weights_and_nothing_of_it_stays(
    operator: Operator, shop: Shop
) -> None:
    shop.open()
    git = shop.route_manifest()
    git["spec"]["rules"][0]["filters"] = [HEADER]
    shop.cluster.apply(git, manager=GIT, force=True)
    as_in_git = shop.route_object()["spec"]
    load = shop.start_load(rps=50, duration=600)
    since = shop.cluster.audit_cursor()
    shop.ship("v2", **SPEC)

    shop.until("copies reach canary", mirroring)
    backend = {"group": "", "kind": "Service", "name": "shop-canary", "port": 8080}
    assert filters(shop) == [HEADER, {"type": "RequestMirror", "requestMirror": {"backendRef": backend}}]
    assert shop.canary_weight() == 0
    assert "mirror 1/4" in shop.cluster.kubectl("get", "sr", "-n", shop.namespace).stdout
    screen = shop.cluster.kubectl("sparkrelease", "status", shop.name, "-n", shop.namespace).stdout
    assert "100 % mirrored" in screen
    before = copies(shop)
    wait_for("canary counts copies", lambda: copies(shop) >= before + 50, timeout=30)

    shop.until_written(5, since)
    first = next(event for event, weight in shop.weights_written(since) if weight > 0)
    early = {a.version for a in load.answers() if a.unix_ns < first.received.timestamp() * 1e9}
    assert early == {"v1"}, "canary answered users before it had weight"
    assert all(one.get("type") != "RequestMirror" for one in first.response["spec"]["rules"][0]["filters"])
    shop.until_condition("Promoted")
    assert filters(shop) == [HEADER]
    shop.deploy("stable", "v2")
    shop.until_settled("v2")
    wait_for("the route is as in Git", lambda: shop.route_object()["spec"] == as_in_git, timeout=30)

    passed = [entry for entry in checked(shop).entries if entry["kind"] == "GatePassed"]
    assert (passed[0]["data"]["stage"], passed[0]["data"]["mirror"]) == ("shadow", 100)
    assert set(passed[0]["data"]["verdicts"]) == {"errors", "same-results"}
    assert set(passed[1]["data"]["verdicts"]) == {"errors"}, "nothing is compared any more"
    assert load.stop().failed == 0


def test_a_canary_whose_results_drift_is_refused_before_any_user_saw_it(
    operator: Operator, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load(rps=50, duration=600)
    since = shop.cluster.audit_cursor()
    shop.ship("v2", env={"DRIFT": "0.2"}, **SPEC)
    status = shop.until_phase("RolledBack")
    back = status["rollback"]
    assert (back["trigger"], back["reason"], back["stage"]) == ("gate shadow", "GateFailed", "shadow")
    assert (back["fromWeight"], back["fromMirror"]) == (0, 100)
    assert "same-results: drift" in back["message"]
    assert back["seconds"] <= 2
    assert [refused["version"] for refused in status["refused"]] == ["v2"]
    assert filters(shop) is None
    assert {weight for _, weight in shop.weights_written(since)} == {0}
    saw_only_stable(shop)

    evidence = checked(shop)
    assert evidence.last("GateFailed")["message"].startswith("rolling back from a mirror of 100 %: ")
    page = tmp_path / "report.html"
    shop.cluster.kubectl("sparkrelease", "report", shop.name, "-n", shop.namespace, "-o", str(page), "--no-open")
    assert "before any user saw it" in page.read_text(encoding="utf-8")


def test_a_failing_canary_loses_its_copies_at_once_and_a_sync_that_drops_the_mirror_is_noticed(
    operator: Operator, shop: Shop
) -> None:
    shop.open()
    shop.start_load(rps=50, duration=600)
    slow = SHADOW | {"duration": "10m"}
    off = {"name": "price-off", "all": [{"metric": "price", "kind": "vsStable", "factor": 1.02}], "for": "3s"}
    shop.ship("v2", **SPEC | {"stages": [slow, *STAGES], "metrics": [ERRORS, DRIFT, PRICE], "triggers": [off]})
    shop.until("copies reach canary", mirroring)
    shop.apply_route()
    wait_for("the mirror is set again", lambda: filters(shop) is not None, timeout=30)
    shop.until("the sync is noticed", lambda s: (s.get("contested") or {}).get("manager") == GIT)
    shop.until("copies reach canary again", mirroring)

    shop.cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=1.0, drift=1.0)
    status = shop.until_phase("RolledBack")
    assert (status["rollback"]["trigger"], status["rollback"]["fromMirror"]) == ("price-off", 100)
    assert re.search(r"price-off: price 1\d\d[.\d]* vs stable 100; > 1.02x", status["rollback"]["message"]), status
    assert filters(shop) is None
    saw_only_stable(shop)
