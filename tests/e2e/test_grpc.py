"""gRPC calls through a GRPCRoute: split as it says, and none reaches a canary that went back because they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.harness import Served
from conformance.terms import in_band
from testbed import app
from testbed.grpcshop import GrpcShop
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.cluster import Cluster, Operator

QUARTER = [{"name": "quarter", "weight": 25, "duration": "5m"}, {"name": "full", "weight": 100, "duration": "3s"}]
CALLS = 4000


def test_grpc_calls_are_split_as_the_route_says_and_their_failures_take_them_from_canary(
    operator: Operator, cluster: Cluster, shops: Callable[..., GrpcShop]
) -> None:
    shop = shops(kind=GrpcShop).open()
    load = shop.start_load(rps=100)
    shop.ship("v2", stages=QUARTER)
    shop.until("25 % verified", lambda status: status["weight"]["observed"] == 25 and status["weight"]["verified"])

    split = shop.clients(shop.host, rps=2000, n=CALLS).wait()
    assert split.codes == {"200": CALLS}
    assert in_band(Served(split.versions["v1"], split.versions["v2"], failed=0), 25), split
    assert calls_at_canary(cluster, shop) >= split.versions["v2"], "counted by the application as gRPC calls"
    assert [answer for answer in load.answers() if answer.failed] == []

    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    status = shop.until_phase("RolledBack")
    assert status["rollback"]["trigger"] == "burst"
    assert shop.canary_weight() == 0
    wait_for("calls answered by stable alone", lambda: [a.version for a in load.answers()][-50:] == ["v1"] * 50)
    reached = calls_at_canary(cluster, shop)
    after = sum(1 for _ in load.answers())
    load.wait_answered(after + 300)
    assert {answer.version for answer in list(load.answers())[after:]} == {"v1"}
    assert calls_at_canary(cluster, shop) == reached
    assert {answer.version for answer in load.answers() if answer.failed} == {"v2"}, "only canary's own answers fail"


def calls_at_canary(cluster: Cluster, shop: GrpcShop) -> int:
    """Calls that canary's pods have counted."""
    pods = cluster.list("v1", "Pod", shop.namespace, labels=f"app={shop.name}-canary")
    return sum(app.calls(cluster.pod_url(pod)) for pod in pods)
