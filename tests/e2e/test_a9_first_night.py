"""Row A9: the watch after the last stage: checks at a pace, then promotion; a defect in it is back at 0 % at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.shop import ERRORS

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

WATCH: dict[str, Any] = {"duration": "15s", "every": "3s", "burnRates": {"objective": 0.99}}
STAGES = [{"name": "full", "weight": 100, "duration": "3s"}]
SLOW: dict[str, Any] = {
    "metrics": [ERRORS, {"name": "longer", **{k: v for k, v in ERRORS.items() if k != "name"}}],
    "thresholds": [
        {"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1},
        {"name": "over-the-watch", "metric": "longer", "max": 0.02, "minRequests": 1, "at": "watch"},
    ],
}


def test_a_quiet_watch_makes_its_checks_and_ends_in_the_promotion(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load(rps=50)
    shop.ship("v2", stages=STAGES, watch=WATCH, **SLOW)
    shop.until_phase("Watching")
    assert shop.canary_weight() == 100
    assert shop.condition("Promoted") == {}
    shop.until("two checks", lambda s: (s.get("watch") or {}).get("check", 0) >= 2)
    assert shop.status["watch"]["of"] == 5
    assert shop.status["stageText"].startswith("watch ")
    assert shop.status["gateText"] == "2/2"
    table = shop.cluster.kubectl("get", "sr", "-n", shop.namespace).stdout
    assert "Watching" in table
    assert "watch" in table
    shop.until_condition("Promoted", timeout=60)
    assert shop.status["phase"] == "Succeeded"


def test_a_budget_that_burns_in_the_watch_takes_the_release_back_at_a_check(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load(rps=50)
    calm = [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.9}], "for": "0s"}]
    criteria = [{"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1, "at": "watch"}]
    shop.ship("v2", error=0.5, stages=STAGES, watch=WATCH, triggers=calm, thresholds=criteria)
    shop.until_phase("Watching")
    shop.until_phase("RolledBack", timeout=60)
    assert shop.canary_weight() == 0
    assert shop.status["rollback"]["stage"] == "watch"
    assert shop.status["rollback"]["reason"] == "WatchFailed", "criteria are judged at the last check alone"
    assert "burn rate 1h: http burns" in shop.status["rollback"]["message"]
    assert shop.condition("Promoted").get("status") == "False"
