"""Weights do not move open streams: an open WebSocket outlives a rollback and loses nothing."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.sync.client import connect

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from websockets.sync.client import ClientConnection

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

LONG = [{"name": "half", "weight": 50, "duration": "5m"}]


def versions_of(streams: Iterable[ClientConnection]) -> list[str | None]:
    """Which version each stream reached."""
    return [stream.response.headers.get("X-Version") for stream in streams if stream.response]


def test_an_open_websocket_survives_the_rollback_and_new_requests_go_to_stable(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    load = shop.start_load(rps=100)
    shop.ship("v2", stages=LONG)
    shop.until_weight(50)
    with ExitStack() as held:
        streams: list[ClientConnection] = []

        def canary_holds_one() -> bool:
            streams.append(held.enter_context(stream(cluster, shop)))
            return "v2" in versions_of(streams)

        wait_for("a stream that canary holds", canary_holds_one)
        done = cluster.kubectl("sparkrelease", "rollback", shop.name, "-n", shop.namespace, "--reason", "drill")
        assert done.returncode == 0, done.stderr
        shop.until_phase("RolledBack")
        begin = max(a.unix_ns for a in load.answers())
        shop.until("the one stream counted", lambda status: (status.get("rollback") or {}).get("connections") == 1)
        screen = cluster.kubectl("sparkrelease", "status", shop.name, "-n", shop.namespace).stdout
        assert "still open on canary" in " ".join(screen.split())
        for one in streams:
            one.send("still there")
            assert one.recv(timeout=5) == "still there"
    load.wait_answered(sum(1 for _ in load.answers()) + 100)
    shop.until("canary drained", lambda status: (status.get("rollback") or {}).get("connections") == 0)
    screen = cluster.kubectl("sparkrelease", "status", shop.name, "-n", shop.namespace).stdout
    assert "canary is drained" in " ".join(screen.split())
    late = [a for a in load.answers() if a.unix_ns > begin + 500_000_000]
    assert {a.version for a in late} == {"v1"}
    assert [a for a in load.answers() if a.failed] == []


def stream(cluster: Cluster, shop: Shop) -> connect:
    """A WebSocket to the shop through the gateway, to be entered."""
    gateway = urlsplit(cluster.gateway_url)
    to_gateway = socket.create_connection((gateway.hostname, gateway.port or 80), timeout=5)
    return connect(f"ws://{shop.host}/ws", sock=to_gateway)
