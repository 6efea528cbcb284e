"""Pods expose a native histogram of latencies, no classic buckets: a slower canary goes back, a good one stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed.evidence import checked

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

NATIVE = {"NATIVE_SCALE": "3"}
LATENCY = {
    "name": "latency",
    "buckets": "http_request_duration_seconds",
    "quantile": 0.95,
    "unit": "s",
    "window": "5s",
    "every": "2s",
}
RULES = {
    "metrics": [LATENCY],
    "thresholds": [{"name": "p95", "metric": "latency", "max": 0.25}],
    "triggers": [{"name": "slow", "all": [{"metric": "latency", "op": ">", "value": 0.25}], "for": "5s"}],
    "comparison": {"tests": [{"metric": "latency", "margin": 1.25}], "warmup": "0s"},
}
SENTENCE = re.compile(
    r"latency: canary \d+% \(\d+/\d+\) vs stable [\d.]+% \(\d+/\d+\) slower than 0\.0\d+s; "
    r"worse than 1\.25x stable, anytime p=\S+ -> rollback"
)


def stages(seconds: int) -> list[dict[str, object]]:
    return [
        {"name": "quarter", "weight": 25, "duration": f"{seconds}s"},
        {"name": "full", "weight": 100, "duration": "5s"},
    ]


def test_by_native_histograms_a_slower_canary_goes_back_and_a_good_one_is_promoted(
    operator: Operator, shop: Shop
) -> None:
    shop.open(env=NATIVE)
    shop.cluster.set_app(shop.namespace, f"app={shop.name}-stable", latency="10ms")
    shop.start_load(rps=100, duration=240)

    shop.ship("v2", latency="0s", env=NATIVE, stages=stages(45), **RULES | {"thresholds": [P95_INSIDE], "triggers": []})
    blocked = shop.until_phase("Blocked")
    assert "0.2 is no bucket edge" in str(blocked["conditions"]) and "0.1928 and 0.2102" in str(blocked["conditions"])

    shop.ship("v3", latency="70ms", env=NATIVE, stages=stages(45), **RULES)
    shop.until_condition("RolledBack", "True", "WorseThanStable", timeout=90)
    status = shop.until_phase("RolledBack")
    assert SENTENCE.fullmatch(status["rollback"]["message"]), status["rollback"]["message"]
    said = {v["rule"]: (v["verdict"], v["value"]) for v in status["verdicts"]}
    assert said["slow"] == ("Pass", "100% <= 0.25s"), "no limit was broken: 80 ms are well below 250"
    assert shop.canary_weight() == 0
    assert checked(shop).kinds[-2:] == ["WorseThanStable", "RolledBack"]

    shop.ship("v4", latency="10ms", env=NATIVE, stages=stages(8), **RULES)
    shop.until_condition("Promoted", timeout=90)
    assert shop.canary_weight() == 100
    gates = [entry for entry in checked(shop).entries if "p95: latency 100% <= 0.25s" in str(entry["data"])]
    assert gates, "the gate was passed on counts of the histogram"


P95_INSIDE = {"name": "p95", "metric": "latency", "max": 0.2}
"""Between two bounds of the scale: refused before any request goes to canary."""
