"""Row C: a spent error budget blocks the start of a run, and the run starts by itself once some of it is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop


def test_a_spent_budget_blocks_and_heals(operator: Operator, shop: Shop) -> None:
    shop.deploy("stable", "v1", error=0.5)
    shop.deploy("canary", "v1")
    shop.apply_route()
    shop.start_load(rps=50)
    budget = {"metric": "http", "objective": 0.9, "window": "15s"}
    shop.ship("v2", errorBudget=budget)
    shop.until_condition("Ready", "False", "BudgetExhausted")
    assert shop.status["phase"] == "Blocked"
    assert shop.canary_weight() == 0
    shop.deploy("stable", "v1", error=0.0)
    shop.until("a run", lambda s: (s.get("run") or {}).get("version") == "v2", timeout=60)
