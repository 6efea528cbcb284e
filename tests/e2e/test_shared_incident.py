"""What stable suffers too is an incident: traffic steps back and waits, and only its length makes it the canary's."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from testbed.evidence import checked
from testbed.shop import ERRORS

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

LIMIT = 8.0
COMPARED = {"tests": [{"metric": "http"}], "warmup": "0s"}
BURST = {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.2, "minEvents": 20}], "for": "3s"}
"""For longer than the one side is scraped after the other: which of them is the first is chance."""

SPEC = {
    "stages": [
        {"name": "quarter", "weight": 25, "duration": "4s"},
        {"name": "half", "weight": 50, "duration": "8s"},
        {"name": "full", "weight": 100, "duration": "3s"},
    ],
    "metrics": [ERRORS],
    "triggers": [BURST],
}


def fail(cluster: Cluster, shop: Shop, share: float) -> None:
    """Both versions fail this share of their requests from now on."""
    for side in ("stable", "canary"):
        cluster.set_app(shop.namespace, f"app={shop.name}-{side}", error=share)


def given(shop: Shop, since: int) -> list[float]:
    """The weights canary was given one after the other, whatever else was written with them."""
    return list(dict.fromkeys(weight for _, weight in shop.weights_written(since)))


def at_half(shop: Shop, **spec: object) -> None:
    """A run whose canary has half of the requests and answers them well, as stable does."""
    shop.open()
    shop.start_load(rps=150)
    shop.ship("v2", **(SPEC | spec))
    shop.until_weight(50)
    shop.until("half is observed", lambda s: bool((s.get("stage") or {}).get("startedAt")))


def test_an_incident_of_both_steps_back_and_goes_back_only_after_its_limit(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    at_half(shop, sharedRollbackAfter=f"{LIMIT:g}s", metrics=[ERRORS | {"every": "2s"}], comparison=COMPARED)
    since = cluster.audit_cursor()
    fail(cluster, shop, 0.6)
    shop.until_written(25, since, timeout=20)
    held = shop.until("an incident", lambda s: bool(s.get("incident")), timeout=10)
    assert (held["incident"]["trigger"], held["incident"]["fromStage"]) == ("burst", "half")
    assert held["stage"]["name"] == "quarter"
    shop.until_condition("Progressing", "False", "SharedIncident", timeout=10)
    said = [c["message"] for c in shop.status["conditions"] if c["type"] == "Progressing"]
    assert "stable breaches it too" in said[0]

    shop.until_condition("RolledBack", "True", "SharedIncident", timeout=30)
    rollback = shop.until_phase("RolledBack")["rollback"]
    assert rollback["message"] == f"burst: stable breaches it too, and has for {LIMIT:g}s"
    assert (rollback["trigger"], rollback["stage"], rollback["fromWeight"]) == ("burst", "quarter", 25)
    borne = datetime.fromisoformat(rollback["decidedAt"]) - datetime.fromisoformat(held["incident"]["since"])
    assert borne.total_seconds() >= LIMIT
    assert given(shop, since) == [25, 0]
    compared = {v["rule"]: v["verdict"] for v in shop.status["verdicts"] if v["kind"] == "comparison"}
    assert compared.keys() == {"comparison/http"}
    assert compared["comparison/http"] != "Fail", "both failed alike, though their pods are scraped one after the other"

    evidence = checked(shop)
    told = [entry for entry in evidence.entries if entry["kind"] == "SharedIncident"]
    opened, ended = told[0], told[-1]
    assert opened["message"].startswith("stepping back from 50 % to 25 %: burst: http ")
    assert opened["message"].endswith("; stable breaches it too")
    assert ended["message"] == f"rolling back from 25 %: {rollback['message']}"
    assert evidence.closed_by == "RolledBack"


def test_a_release_goes_on_from_the_lower_weight_when_the_incident_ends(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    at_half(shop, sharedRollbackAfter="5m")
    since = cluster.audit_cursor()
    fail(cluster, shop, 0.6)
    shop.until_written(25, since, timeout=20)
    fail(cluster, shop, 0.0)
    shop.until_condition("Promoted", timeout=60)
    assert given(shop, since) == [25, 50, 100]
    assert not shop.status.get("incident")

    evidence = checked(shop)
    over = evidence.last("SharedIncident")
    assert over["message"] == "the incident is over: burst: stable is well again"
    after = evidence.kinds[evidence.entries.index(over) :]
    assert after[1:4] == ["GatePassed", "StageEntered", "GatePassed"], "quarter and half are judged anew"
    assert evidence.kinds[-1] == "Promoted"
