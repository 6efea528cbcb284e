"""Row C: a spent error budget blocks the start of a run, and the run starts by itself once some of it is back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from testbed.cluster import User

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

OWNER = User("mira@example.org", ("system:masters",))


def frozen(shop: Shop, window: str) -> str:
    """A release whose run cannot start, for stable has spent the budget; answers what it says of it."""
    shop.deploy("stable", "v1", error=0.5)
    shop.deploy("canary", "v1")
    shop.apply_route()
    shop.start_load(rps=50)
    shop.ship("v2", errorBudget={"metric": "http", "objective": 0.9, "window": window})
    shop.until_condition("Ready", "False", "BudgetExhausted")
    assert shop.status["phase"] == "Blocked"
    assert shop.canary_weight() == 0
    return str(shop.condition("Ready")["message"])


def test_a_spent_budget_blocks_and_heals(operator: Operator, shop: Shop) -> None:
    frozen(shop, "15s")
    shop.deploy("stable", "v1", error=0.0)
    shop.until("a run", lambda s: (s.get("run") or {}).get("version") == "v2", timeout=60)


def test_a_person_lets_the_run_begin_although_the_budget_is_spent(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    (run,) = re.findall(r"an approval of run (\S+) that overrides the freeze", frozen(shop, "10m"))
    lift = ("approve", shop.name, "--override", "freeze", "--run", run, "-n", shop.namespace)
    signed = cluster.kubectl("sparkrelease", *lift, identity=OWNER)
    assert signed.returncode == 0, signed.stdout + signed.stderr
    status = shop.until("the run", lambda s: (s.get("run") or {}).get("id") == run and s.get("phase") != "Blocked")
    maps = [cluster.get("v1", "ConfigMap", name, shop.namespace) for name in status["evidence"]["configMaps"]]
    entries = [json.loads(line) for one in maps for text in one["data"].values() for line in text.splitlines()]
    (entry,) = [entry for entry in entries if entry["kind"] == "BudgetOverridden"]
    assert f"overridden by {OWNER.name}" in entry["message"]
