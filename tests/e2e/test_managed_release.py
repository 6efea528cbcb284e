"""A managed workload: a team changes one Deployment, and it is on trial, promoted, and serving, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator
    from testbed.managed import ManagedShop

WATCH = {"duration": "4s", "every": "2s"}


@pytest.mark.timeout(400)
def test_a_good_template_is_walked_watched_promoted_and_settles_without_a_failed_request(
    operator: Operator, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    shop.begin("v1")
    copy = shop.deployment("shop-stable")
    assert copy["metadata"].get("ownerReferences") is None
    assert copy["metadata"]["annotations"]["sparkrelease.dev/copy-of"] == "shop"
    assert shop.replicas("shop-stable") == 2
    load = shop.start_load(rps=100, duration=300)

    shop.push("v2", watch=WATCH)
    shop.until_phase("Watching")
    assert shop.canary_weight() == 100
    assert shop.image("shop-stable") == shop.cluster.app_image("v1"), "stable stays what it was until the watch is over"
    shop.until_settled("v2", timeout=120)
    assert shop.canary_weight() == 0
    assert shop.image("shop-stable") == shop.cluster.app_image("v2")
    wait_for("the candidate is scaled down", lambda: shop.replicas("shop") == 0, timeout=30)
    shop.until_phase("Succeeded")

    shop.push("v2", env={"SALT": "pepper"}, watch=WATCH)
    wait_for("a template alone starts a run", lambda: len(shop.status.get("history", [])) == 2, timeout=120)
    shop.until_phase("Succeeded")
    assert [one["outcome"] for one in shop.status["history"]] == ["Settled", "Settled"]
    assert shop.status["workload"]["candidate"] == shop.status["workload"]["stable"]
    wait_for("the candidate is scaled down again", lambda: shop.replicas("shop") == 0, timeout=30)
    assert [answer for answer in load.answers() if answer.failed] == []


def test_evidence_of_the_promotion_has_the_digest_of_the_template(
    operator: Operator, managed_shop: ManagedShop
) -> None:
    shop = managed_shop
    shop.begin("v1")
    shop.start_load(rps=50)
    shop.push("v2")
    shop.until_settled("v2", timeout=120)
    copy = shop.deployment("shop-stable")["metadata"]["annotations"]["sparkrelease.dev/template"]
    shown = shop.cluster.kubectl("sparkrelease", "evidence", "show", "shop", "-n", shop.namespace, "-o", "json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert copy in shown.stdout
    verified = shop.cluster.kubectl("sparkrelease", "evidence", "replay", "shop", "-n", shop.namespace)
    assert verified.returncode == 0, verified.stdout + verified.stderr
