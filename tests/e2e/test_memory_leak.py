"""A canary that answers well and never gives memory back: the trend of its pods takes it back, stage or no stage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from testbed.evidence import checked
from testbed.shop import ERRORS

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop

MEBIBYTE = 1 << 20
LEAK = 2 * MEBIBYTE
"""Bytes a second."""

LIMIT = 6 * MEBIBYTE
"""Bytes a minute: a twentieth of the leak, and more than a process needs to warm up."""

FOUR_DIGITS = 1 - 5e-4
"""By so much a figure may be told too low."""

RESIDENT = {
    "name": "rss",
    "value": "max by ($by, pod)(process_resident_memory_bytes{$sel})",
    "unit": "B",
    "attribution": "pod",
    "every": "1s",
}
RISES = {
    "metric": "rss",
    "kind": "trend",
    "over": "16s",
    "slopePerMinute": LIMIT,
    "vsStableFactor": 2,
    "resetOn": "podRestart",
}
SPEC = {
    "stages": [
        {"name": "five", "weight": 5, "duration": "3s"},
        {"name": "quarter", "weight": 25, "duration": "3s"},
        {"name": "half", "weight": 50, "duration": "5m"},
    ],
    "metrics": [ERRORS, RESIDENT],
    "triggers": [{"name": "memory-leak", "all": [RISES]}],
}
SENTENCE = re.compile(
    r"memory-leak: rss \+(?P<slope>[\d.e+]+)B/min of shop-canary-\S+ over 16s \(p=(?P<p>\S+)\), "
    r"[12] of 2 series long enough; > (?P<limit>[\d.e+]+)B/min"
)


def test_a_leak_goes_back_by_its_trend_while_every_answer_is_good(operator: Operator, shop: Shop) -> None:
    shop.open()
    load = shop.start_load(rps=100)
    shop.ship("v2", env={"LEAK": str(LEAK)}, **SPEC)
    shop.until_condition("RolledBack", "True", "TriggerFired", timeout=60)
    status = shop.until_phase("RolledBack")
    rollback = status["rollback"]
    assert rollback["trigger"] == "memory-leak"
    told = SENTENCE.fullmatch(rollback["message"])
    assert told, rollback["message"]
    assert float(told["p"]) < 0.01
    assert LIMIT * FOUR_DIGITS <= float(told["limit"]) < float(told["slope"])
    assert 0.3 < float(told["slope"]) / (60 * LEAK) < 3, "the slope is that of the leak"
    said = {v["rule"]: (v["verdict"], v["message"]) for v in status["verdicts"]}
    assert said["memory-leak"] == ("Fail", rollback["message"])
    assert [a for a in load.answers() if a.failed] == [], "nothing but the memory was wrong"
    assert shop.canary_weight() == 0

    evidence = checked(shop)
    assert evidence.kinds[-2:] == ["TriggerFired", "RolledBack"]
    [leg] = evidence.last("TriggerFired")["data"]["legs"]["memory-leak"]
    assert (leg["verdict"], leg["message"]) == ("Fail", rollback["message"])
