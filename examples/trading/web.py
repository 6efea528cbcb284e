"""The HTTP side: orders on every path, `/metrics`, what a release is checked by, and `/-/set` for faults."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from trading.desk import Desk
from trading.faults import Fault, Faults, read_faults
from trading.flag import Flag
from trading.health import executor_health, health
from trading.instruments import Instruments
from trading.pace import Pace
from trading.settings import Settings
from trading.sides import BothSides
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


class Line:
    """All that one version of the code does in a process, and what it counts."""

    def __init__(self, version: str, faults: Faults, pace: Pace, settings: Settings) -> None:
        self.version = version
        self.instruments = Instruments()
        self.desk = Desk(self.instruments, faults, pace, settings)
        self.surroundings = Surroundings(self.instruments, faults, pace, self.desk, settings)

    async def order(self) -> int:
        """Takes an order and counts it; the answer's HTTP status."""
        begin = time.monotonic()
        code = await self.desk.order()
        self.instruments.requests.labels(str(code)).inc()
        self.instruments.latency.observe(time.monotonic() - begin)
        return code


@dataclass(frozen=True)
class Feature:
    """A flag, its name, and the names of the sides it splits users between: without the feature, and with it."""

    flag: Flag
    name: str
    sides: tuple[str, str]


class Site:
    """Handlers of one process. With a feature it does everything twice: a fault is the feature's and nobody else's.

    Args:
        version: what it answers as, and the build it says it is where `build` is empty.
        pod: its name.
        faults: what is wrong with it.
        pace: how fast it lives.
        feature: the flag it splits its users by, if it does.
        settings: what a release may change of the feature.
        build: commit it was built from.
    """

    def __init__(
        self,
        version: str,
        pod: str,
        faults: Faults,
        pace: Pace,
        feature: Feature | None = None,
        *,
        settings: Settings | None = None,
        build: str = "",
    ) -> None:
        self._headers = {"X-Pod": pod, "X-Build-SHA": build or version, **ISOLATED}
        self._faults = faults
        self._feature = feature
        self._line = Line(version, faults, pace, settings or Settings())
        self._lines: tuple[Line, ...] = (self._line,)
        self.registry = self._line.instruments.registry
        self._users = itertools.count()
        if feature is not None:
            self._without = Line(f"{version}-off", Faults(), pace, Settings())
            self._lines = (self._without, self._line)
            registries = [line.instruments.registry for line in self._lines]
            self.registry = CollectorRegistry()
            self.registry.register(BothSides(dict(zip(feature.sides, registries, strict=True))))
            shown = Gauge("feature_flag_value", "Share a flag is on for.", ["flag"], registry=self.registry)
            shown.labels(feature.name).set_function(lambda: feature.flag.share)

    def application(self) -> web.Application:
        """The application, with its surroundings running for as long as it does."""
        app = web.Application()
        app.cleanup_ctx.append(self._living)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/-/set", self._set)
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/executor", self._executor)
        app.router.add_get("/ml/score", self._score)
        app.router.add_get("/release-checks", self._checks)
        app.router.add_route("*", "/csp-reports", self._report)
        app.router.add_route("*", "/{anything:.*}", self._order)
        return app

    async def _living(self, _app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(line.surroundings.run(), name="surroundings") for line in self._lines]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)

    async def _order(self, request: web.Request) -> web.Response:
        line = self._line_for(request)
        code = await line.order()
        headers = {"X-Version": line.version, **self._headers}
        return web.Response(status=code, text=f"{line.version}\n", headers=headers)

    def _line_for(self, request: web.Request) -> Line:
        """With the feature or without it. A client that does not say who it is is another user each time."""
        if self._feature is None:
            return self._line
        user = request.headers.get("X-User") or f"user-{next(self._users)}"
        return self._line if self._feature.flag.serves(user) else self._without

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n")

    async def _health(self, _request: web.Request) -> web.Response:
        status, said = health(self._faults)
        return web.json_response(said, status=status, headers=self._headers)

    async def _executor(self, _request: web.Request) -> web.Response:
        status, said = executor_health(self._faults)
        return web.json_response(said, status=status)

    async def _score(self, _request: web.Request) -> web.Response:
        """A score of the model for whoever asks: no order is behind it, so none is counted."""
        status = 500 if Fault.SERVER_ERRORS in self._faults else 200
        return web.json_response({"score": 0.5, "confidence": self._line.desk.confidence()}, status=status)

    async def _checks(self, _request: web.Request) -> web.Response:
        return web.json_response(RELEASE_CHECKS)

    async def _report(self, request: web.Request) -> web.Response:
        """A browser's report; a GET only shows that somebody listens."""
        if request.method == "POST":
            self._line.instruments.csp_reports.inc()
        return web.Response(status=204, headers=ISOLATED)

    async def _set(self, request: web.Request) -> web.Response:
        """`/-/set?faults=server-errors,memory-leak` switches these on and all others off; empty heals."""
        try:
            self._faults.set(read_faults(request.query.get("faults", "")))
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response({"faults": self._faults.names})
