"""The HTTP side: orders on every path, `/metrics`, `/readyz`, what a release is checked by, and `/-/set` for faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from trading.desk import Desk
from trading.faults import Faults, read_faults
from trading.instruments import Instruments
from trading.pace import Pace
from trading.surroundings import Surroundings

ISOLATED = {
    "Content-Security-Policy": "default-src 'self'; report-uri /csp-reports",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""Headers of every page."""

RELEASE_CHECKS = {
    "migrations": {"pending": 0, "failed": 0, "shadowDatabase": False},
    "pooler": {"mode": "transaction", "longQueries": 0, "listenHasOwnPool": True},
    "flags": {"implicit": 0, "unsafe": 0, "service": "ok"},
}
"""What only the application knows before it gets traffic; docs/preflight.md has the document."""


class Site:
    """Handlers of one process."""

    def __init__(self, version: str, pod: str, faults: Faults, pace: Pace) -> None:
        self._identity = {"X-Version": version, "X-Pod": pod, **ISOLATED}
        self._faults = faults
        self._instruments = Instruments()
        self._desk = Desk(self._instruments, faults, pace)
        self._surroundings = Surroundings(self._instruments, faults, pace, self._desk)

    def application(self) -> web.Application:
        """The application, with its surroundings running for as long as it does."""
        app = web.Application()
        app.cleanup_ctx.append(self._living)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/-/set", self._set)
        app.router.add_get("/release-checks", self._checks)
        app.router.add_route("*", "/csp-reports", self._report)
        app.router.add_route("*", "/{anything:.*}", self._order)
        return app

    async def _living(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._surroundings.run(), name="surroundings")
        yield
        task.cancel()
        await task

    async def _order(self, _request: web.Request) -> web.Response:
        begin = time.monotonic()
        code = await self._desk.order()
        self._instruments.requests.labels(str(code)).inc()
        self._instruments.latency.observe(time.monotonic() - begin)
        return web.Response(status=code, text=f"{self._identity['X-Version']}\n", headers=self._identity)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._instruments.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n")

    async def _checks(self, _request: web.Request) -> web.Response:
        return web.json_response(RELEASE_CHECKS)

    async def _report(self, request: web.Request) -> web.Response:
        """A browser's report; a GET only shows that somebody listens."""
        if request.method == "POST":
            self._instruments.csp_reports.inc()
        return web.Response(status=204, headers=ISOLATED)

    async def _set(self, request: web.Request) -> web.Response:
        """`/-/set?faults=server-errors,memory-leak` switches these on and all others off; empty heals."""
        try:
            self._faults.set(read_faults(request.query.get("faults", "")))
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response({"faults": self._faults.names})
