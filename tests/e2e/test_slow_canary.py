"""A canary that is sixty milliseconds slower and keeps every limit: the comparison with stable takes it back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed.evidence import checked

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

LATENCY = {
    "name": "latency",
    "buckets": "http_request_duration_seconds_bucket",
    "quantile": 0.95,
    "unit": "s",
    "window": "5s",
    "every": "2s",
}
SPEC = {
    "stages": [{"name": "quarter", "weight": 25, "duration": "45s"}, {"name": "full", "weight": 100, "duration": "5m"}],
    "metrics": [LATENCY],
    "thresholds": [{"name": "p95", "metric": "latency", "max": 0.2}],
    "triggers": [{"name": "slow", "all": [{"metric": "latency", "op": ">", "value": 0.2}], "for": "5s"}],
    "comparison": {"tests": [{"metric": "latency", "margin": 1.25}], "warmup": "0s"},
}
SENTENCE = re.compile(
    r"latency: canary \d+% \(\d+/\d+\) vs stable [\d.]+% \(\d+/\d+\) slower than 0\.0(25|5)s; "
    r"worse than 1\.25x stable, anytime p=\S+ -> rollback"
)


def test_sixty_milliseconds_more_go_back_though_every_limit_is_kept(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.cluster.set_app(shop.namespace, f"app={shop.name}-stable", latency="10ms")
    shop.start_load(rps=100)
    shop.ship("v2", latency="70ms", **SPEC)
    shop.until_condition("RolledBack", "True", "WorseThanStable", timeout=60)
    status = shop.until_phase("RolledBack")
    rollback = status["rollback"]
    assert (rollback["trigger"], rollback["stage"], rollback["fromWeight"]) == ("comparison/latency", "quarter", 25)
    assert SENTENCE.fullmatch(rollback["message"]), rollback["message"]
    said = {v["rule"]: (v["verdict"], v["message"]) for v in status["verdicts"]}
    assert said["comparison/latency"] == ("Fail", rollback["message"])
    assert said["slow"][0] == "Pass", "no limit was broken: 80 ms are well below 200"
    assert shop.canary_weight() == 0
    assert rollback["seconds"] <= 1.0

    evidence = checked(shop)
    assert evidence.kinds[-2:] == ["WorseThanStable", "RolledBack"]
    assert SENTENCE.search(evidence.last("WorseThanStable")["message"])
