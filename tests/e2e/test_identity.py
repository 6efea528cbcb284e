"""The version is tied to the pods that run: what happens when they, or the wish, change under a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

LONG = [{"name": "quarter", "weight": 25, "duration": "5m"}, {"name": "full", "weight": 100, "duration": "5m"}]


def test_a_new_image_under_weight_takes_the_weight_away_and_starts_a_new_run(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.release("v1", stages=LONG)
    shop.until_condition("Ready", reason="NothingToRelease")
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    first = shop.until("stage clock runs", lambda s: bool((s.get("stage") or {}).get("startedAt")))["run"]["id"]
    since = shop.cluster.audit_cursor()
    shop.deploy("canary", "v3", wait=False)
    shop.until_written(0, since)
    status = shop.until("a new run", lambda s: (s.get("run") or {}).get("id") not in {None, first})
    assert status["history"][0]["reason"] == "CanaryChanged"
    assert status["history"][0]["run"] == first
    shop.until_weight(25)
    assert shop.status["run"]["version"] == "v2", "the version is what the object says; the pods are new"


def test_a_git_revert_mid_run_cancels_it_and_leaves_stable(operator: Operator, shop: Shop) -> None:
    shop.open()
    load = shop.start_load()
    shop.release("v1", stages=LONG)
    shop.until_condition("Ready", reason="NothingToRelease")
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    shop.release("v1", stages=LONG)  # pods that change before it would be another canary first
    shop.deploy("canary", "v1", wait=False)
    shop.until_weight(0)
    shop.until_condition("Ready", reason="NothingToRelease")
    assert shop.status["history"][0]["outcome"] == "Cancelled"
    assert shop.route_object()["spec"] == without_defaults_of(shop)
    assert [a for a in load.answers() if a.failed] == []


def without_defaults_of(shop: Shop) -> object:
    """The route's spec as Git's apply leaves it: nothing of the run may remain in it."""
    return shop.apply_route()["spec"]


def test_first_apply_on_a_live_service_moves_nothing_and_loses_nothing(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load(rps=200)
    load.wait_answered(50)
    before = shop.route_object()["metadata"]["resourceVersion"]
    shop.release("v1")
    shop.until_condition("Ready", reason="NothingToRelease")
    assert shop.route_object()["metadata"]["resourceVersion"] == before, "the route was not touched"
    load.wait_answered(400)
    assert [a for a in load.answers() if a.failed] == []


def test_an_owned_route_is_created_with_all_traffic_on_stable_and_survives_its_release(
    operator: Operator, cluster: Cluster, shops: object
) -> None:
    shop: Shop = shops(owned=True)  # type: ignore[operator]  # the fixture's factory
    shop.open()
    shop.release("v1", stages=LONG)
    shop.until_condition("Ready", reason="NothingToRelease")
    shop.wait_serving()
    load = shop.start_load(rps=100)
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    cluster.delete("sparkrelease.dev/v1alpha1", "SparkRelease", shop.name, shop.namespace)
    shop.until_weight(0)
    assert "ownerReferences" not in shop.route_object()["metadata"]
    load.wait_answered(sum(1 for _ in load.answers()) + 100)
    assert [a for a in load.answers() if a.failed] == []


def test_a_rollback_with_one_stable_pod_left_goes_at_once_and_tells_the_shortfall(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    shop.until("stage clock runs", lambda s: bool((s.get("stage") or {}).get("startedAt")))
    shop.deploy("stable", "v1", replicas=1)
    shop.until_condition("Progressing", "False", "StableCapacityLow")
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    status = shop.until_phase("RolledBack")
    assert shop.canary_weight() == 0
    assert status["rollback"]["seconds"] <= 1.0
    assert "1 ready endpoints, 2 at the start" in shop.condition("RolledBack")["message"]


def test_a_rolled_back_version_stays_away_until_a_recorded_retry(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load()
    shop.ship("v2", stages=LONG, error=0.5)
    shop.until_condition("RolledBack")
    shop.release("v2", stages=LONG)
    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.0)
    seen = sum(1 for _ in load.answers())
    load.wait_answered(seen + 300)
    assert shop.canary_weight() == 0, "re-applying the same state does nothing"
    done = cluster.kubectl("sparkrelease", "retry", shop.name, "-n", shop.namespace, "--reason", "cache was cold")
    assert done.returncode == 0, done.stderr
    shop.until_weight(25)
    entry = shop.status["command"]
    me = cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").stdout
    assert (entry["verb"], entry["user"]) == ("retry", me)


def test_weights_are_split_by_the_gateway_as_the_stage_says(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.ship("v2", stages=LONG)
    load = shop.start_load(rps=300, duration=60)
    shop.until_weight(25)
    wait_for("verified", lambda: shop.status["weight"].get("verified"))
    begin = max((a.unix_ns for a in load.answers()), default=0)
    wait_for("2000 answers", lambda: sum(load.versions_since(begin).values()) >= 2000, timeout=30, every=0.2)
    seen = load.versions_since(begin)
    share = seen["v2"] / sum(seen.values())
    band = 5 * (0.25 * 0.75 / sum(seen.values())) ** 0.5
    assert abs(share - 0.25) <= band
    shop.until("measured", lambda s: abs(((s.get("weight") or {}).get("measuredShare") or 0) - 25) < 5)
