"""A defect that begins at half of the traffic: two good stages before do not weigh against what is seen now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed.evidence import checked
from testbed.shop import ERRORS

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

SPEC = {
    "stages": [
        {"name": "ten", "weight": 10, "duration": "4s"},
        {"name": "quarter", "weight": 25, "duration": "6s"},
        {"name": "half", "weight": 50, "duration": "45s"},
        {"name": "full", "weight": 100, "duration": "5m"},
    ],
    "metrics": [ERRORS | {"every": "2s"}],
    "thresholds": [{"name": "errors", "metric": "http", "max": 0.2, "minRequests": 1}],
    "triggers": [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.2, "minEvents": 100}]}],
    "comparison": {"tests": [{"metric": "http", "margin": 1.5}], "warmup": "0s"},
}
SENTENCE = re.compile(
    r"http: canary [\d.]+% \((?P<bad>\d+)/(?P<all>\d+)\) vs stable 0% \(0/\d+\); "
    r"worse than 1\.5x stable, anytime p=\S+ -> rollback"
)


def test_what_goes_bad_at_half_goes_back_whatever_went_well_before(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load(rps=150)
    since = cluster.audit_cursor()
    shop.ship("v2", **SPEC)
    shop.until_weight(50)
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.05)
    shop.until_condition("RolledBack", "True", "WorseThanStable", timeout=60)
    status = shop.until_phase("RolledBack")
    rollback = status["rollback"]
    assert (rollback["trigger"], rollback["stage"], rollback["fromWeight"]) == ("comparison/http", "half", 50)
    told = SENTENCE.fullmatch(rollback["message"])
    assert told, rollback["message"]
    assert int(told["bad"]) >= 3
    given = dict.fromkeys(weight for _, weight in shop.weights_written(since))
    assert list(given) == [10, 25, 50, 0]
    assert {a.version for a in load.answers() if a.failed} == {"v2"}
    assert shop.canary_weight() == 0

    evidence = checked(shop)
    assert evidence.kinds.count("GatePassed") == 2
    assert evidence.kinds[-2:] == ["WorseThanStable", "RolledBack"]
    assert rollback["message"] in evidence.last("WorseThanStable")["message"]
