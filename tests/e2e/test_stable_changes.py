"""Stable is half of what a run compares: it changes under a run, or is left behind by a promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

LONG = [{"name": "quarter", "weight": 25, "duration": "5m"}, {"name": "full", "weight": 100, "duration": "5m"}]


def test_another_stable_holds_a_run_and_the_version_on_trial_on_stable_ends_it(operator: Operator, shop: Shop) -> None:
    shop.open()
    load = shop.start_load()
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    shop.until("stage clock runs", lambda s: bool((s.get("stage") or {}).get("startedAt")))
    shop.deploy("stable", "v3")
    shop.until_condition("Progressing", "False", "StableChanged")
    assert shop.canary_weight() == 25, "a person decides what comes of it"
    told = shop.condition("Ready")["message"]
    ran, runs = told.partition("stable ran ")[2].partition(" when the run started, now it runs ")[::2]
    assert ran and runs.split(";")[0] not in {"", ran}
    shop.deploy("stable", "v2")
    shop.until_condition("Ready", reason="NothingToRelease")
    assert shop.canary_weight() == 0
    assert shop.status["history"][0]["outcome"] == "Cancelled"
    assert [a for a in load.answers() if a.failed] == []


def test_the_version_after_one_that_never_came_to_stable_waits_until_it_has(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.release("v1")
    shop.until_condition("Ready", reason="NothingToRelease")
    shop.ship("v2")
    shop.until_condition("Promoted")
    since = shop.cluster.audit_cursor()
    shop.ship("v3", stages=LONG)
    shop.until_weight(0)
    shop.until_condition("Stalled", reason="NotSettled")
    shop.until("the new version is seen", lambda s: "to try v3 against the old version" in ready_message(s))
    status = shop.status
    assert status["phase"] == "Blocked"
    assert ready_message(status).startswith("v1 (")
    assert "v2 was promoted and is not on stable" in ready_message(status)
    assert {weight for _, weight in shop.weights_written(since)} == {0}
    shop.deploy("stable", "v2")
    shop.until_weight(25)
    status = shop.status
    assert (status["run"]["version"], status["settled"]["version"]) == ("v3", "v2")


def ready_message(status: object) -> str:
    """What the release says of itself."""
    said = status["conditions"] if isinstance(status, dict) else []
    return next((str(one["message"]) for one in said if one["type"] == "Ready"), "")
