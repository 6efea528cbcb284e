"""Processor time of one tick of the engine alone, on fake ports: what a busy machine cannot distort.

Everything of a tick is in it but the answer's way over the network and its JSON: the shared query's rows are sorted by
Service, every release is looked at and decided, none has anything new to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from bench.results import quantile
from fakes.measuring import FakeMeasuring
from fakes.rig import NAMESPACE, Rig
from sparkrelease.decide.facts import MetricFacts, Share
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.series import Answer, RangeAnswer, Row
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.cluster import ObjectKey

TICKS = 10
WARM = 3
"""Ticks that are not counted: the first ones give every release its first readings."""

SECONDS = 5
"""Between two ticks, by the fake clock."""

_STAGES = [{"name": "ten", "weight": 10, "duration": "12h"}, {"name": "half", "weight": 50, "duration": "1h"}]
_SERVERS = {"default": {"url": "http://prometheus.example"}}


class Healthy:
    """A MetricSource by which every release does well."""

    def __init__(self, names: list[str]) -> None:
        self._places = [(name, side) for name in names for side in ("stable", "canary")]

    def servers(self) -> frozenset[str]:
        """The only one."""
        return frozenset(_SERVERS)

    async def query(self, server: str, promql: str, at: datetime) -> Answer:  # noqa: ARG002 - the port's signature
        """Fresh counters without errors."""
        return Answer(tuple(self._rows(at.timestamp() - 0.5)))

    async def query_range(
        self,
        server: str,  # noqa: ARG002 - the port's signature
        promql: str,  # noqa: ARG002
        start: datetime,  # noqa: ARG002
        end: datetime,  # noqa: ARG002
        step: timedelta,  # noqa: ARG002
    ) -> RangeAnswer:
        """No history; nothing here asks for one."""
        return RangeAnswer(())

    def _rows(self, newest: float) -> Iterator[Row]:
        for part, value in (("bad", 0.0), ("total", 500.0), ("newest", newest)):
            for name, side in self._places:
                yield Row({"namespace": NAMESPACE, "service": f"{name}-{side}", "sr_part": part}, value)


class _Swapped(FakeMeasuring):
    """Says what it is told while runs begin; then the engine's own measurements are read."""

    def __init__(self) -> None:
        super().__init__()
        self.real: Measurements | None = None

    def follow(self, key: ObjectKey, spec: ResolvedSpec) -> None:
        if self.real is None:
            super().follow(key, spec)
        else:
            self.real.follow(key, spec)

    async def tick(self, now: datetime) -> None:
        if self.real is None:
            await super().tick(now)
        else:
            await self.real.tick(now)

    def readings(self, key: ObjectKey) -> Mapping[str, MetricFacts]:
        return super().readings(key) if self.real is None else self.real.readings(key)

    def share(self, key: ObjectKey) -> Share | None:
        return None if self.real is None else self.real.share(key)


async def cpu_of_ticks(releases: int) -> dict[str, Any]:
    """Processor seconds of the median tick, in milliseconds, with this many active releases."""
    names = [f"r{number}" for number in range(releases)]
    rig = Rig(servers=_SERVERS, heartbeat="1h")
    rig.measuring = measuring = _Swapped()
    rig.engine = rig.build()
    for name in names:
        rig.release(name, stages=_STAGES)
    await rig.start()
    await rig.seconds(2)  # every run has begun, by measurements that say what they are told
    measuring.real = Measurements(Healthy(names), rig.config)
    spent = []
    for number in range(WARM + TICKS):
        rig.clock.advance(SECONDS)
        rig.cluster.accept()
        begin = time.process_time()
        await rig.engine.ticker.tick()
        if number >= WARM:
            spent.append(time.process_time() - begin)
        await rig.settle()
    active = sum(1 for release in rig.engine.store if release.active)
    return {"active": active, "ticks": TICKS, "milliseconds": round(1000 * quantile(spent, 0.5), 1)}
