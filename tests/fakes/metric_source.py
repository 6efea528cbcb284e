"""A metric source that answers from a function, and releases to measure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.decide.series import Answer, RangeAnswer, Row
from sparkrelease.ports.cluster import ObjectKey

T0 = datetime(2026, 1, 2, tzinfo=UTC)
UNREACHABLE = Missing(Reason.PROMETHEUS_UNREACHABLE, "it refuses connections", server_wide=True)

RATIO = {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"}
LATENCY = {"name": "latency", "buckets": "duration_bucket", "quantile": 0.95}
LAG = {"name": "lag", "value": "max by ($by) (lag_seconds{$sel})"}

Reply = Callable[[str, str, datetime], Answer | Missing]


def config(**fields: object) -> OperatorConfig:
    servers = {"default": {"url": "http://prometheus:9090"}}
    return OperatorConfig.model_validate({"tick": "1s", "servers": servers, **fields})


def key(name: str = "shop", namespace: str = "trading") -> ObjectKey:
    return ObjectKey(namespace, name)


def spec(name: str = "shop", **fields: object) -> ResolvedSpec:
    declared = SparkReleaseSpec.model_validate(
        {
            "version": "v2",
            "traffic": {
                "stable": {"service": f"{name}-stable", "port": 8080},
                "canary": {"service": f"{name}-canary", "port": 8080},
                "gatewayAPI": {"route": {"name": name}},
            },
            "stages": [{"name": "half", "weight": 50, "duration": "15m"}],
            "metrics": [RATIO, LATENCY, LAG],
            "thresholds": [
                {"name": "errors", "metric": "http", "max": 0.01},
                {"name": "p95", "metric": "latency", "max": 0.2},
                {"name": "lag", "metric": "lag", "max": 30},
            ],
            "triggers": [
                {"name": "errors", "all": [{"metric": "http", "op": ">", "value": 0.03}]},
                {"name": "p95", "all": [{"metric": "latency", "op": ">", "value": 1}]},
            ],
            **fields,
        }
    )
    found = resolve(declared, None)
    assert isinstance(found, ResolvedSpec), found
    return found


def rows(namespace: str, service: str, at: datetime, parts: Mapping[str, float]) -> list[Row]:
    """Rows of one Service; a part `le:0.2` is a bucket."""
    found = []
    for part, value in {**parts, "newest": at.timestamp()}.items():
        name, _, edge = part.partition(":")
        labels = {"namespace": namespace, "service": service, "sr_part": name}
        found.append(Row(labels | ({"le": edge} if edge else {}), value))
    return found


HEALTHY: Mapping[str, float] = {"bad": 1, "total": 100, "value": 5, "high": 7, "series": 1, "label": 1}
EDGES: Mapping[str, float] = {"le:0.2": 90, "le:1": 99, "le:+Inf": 100}


def healthy(promql: str, at: datetime, *names: str, namespace: str = "trading") -> Answer:
    """What a server with healthy releases answers."""
    found: list[Row] = []
    for name in names or ("shop",):
        for side in ("stable", "canary"):
            wanted = EDGES if "le=~" in promql or ", le)" in promql else HEALTHY
            parts = {part: value for part, value in wanted.items() if f'"{part.partition(":")[0]}"' in promql}
            found += rows(namespace, f"{name}-{side}", at, parts)
    return Answer(found)


class FakeSource:
    """Keeps what it was asked. `reply` may be changed; `held` keeps queries that contain a text waiting."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or (lambda _, promql, at: healthy(promql, at))
        self.queries: list[tuple[str, str, datetime]] = []
        self.ups: list[tuple[str, str, datetime]] = []
        """Questions for targets that are scraped, which are asked for every release."""
        self.ranges: list[tuple[str, str, datetime, datetime, timedelta]] = []
        self.reply_range: Callable[[str, str, datetime, datetime, timedelta], RangeAnswer | Missing] = lambda *_: (
            RangeAnswer([])
        )
        self.held: dict[str, asyncio.Event] = {}

    def servers(self) -> frozenset[str]:
        return frozenset({"default"})

    async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        (self.ups if '"sr_part", "up"' in promql else self.queries).append((server, promql, at))
        for text, event in self.held.items():
            if text in promql:
                await event.wait()
        return self.reply(server, promql, at)

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        self.ranges.append((server, promql, start, end, step))
        return self.reply_range(server, promql, start, end, step)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)
