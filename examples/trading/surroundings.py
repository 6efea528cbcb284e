"""What happens without a request: the feed, connected clients, browsers' reports, the pooler, the publisher."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from trading.desk import Desk
from trading.faults import Fault, Faults
from trading.health import executor_health
from trading.instruments import DATABASE, Instruments
from trading.pace import Pace, Share
from trading.settings import Settings

NODE_CLOCK, DATABASE_CLOCK = 0.002, -0.011
"""Seconds by which clocks differ."""

STEP = 0.1
"""Seconds between two looks."""

CLIENTS = 20
DROPS, STORM = 0.2, 12.0
"""Disconnects a minute of each client: usually, and with the fault."""

REPORTS = 200.0
"""Reports of browsers a minute, with the fault."""

LEAKED = 6.0
"""Connections a minute that nobody gives back, with the fault."""

BLOCK = 1 << 16
LEAKED_BYTES = 4 << 20
"""Bytes a minute, with the fault."""

POOL = 40
"""Server connections at most."""


class Surroundings:
    """One process's surroundings; `run` never returns by itself."""

    def __init__(
        self, instruments: Instruments, faults: Faults, pace: Pace, desk: Desk, settings: Settings | None = None
    ) -> None:
        self._m = instruments
        self._faults = faults
        self._pace = pace
        self._desk = desk
        self._settings = settings or Settings()
        self._until_probe = 0.0
        self._dropped, self._reported, self._leaked, self._blocks = Share(), Share(), Share(), Share()
        self._held: list[bytearray] = []
        self._m.streams.set(CLIENTS)
        self._m.node_clock.set(NODE_CLOCK)
        self._m.database_clock.set(DATABASE_CLOCK)
        self._m.pool_size.labels(DATABASE).set(POOL)

    async def run(self) -> None:
        """Looks again and again, at a steady pace."""
        before = time.monotonic()
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(STEP)
                now = time.monotonic()
                self.step(now - before)
                before = now

    def step(self, passed: float) -> None:
        """Whatever happens in so many seconds."""
        self._feeds()
        self._streams(passed)
        self._browsers(passed)
        self._pooler()
        self._leaks(passed)
        self._executor(passed)
        self._desk.expire_keys()
        self._desk.publish()

    def _feeds(self) -> None:
        now = time.time()
        if Fault.FEED_STALLED not in self._faults:
            self._m.feed_at.labels("BIST").set(now)
        if Fault.STREAM_SILENT not in self._faults:
            self._m.stream_at.set(now)

    def _streams(self, passed: float) -> None:
        each = STORM if Fault.STREAM_DROPS in self._faults else DROPS
        self._m.drops.inc(self._dropped.due(CLIENTS * self._pace.rate(each) * passed))

    def _browsers(self, passed: float) -> None:
        if Fault.CSP_VIOLATIONS in self._faults:
            self._m.csp_reports.inc(self._reported.due(self._pace.rate(REPORTS) * passed))

    def _pooler(self) -> None:
        """In transaction mode a leaked client connection holds no server connection; a long transaction does."""
        self._m.pool_active.labels(DATABASE).set(POOL if Fault.POOL_EXHAUSTED in self._faults else 0)

    def _executor(self, passed: float) -> None:
        """Asks it at once when that is set, and again at every poll for as long as it is."""
        self._until_probe = self._until_probe - passed if self._settings.probes_executor else 0.0
        if self._settings.probes_executor and self._until_probe <= 0:
            self._m.probes.labels(executor_health(self._faults)[1]["executor"]).inc()
            self._until_probe = self._pace.seconds(self._settings.poll_seconds)

    def _leaks(self, passed: float) -> None:
        if Fault.CONNECTION_LEAK in self._faults:
            self._desk.leak_connections(self._leaked.due(self._pace.rate(LEAKED) * passed))
        if Fault.MEMORY_LEAK in self._faults:
            blocks = self._blocks.due(self._pace.rate(LEAKED_BYTES) * passed / BLOCK)
            self._held += [bytearray(b"x" * BLOCK) for _ in range(blocks)]
