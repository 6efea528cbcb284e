"""Git re-applies the route every five seconds, as a GitOps tool that heals itself does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from testbed.shop import GIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testbed.cluster import Cluster, Operator
    from testbed.kubeapi import KubeObject
    from testbed.load import Answer
    from testbed.shop import Shop

LONG = [{"name": "quarter", "weight": 25, "duration": "5m"}, {"name": "full", "weight": 100, "duration": "5m"}]
SYNC_SECONDS = 5.0


MANY = 5
"""So many syncs at least, spread over the run, until a test may say that they change nothing."""


class Sync:
    """Applies something again and again until it is told to stop, or until it fails."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.applied: list[KubeObject] = []
        """The object as each sync has left it."""
        self.errors: list[Exception] = []

    def every(self, seconds: float, action: Callable[[], KubeObject]) -> None:
        def loop() -> None:
            try:
                while not self._stop.wait(seconds):
                    self.applied.append(action())
            except Exception as error:  # noqa: BLE001 - whatever it is, the test has to hear of it
                self.errors.append(error)

        self._threads.append(threading.Thread(target=loop, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        """Returns when no sync is under way any more; fails when one has failed, or there was none at all."""
        self._stop.set()
        for thread in self._threads:
            thread.join(40)
        assert not any(thread.is_alive() for thread in self._threads)
        assert self.errors == []
        assert self.applied


@pytest.fixture
def sync() -> Iterator[Sync]:
    running = Sync()
    yield running
    running.stop()


def declared(body: KubeObject) -> tuple[object, object, object]:
    """What a GitOps tool compares."""
    return body["spec"], body["metadata"].get("labels"), body["metadata"].get("annotations")


def test_in_owned_mode_a_sync_of_the_release_finds_no_difference(
    operator: Operator, cluster: Cluster, shops: object, sync: Sync
) -> None:
    shop: Shop = shops(owned=True)  # type: ignore[operator]  # the fixture's factory
    shop.open()
    shop.release("v1")
    shop.until_condition("Ready", reason="NothingToRelease")
    shop.wait_serving()
    shop.start_load()
    shop.ship("v2")
    shipped = shop.get()
    sync.every(1.0, lambda: shop.release("v2"))
    shop.until_condition("Promoted", timeout=60)
    sync.stop()
    assert len(sync.applied) >= MANY
    generation = shipped["metadata"]["generation"]
    assert {one["metadata"]["generation"] for one in sync.applied} == {generation}, "no sync changed anything"
    live = shop.get()
    git = shop.manifest("v2")
    assert declared(live) == declared(cluster.api.apply(git, manager=GIT, dry=True)) == declared(shipped)
    assert declared(live)[1:] == declared(git)[1:], "and nothing was added to what is in Git"
    others = [one for one in live["metadata"]["managedFields"] if one["manager"] != GIT]
    assert others
    assert [one["manager"] for one in others if "f:spec" in one["fieldsV1"]] == []
    assert not shop.status.get("contested", {}).get("total", 0)


def test_in_referenced_mode_a_healing_sync_is_contested_and_never_exceeds_the_stage(
    operator: Operator, cluster: Cluster, shop: Shop, sync: Sync
) -> None:
    shop.open()
    load = shop.start_load(rps=200, duration=120)
    since = cluster.audit_cursor()
    shop.ship("v2", stages=LONG)
    shop.until_weight(25)
    sync.every(SYNC_SECONDS, shop.apply_route)
    shop.until_condition("TrafficContested", "True", timeout=60)
    status = shop.status
    assert status["contested"]["manager"] == GIT
    assert status["contested"]["total"] >= 3
    events = cluster.kubectl(
        "get", "events", "-n", shop.namespace, "-o", 'jsonpath={range .items[*]}{.reason}|{.message}{"\\n"}{end}'
    )
    assert any("TrafficReverted" in line and GIT in line for line in events.stdout.splitlines())
    answers = list(load.answers())
    assert [a for a in answers if a.failed] == []
    spans = list(_spans(answers, 400))
    assert len(spans) >= 5
    for span in spans:
        canary = sum(1 for a in span if a.version == "v2")
        assert canary / len(span) <= 0.25 + 5 * (0.25 * 0.75 / len(span)) ** 0.5
    assert {round(weight) for _, weight in shop.weights_written(since)} <= {0, 25}


def _spans(answers: Sequence[Answer], size: int) -> Iterator[Sequence[Answer]]:
    """So many answers at a time, so that a while of too much is not hidden by one of too little."""
    for start in range(0, len(answers) - size + 1, size):
        yield answers[start : start + size]


def test_a_contested_route_is_rolled_back_after_its_limit(
    operator: Operator, cluster: Cluster, shop: Shop, sync: Sync
) -> None:
    shop.open()
    shop.start_load()
    body = shop.manifest("v2", stages=LONG)
    body["spec"]["traffic"]["contested"] = {"rollbackAfter": "3s"}
    shop.deploy("canary", "v2")
    cluster.apply(body, manager=GIT)
    shop.until_weight(25)
    sync.every(1.0, shop.apply_route)
    shop.until_condition("RolledBack", "True", "RouteContested", timeout=60)
    assert shop.canary_weight() == 0
