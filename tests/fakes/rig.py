"""An engine on fake ports, driven second by second."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fakes.clock import FakeClock
from fakes.cluster import Call, FakeCluster, FakeEvidence, FakeObjects, FakeRoute, FakeWorkloads
from fakes.deployments import FakeDeployments
from fakes.measuring import FakeMeasuring
from fakes.mitigations import FakeMitigations
from fakes.named import FakeNamed
from fakes.notifier import FakeNotifier
from fakes.preflight import FakeRunner, FakeSource
from fakes.traffic import FakeTraffic
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.plan import EventDraft
from sparkrelease.engine.checks import Checks
from sparkrelease.engine.intake import KINDS
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.engine.process import Engine
from sparkrelease.engine.world import World
from sparkrelease.ports.cluster import ObjectKey

NAMESPACE = "shop"


class FakeLeadership:
    """Held until told otherwise."""

    def __init__(self, epoch: int) -> None:
        self.number = epoch
        self.left = 15.0
        self.taken = False
        """Whether somebody else holds the Lease, though this process does not know it yet."""

    @property
    def epoch(self) -> int:
        return self.number if self.left > 0 else 0

    def valid_for(self, seconds: float) -> bool:
        return self.left > seconds

    async def still_held(self) -> bool | None:
        return not self.taken


def spec(name: str = "web", version: str = "v2", **more: object) -> dict[str, Any]:
    """A release of two stages of three seconds each, one threshold and one trigger."""
    return {
        "version": version,
        "traffic": {
            "stable": {"service": f"{name}-stable", "port": 8080},
            "canary": {"service": f"{name}-canary", "port": 8080},
            "gatewayAPI": {"route": {"name": name}},
        },
        "stages": [
            {"name": "ten", "weight": 10, "duration": "3s"},
            {"name": "half", "weight": 50, "duration": "3s"},
        ],
        "metrics": [{"name": "http", "bad": "errors", "total": "requests"}],
        "thresholds": [{"name": "errors", "metric": "http", "max": 0.01}],
        "triggers": [{"name": "bad", "all": [{"metric": "http", "op": ">", "value": 0.03}]}],
        "settle": {"steps": [0], "interval": "2s"},
        **more,
    }


class Rig:
    """A cluster that lasts, and an operator process that can be started anew."""

    def __init__(self, **config: object) -> None:
        self.clock = FakeClock()
        self.cluster = FakeCluster(self.clock)
        self.measuring = FakeMeasuring()
        self.runner, self.source = FakeRunner(), FakeSource()
        self.notifier = FakeNotifier()
        self.named = FakeNamed()
        self.config = OperatorConfig.model_validate({"tick": "1s", **config})
        self.fenced: list[str] = []
        self.epoch = 0
        self.leadership = FakeLeadership(0)
        self.engine = self.build()

    def build(self) -> Engine:
        """A new process with a new epoch, that has seen nothing and does not lead yet."""
        self.epoch += 1
        self.leadership = FakeLeadership(self.epoch)
        objects = FakeObjects(self.cluster)
        traffic, workloads = FakeTraffic(self.cluster), FakeWorkloads(self.cluster)
        self.workloads = workloads
        self.measuring.followed.clear()
        return Engine(
            World(
                config=self.config,
                clock=self.clock,
                metrics=OperatorMetrics(),
                leadership=self.leadership,
                objects=objects,
                lister=objects,
                evidence=FakeEvidence(self.cluster),
                workloads=workloads,
                traffic=traffic,
                mitigations=FakeMitigations(self.cluster),
                measuring=self.measuring,
                checks=Checks(self.runner, self.source, self.config.servers, self.clock.now),
                caches=(workloads, traffic),
                named=self.named,
                fenced=self.fenced.append,
                tell=self._tell,
                notifier=self.notifier,
                deployments=FakeDeployments(self.cluster),
            )
        )

    def _tell(self, key: ObjectKey, _: str, event: EventDraft) -> None:
        self.cluster.events.append((key, event))

    # ------------------------------------------------------------ the scene

    def serve(self, name: str = "web", stable: str = "fp1", canary: str = "fp2") -> None:
        """Pods behind both Services and a route with all traffic on stable."""
        self.cluster.roll_out(NAMESPACE, f"{name}-stable", stable)
        self.cluster.roll_out(NAMESPACE, f"{name}-canary", canary)
        self.cluster.routes[(NAMESPACE, name)] = FakeRoute()

    def release(self, name: str = "web", **more: object) -> ObjectKey:
        """Pods, a route and a release on them."""
        self.serve(name)
        return self.cluster.create(NAMESPACE, name, spec(name, **more))  # type: ignore[arg-type]

    def route(self, name: str = "web") -> FakeRoute:
        return self.cluster.routes[(NAMESPACE, name)]

    def status(self, key: ObjectKey) -> SparkReleaseStatus:
        return self.cluster.status(key)

    # ------------------------------------------------------------ time

    async def start(self) -> None:
        """First lists, then leadership."""
        self.cluster.dead = False
        self.cluster.watch.clear()
        for kind in KINDS:
            await FakeObjects(self.cluster).list_objects(kind, partial(self.engine.intake.page, kind))
            self.engine.intake.listed(kind)
            self.engine.resync._first[kind].set()
        self.engine._leading = True
        self.engine.adopt()
        self.clock.advance(0.1)
        await self.settle()

    async def restart(self) -> None:
        """A process takes over from one that is dead."""
        await self.engine.scheduler.stop()
        self.engine = self.build()
        await self.start()

    async def settle(self) -> None:
        """Shows what the watches have, and runs what is due, until nothing is."""
        while True:
            shown, self.cluster.watch[:] = list(self.cluster.watch), []
            for kind, event, body in shown:
                self.engine.intake.see(kind, event, body)
            await self.engine.scheduler.settle()
            if not self.cluster.watch:
                return

    async def seconds(self, count: float, *, ticks: bool = True) -> None:
        """Lets time pass: the gateway accepts, metrics are asked, rounds run; a dead process is started anew."""
        for _ in range(int(count)):
            self.clock.advance(1)
            self.cluster.accept()
            if ticks:
                await self.engine.ticker.tick()
            await self.settle()
            if self.cluster.dead:
                await self.restart()

    async def until(self, done: Callable[[], object], within: int = 60) -> None:
        """Lets time pass until a condition holds."""
        for _ in range(within):
            if done():
                return
            await self.seconds(1)
        assert done(), "did not come about in time"


def order(calls: list[Call]) -> list[tuple[str, Any]]:
    """Kinds and details of calls, to compare."""
    return [(call.kind, call.detail) for call in calls]
