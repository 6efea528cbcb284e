"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.ports.clock import Clock

log = logging.getLogger(__name__)

LAG_STEP = 0.25
"""Seconds between two looks at how late the event loop is."""

LONGEST_LAG = 10.0
"""Seconds of event loop lag at which the process counts as dead."""


class LoopLag:
    """How late the event loop wakes."""

    def __init__(self, clock: Clock, metrics: OperatorMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self.seconds = 0.0

    async def serve(self) -> None:
        """Measures until cancelled."""
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(LAG_STEP)
            self.seconds = max(self._clock.monotonic() - before - LAG_STEP, 0.0)
            self._metrics.loop_lag.set(self.seconds)


class HealthServer:
    """Answers probes and scrapes. `sick` and `unready` give the reasons; empty means well."""

    def __init__(
        self, metrics: OperatorMetrics, sick: Callable[[], list[str]], unready: Callable[[], list[str]]
    ) -> None:
        self._metrics = metrics
        self._sick = sick
        self._unready = unready
        self._runner: web.AppRunner | None = None

    async def start(self, host: str | None, port: int) -> None:
        """Listens on the port, on all addresses without `host`.

        Raises:
            OSError: the port cannot be had.
        """
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._page),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._sick())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._unready())

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.page(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )


def _answer(reasons: list[str]) -> web.Response:
    return web.Response(text="ok\n") if not reasons else web.Response(status=503, text="\n".join(reasons) + "\n")
