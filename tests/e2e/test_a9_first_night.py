"""Row A9: the watch after the last stage: checks at a pace, each told, then promotion; a burning budget goes back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from e2e.receivers import Receiver, receiving
from testbed.evidence import checked
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

CHECKS, PAUSE, OBJECTIVE = 5, 3, 0.99

WATCH: dict[str, Any] = {
    "duration": f"{CHECKS * PAUSE}s",
    "every": f"{PAUSE}s",
    "burnRates": {"objective": OBJECTIVE},
}
STAGES = [{"name": "full", "weight": 100, "duration": "3s"}]
SLOW: dict[str, Any] = {
    "metrics": [ERRORS, {"name": "longer", **{k: v for k, v in ERRORS.items() if k != "name"}}],
    "thresholds": [
        {"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1},
        {"name": "over-the-watch", "metric": "longer", "max": 0.02, "minRequests": 1, "at": "watch"},
    ],
}
PAIRS = {"burn rate 1h": ("1h", "5m", 14.4), "burn rate 6h": ("6h", "30m", 6)}
"""By rule, its two windows, and how many times too fast both must burn."""


@pytest.fixture(scope="module")
def night(cluster: Cluster) -> Iterator[Receiver]:
    """Where people hear of every check."""
    with receiving(cluster.host_address) as one:
        yield one


@pytest.fixture
def telling(operators: SoleOperator, cluster: Cluster, night: Receiver) -> Operator:
    """An operator that tells them."""
    targets = {"night": {"kind": "slack", "urlFile": f"{cluster.operator_files}/slack-url"}}
    return operators.run(files={"slack-url": night.url}, notifications=targets)


def burns(entry: Mapping[str, Any]) -> dict[str, tuple[str, float, float]]:
    """By rule, its verdict and the rates over its two windows, as a check's entry has them.

    Each rate is that of the counts over its window, which are in the entry, too.
    """
    data = entry["data"]
    found = {}
    for rule, (long, short, _) in PAIRS.items():
        said = data["thresholds"][rule]
        told = re.fullmatch(rf"([\d.]+)x over {long} and ([\d.]+)x over {short}", said["value"])
        assert told is not None, said
        for rate, window in zip(told.groups(), (long, short), strict=True):
            counts = data["readings"][f"burn/{window}"]["canary"]
            assert float(rate) == pytest.approx(counts["bad"] / counts["total"] / (1 - OBJECTIVE), rel=0.01)
        assert data["verdicts"][rule] == said["verdict"]
        found[rule] = (said["verdict"], float(told[1]), float(told[2]))
    return found


def events(shop: Shop) -> list[str]:
    """What Events say of the checks, in the order of their words."""
    found = shop.cluster.list("v1", "Event", shop.namespace)
    return sorted(event["message"] for event in found if event["reason"] == "WatchChecked")


def heard(night: Receiver, shop: Shop) -> list[str]:
    """What people heard of the checks, in order."""
    return [one.sentence for one in night.posted(shop) if one.figure("Reason") == "WatchChecked"]


def test_a_quiet_watch_makes_every_check_tells_of_each_and_ends_in_the_promotion(
    telling: Operator, night: Receiver, shop: Shop
) -> None:
    shop.open()
    shop.start_load(rps=50)
    told = [{"target": "night", "on": ["gate"]}]
    shop.ship("v2", stages=STAGES, watch=WATCH, notifications=told, **SLOW)
    shop.until_phase("Watching")
    assert shop.canary_weight() == 100
    assert shop.condition("Promoted") == {}
    shop.until("two checks", lambda s: (s.get("watch") or {}).get("check", 0) >= 2)
    assert shop.status["watch"]["of"] == 5
    assert shop.status["stageText"].startswith("watch ")
    assert shop.status["gateText"] == "2/2"
    table = shop.cluster.kubectl("get", "sr", "-n", shop.namespace).stdout
    assert "Watching" in table
    assert "watch" in table
    shop.until_condition("Promoted", timeout=60)
    assert shop.status["phase"] == "Succeeded"

    made = [entry for entry in checked(shop).entries if entry["kind"] == "WatchChecked"]
    assert [(entry["data"]["check"], entry["data"]["of"]) for entry in made] == [(n, CHECKS) for n in range(1, 6)]
    for number, entry in enumerate(made, start=1):
        assert entry["data"]["observed"] >= number * PAUSE
        assert entry["data"]["criteria"] == {"errors": "Pass", "over-the-watch": "Pass"}
        assert burns(entry) == dict.fromkeys(PAIRS, ("Pass", 0, 0))
    sentences = [entry["message"] for entry in made]
    assert [text.partition(":")[0] for text in sentences] == [f"check {n} of {CHECKS}" for n in range(1, 6)]
    wait_for("an Event for each", lambda: events(shop) == sorted(sentences))
    posted = wait_for("a message for each", lambda: [m for m in [heard(night, shop)] if len(m) == CHECKS])[0]
    assert posted == sentences


def test_a_budget_that_burns_in_the_watch_takes_the_release_back_at_a_check(telling: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load(rps=50)
    calm = [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.9}], "for": "0s"}]
    criteria = [{"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1, "at": "watch"}]
    shop.ship("v2", error=0.5, stages=STAGES, watch=WATCH, triggers=calm, thresholds=criteria)
    shop.until_phase("Watching")
    shop.until_phase("RolledBack", timeout=60)
    assert shop.canary_weight() == 0
    assert shop.status["rollback"]["stage"] == "watch"
    assert shop.status["rollback"]["reason"] == "WatchFailed", "criteria are judged at the last check alone"
    assert shop.condition("Promoted").get("status") == "False"

    stored = checked(shop)
    (check,) = [entry for entry in stored.entries if entry["kind"] == "WatchChecked"]
    failed = {one["rule"]: one for one in stored.last("WatchFailed")["data"]["failed"]}
    assert list(failed) == list(PAIRS), "half of the requests fail: fifty times too fast, over every window there is"
    for rule, (verdict, long, short) in burns(check).items():
        factor = PAIRS[rule][2]
        assert verdict == "Fail" and min(long, short) > factor
        assert 25 < min(long, short) <= max(long, short) < 75
        assert failed[rule]["limit"] == f"at most {factor:g}x"
        assert failed[rule]["value"] == check["data"]["thresholds"][rule]["value"]
        assert f"{rule}: http burns {failed[rule]['value']}" in shop.status["rollback"]["message"]
