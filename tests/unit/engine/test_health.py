"""What probes and scrapes are told."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from fakes.rig import Rig
from sparkrelease.engine.health import HealthServer
from sparkrelease.engine.process import Engine


@pytest.fixture
async def base(unused_port: int) -> str:
    return f"http://127.0.0.1:{unused_port}"


@pytest.fixture
def unused_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def get(url: str) -> tuple[int, str]:
    async with ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_unready_until_the_first_lists_are_done(base: str, unused_port: int) -> None:
    rig = Rig()
    server: HealthServer = rig.engine.health
    await server.start("127.0.0.1", unused_port)
    try:
        assert await get(f"{base}/readyz") == (503, "the first lists are not done\n")
        assert (await get(f"{base}/healthz"))[0] == 200
        await rig.start()
        assert (await get(f"{base}/readyz"))[0] == 200
        status, page = await get(f"{base}/metrics")
        assert status == 200
        assert "sparkrelease_active_releases" in page
    finally:
        await server.stop()


async def test_a_leader_without_ticks_is_sick_and_a_follower_is_not() -> None:
    rig = Rig()
    assert rig.engine.sick() == []
    await rig.start()
    await rig.seconds(2)
    assert rig.engine.sick() == []
    rig.clock.advance(61)
    assert any("no tick" in reason for reason in rig.engine.sick())


async def test_a_process_whose_watches_ended_is_sick() -> None:
    rig = Rig()
    engine = Engine(rig.engine.world, watching=lambda: False)
    assert engine.sick() == ["the watches ended"]


async def test_a_late_event_loop_is_sick() -> None:
    rig = Rig()
    rig.engine._lag.seconds = 30
    assert any("event loop" in reason for reason in rig.engine.sick())
