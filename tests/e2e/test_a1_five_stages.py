"""Row A1: five stages by traffic, each held for its time, the last one twice as long; the status says which it is."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from e2e.exports import at, exported, written
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

STAGES = [
    {"name": "one-percent", "weight": 1, "duration": "3s"},
    {"name": "five-percent", "weight": 5, "duration": "3s"},
    {"name": "quarter", "weight": 25, "duration": "3s"},
    {"name": "half", "weight": 50, "duration": "3s"},
    {"name": "full", "weight": 100, "duration": "6s"},
]
SECONDS = [3, 3, 3, 3, 6]

A_ROUND = 5
"""Seconds that one round of the operator counts at most (three ticks of a second and two): in the round that has a
stage's time full, its gate is judged and passes."""


def told(shop: Shop, since: int) -> set[str]:
    """Everything the column STAGE has said after a cursor of the audit log."""
    events = [event for event in shop.cluster.audit_events(since) if event.resource == "sparkreleases" and event.writes]
    mine = [event.response.get("status", {}) for event in events if event.namespace == shop.namespace]
    return {status.get("stageText", "") for status in mine if isinstance(status, dict)}


def test_each_stage_holds_its_weight_for_its_time_and_says_which_of_five_it_is(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open()
    shop.start_load(rps=250)
    since = shop.cluster.audit_cursor()
    shop.ship("v2", stages=STAGES)
    shop.until_condition("Promoted", timeout=90)
    moves = written(shop, since)
    assert [weight for _, weight in moves] == [1, 5, 25, 50, 100]
    held = [after - before for (before, _), (after, _) in pairwise(moves)]
    assert [(seconds, least) for seconds, least in zip(held, SECONDS, strict=False) if seconds < least] == []
    assert shop.status["run"]["gatesPassed"] == 5
    wait_for("all five in the log", lambda: told(shop, since) >= {f"{place}/5" for place in range(1, 6)})

    shop.until("stored", lambda s: not s.get("pendingEvidence"))
    stages = [one for one in exported(cluster, shop, tmp_path)["stages"] if not one["walkBack"]]
    assert [one["name"] for one in stages] == [stage["name"] for stage in STAGES]
    for one, least in zip(stages, SECONDS, strict=True):
        assert least <= one["observedSeconds"] < least + A_ROUND
        assert one["observedSeconds"] <= at(one["leftAt"]) - at(one["enteredAt"])
