"""A canary with two percent of errors, below every limit, beside a stable one with almost none: it goes back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed.evidence import checked
from testbed.shop import ERRORS

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

SPEC = {
    "stages": [{"name": "quarter", "weight": 25, "duration": "45s"}, {"name": "full", "weight": 100, "duration": "5m"}],
    "metrics": [ERRORS | {"every": "2s"}],
    "thresholds": [{"name": "errors", "metric": "http", "max": 0.1, "minRequests": 1}],
    "triggers": [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.1, "minEvents": 100}]}],
    "comparison": {"tests": [{"metric": "http", "margin": 1.5}], "warmup": "0s"},
}
SENTENCE = re.compile(
    r"http: canary (?P<percent>[\d.]+)% \((?P<bad>\d+)/(?P<all>\d+)\) vs stable [\d.]+% \(\d+/\d+\); "
    r"worse than 1\.5x stable, anytime p=(?P<p>\S+) -> rollback"
)


def test_two_percent_of_errors_go_back_though_every_limit_is_kept(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.cluster.set_app(shop.namespace, f"app={shop.name}-stable", error=0.001)
    load = shop.start_load(rps=200)
    shop.ship("v2", error=0.02, **SPEC)
    shop.until_condition("RolledBack", "True", "WorseThanStable", timeout=60)
    status = shop.until_phase("RolledBack")
    rollback = status["rollback"]
    assert (rollback["trigger"], rollback["stage"]) == ("comparison/http", "quarter")
    told = SENTENCE.fullmatch(rollback["message"])
    assert told, rollback["message"]
    bad, requests = int(told["bad"]), int(told["all"])
    assert 3 <= bad < requests / 10, "a few errors of many requests"
    assert float(told["p"]) <= 0.01
    failed = [a for a in load.answers() if a.failed and a.version == "v2"]
    assert len(failed) >= bad, "what is counted are answers that clients were given"
    said = {v["rule"]: (v["verdict"], v["message"]) for v in status["verdicts"]}
    assert said["comparison/http"] == ("Fail", rollback["message"])
    assert said["burst"][0] != "Fail", "no limit was broken"
    assert shop.canary_weight() == 0

    evidence = checked(shop)
    assert evidence.kinds[-2:] == ["WorseThanStable", "RolledBack"]
    assert rollback["message"] in evidence.last("WorseThanStable")["message"]
