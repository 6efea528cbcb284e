"""The operator is killed at ten moments of a run: the end is the same, and no promise is broken on the way."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sparkrelease.decide.stats.packing import unpack
from testbed.prometheus import query
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

STAGE, EVERY = 6.0, 2.0
COMPARED = {"tests": [{"metric": "http", "margin": 1.5}], "warmup": "0s"}
LONG = [{"name": "quarter", "weight": 25, "duration": "5m"}, {"name": "full", "weight": 100, "duration": "5m"}]


def given(weight: float) -> Callable[[Shop, int], bool]:
    return lambda shop, since: any(abs(one - weight) < 0.01 for _, one in shop.weights_written(since))


def stage(shop: Shop) -> Mapping[str, Any]:
    return shop.status.get("stage") or {}


MOMENTS: dict[str, Callable[[Shop, int], bool]] = {
    "preflight": lambda shop, _: shop.status.get("phase") in {"Preflight", "Progressing"},
    "finalizer": lambda shop, _: bool(shop.get()["metadata"].get("finalizers")),
    "first weight": given(5),
    "first stage verified": lambda shop, _: bool(stage(shop).get("startedAt")),
    "second weight": given(25),
    "second stage counted": lambda shop, _: stage(shop).get("index", 0) >= 2,
    "full weight": given(100),
    "promoted": lambda shop, _: shop.condition("Promoted").get("status") == "True",
    "walking back": given(50),
    "settled weight": lambda shop, _: shop.canary_weight() == 0,
}
"""Each is true from then on, so that a busy machine cannot miss it; the second argument is the audit log's cursor."""


class Counted:
    """What a status says that the comparison has counted."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        (test,) = status["tests"]
        state = unpack(test["state"])
        assert state is not None
        self.until = datetime.fromisoformat(test["countedUntil"]).timestamp()
        self.windows, self.voided = test["windows"], test.get("voided", 0)
        self.canary = state.requests[0] + state.requests[2]
        started = datetime.fromisoformat(status["run"]["startedAt"]).timestamp()
        self.untold = self.until // EVERY - started // EVERY - self.windows - self.voided
        """Windows of the run in which one role had no requests yet."""


@pytest.mark.timeout(300)
def test_killed_at_ten_moments_a_good_release_still_ends_settled(
    operator: Operator, operators: SoleOperator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load(rps=100, duration=300)
    since = cluster.audit_cursor()
    shop.ship("v2")
    for name, moment in MOMENTS.items():
        if name == "walking back":
            shop.deploy("stable", "v2", wait=False)
        wait_for(name, lambda moment=moment: moment(shop, since), timeout=60, every=0.02)
        operators.crash()
    shop.until_settled("v2", timeout=60)
    assert shop.canary_weight() == 0
    assert [a for a in load.answers() if a.failed] == []


def test_killed_right_after_a_breach_a_bad_release_still_ends_rolled_back(
    operator: Operator, operators: SoleOperator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    canary = f"app={shop.name}-canary"
    cluster.set_app(shop.namespace, canary, error=0.5)
    wait_for("weight 0", lambda: shop.canary_weight() == 0, timeout=30, every=0.01)
    operators.crash()
    cluster.set_app(shop.namespace, canary, error=0.0)
    shop.until_condition("RolledBack", timeout=30)
    assert shop.canary_weight() == 0
    assert shop.status["history"][0]["outcome"] == "RolledBack"


def test_downtime_is_not_observation(operator: Operator, operators: SoleOperator, shop: Shop) -> None:
    stages = [{"name": "quarter", "weight": 25, "duration": f"{STAGE:g}s"}, *LONG[1:]]
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=stages)
    status = shop.until("clock runs", lambda s: bool((s.get("stage") or {}).get("startedAt")))
    operator.kill()
    watched = (datetime.now(UTC) - datetime.fromisoformat(status["stage"]["startedAt"])).total_seconds()
    down = time.monotonic() + STAGE + 2
    wait_for("more than a stage without operator", lambda: time.monotonic() >= down, timeout=20)
    assert shop.canary_weight() == 25
    back = time.monotonic()
    operators.crash()
    shop.until_weight(100, timeout=40)
    assert time.monotonic() - back >= STAGE - watched, "what nobody watched does not count"


@pytest.mark.timeout(240)
def test_a_comparison_goes_on_after_a_kill_with_every_window_counted_once(
    operator: Operator, operators: SoleOperator, cluster: Cluster, shop: Shop
) -> None:
    """Windows that ended while nobody was there are asked for later; the one counted last is in the status."""
    shop.open()
    shop.start_load(rps=50)
    shop.ship("v2", stages=LONG, metrics=[ERRORS | {"every": f"{EVERY:g}s"}], comparison=COMPARED)
    before = Counted(shop.until("counts", lambda s: any(t["windows"] >= 3 for t in s.get("tests", [])), timeout=100))
    operator.kill()
    missed = time.monotonic() + 5
    wait_for("windows without operator", lambda: time.monotonic() >= missed, timeout=20)
    operators.crash()
    caught_up = before.windows + 6
    after = Counted(shop.until("goes on", lambda s: s["tests"][0]["windows"] >= caught_up, timeout=60))
    assert after.untold == before.untold, "each window that ended was counted or is said to be void, and none is both"
    seen = f'sum(http_requests_total{{namespace="{shop.namespace}",service="{shop.name}-canary"}})'
    truth = [float(query(cluster.prometheus_local_url, seen, at=one.until)[0]["value"][1]) for one in (before, after)]
    requests = after.canary - before.canary
    assert 0 < requests <= truth[1] - truth[0], "no window's requests are in it twice"
    assert requests == truth[1] - truth[0] or after.voided > before.voided, "and none is lost, unless it was void"


@pytest.mark.timeout(300)
def test_an_api_server_outage_costs_time_and_nothing_else(operator: Operator, cluster: Cluster, shop: Shop) -> None:
    shop.open()
    load = shop.start_load(rps=100, duration=240)
    since = cluster.audit_cursor()
    shop.ship("v2")
    shop.until_written(25, since)
    cluster.apiserver.restart()

    def promoted(status: Mapping[str, Any]) -> bool:
        if not operator.running:
            operator.restart()  # it ends itself when it could not renew its Lease in time; a kubelet starts it again
        return any(c["type"] == "Promoted" and c["status"] == "True" for c in status.get("conditions", []))

    shop.until("Promoted, by whichever operator", promoted, timeout=120)
    assert [a for a in load.answers() if a.failed] == []
