"""The main job: a good version walks to 100 %, settles, and the next, bad one is back at 0 % within a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.shop import Shop


def test_a_good_release_is_promoted_and_settled_and_a_bad_one_goes_back(operator: Operator, shop: Shop) -> None:
    shop.open()
    load = shop.start_load(rps=100)
    shop.release("v1")
    shop.until_condition("Ready", reason="NothingToRelease")

    shop.ship("v2")
    shop.until_condition("Promoted", timeout=60)
    assert shop.canary_weight() == 100
    shop.until_condition("Settled", "False", "NotSettled")
    shop.deploy("stable", "v2")
    shop.until_settled("v2")
    assert shop.canary_weight() == 0
    good = [a for a in load.answers() if a.failed]
    assert good == [], "no client request fails over a whole good release"

    shop.ship("v3", error=0.5)
    shop.until_condition("RolledBack", timeout=60)
    status = shop.until_phase("RolledBack")
    assert shop.canary_weight() == 0
    assert status["rollback"]["seconds"] <= 1.0
    assert status["rollback"]["trigger"] == "burst"
    assert status["settled"]["version"] == "v2"
    assert [h["outcome"] for h in status["history"][:2]] == ["RolledBack", "Settled"]
    failed = [a for a in load.answers() if a.failed]
    assert {a.version for a in failed} <= {"v3"}, "only the bad canary's own answers fail"
