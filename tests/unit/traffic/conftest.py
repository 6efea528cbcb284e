from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sparkrelease.adapters.kubernetes.client import Lane
from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider
from unit.traffic.fakeapi import FakeAPI, FixedClock, lane_to


@pytest.fixture
def api() -> FakeAPI:
    server = FakeAPI()
    for service in ("shop-stable", "shop-canary"):
        server.put("services", {"metadata": {"name": service}, "spec": {"ports": [{"port": 80}]}})
    return server


@pytest.fixture
async def address(api: FakeAPI) -> AsyncIterator[str]:
    app = web.Application()
    for base in ("/apis/{group}/{version}", "/api/{version}"):
        app.router.add_route("*", base + "/namespaces/{namespace}/{plural}", api.handle)
        app.router.add_route("*", base + "/namespaces/{namespace}/{plural}/{name}", api.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def lane(address: str) -> AsyncIterator[Lane]:
    made = lane_to(address, limit=5)
    yield made
    await made.close()


@pytest.fixture
def provider(lane: Lane) -> GatewayAPIProvider:
    return GatewayAPIProvider(lane, lane, FixedClock())
