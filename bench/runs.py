"""Which benchmarks there are, and what each brings up: a cluster of its own, a fleet, an operator."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench import decide, evidence, results, rollback, start, tick, usage
from bench.fleet import NAMESPACES, RATE, Fleet, Member, members
from bench.screen import Screen
from bench.stub import StubGateway
from sparkrelease.__main__ import GARBAGE_COLLECTION
from testbed import session
from testbed.cluster import Cluster, Exporter
from testbed.kubeapi import KubeObject
from testbed.shop import operator_config
from testbed.waiting import wait_for


@dataclass(frozen=True)
class Sizes:
    """How large and how long.

    Attributes:
        active: sizes of the active fleets, each measured through all of it.
        group: releases that are started together, and no more than that.
        many: finished releases.
        most: finished releases of the largest start.
        trials: rollbacks measured per variant.
        seconds: span over which calls, queries, processor and memory are counted.
        first: the same for an operator that is started, from its start on.
        real_gateway: up to this many releases the real gateway accepts the routes, beyond it the stub.
    """

    active: tuple[int, ...] = (100, 1000)
    group: int = 300
    many: int = 1000
    most: tuple[int, ...] = (5000, 10_000)
    trials: int = 24
    seconds: float = 120.0
    first: float = 60.0
    real_gateway: int = 150


SMALL = Sizes(active=(10, 30), group=15, many=30, most=(60, 90), trials=4, seconds=20.0, first=15.0, real_gateway=20)
"""For trying the benchmarks themselves: every step, no meaning."""


class Bench:
    """Runs benchmarks and keeps what they find."""

    def __init__(self, screen: Screen, sizes: Sizes) -> None:
        self.screen = screen
        self.sizes = sizes

    # ---------------------------------------------------------------- the benchmarks

    def tick(self) -> None:
        """Processor time of a tick of the engine alone; no cluster."""
        gc.set_threshold(*GARBAGE_COLLECTION)  # as the operator's own process does
        for size in self.sizes.active:
            begin = usage.load()
            self._keep(f"tick-{size}", asyncio.run(tick.cpu_of_ticks(size)), "none", begin)

    def decide(self) -> None:
        """Processor time of the rules alone; no cluster."""
        gc.set_threshold(*GARBAGE_COLLECTION)
        for size in self.sizes.active:
            begin = usage.load()
            self._keep(f"decide-{size}", decide.cpu_of_decisions(size), "none", begin)

    def rollback(self) -> None:
        """Rollbacks of the only active release, at both ticks."""
        for pace in rollback.TICKS:
            with self._cluster() as cluster:
                self._rollback_of_one(cluster, pace)

    def evidence(self) -> None:
        """Evidence of one standard run."""
        with self._cluster() as cluster:
            self._evidence(cluster)

    def idle(self) -> None:
        """Many finished releases with nothing to do."""
        with self._cluster() as cluster:
            self._finished(cluster, idle=True, starts=False)

    def together(self) -> None:
        """Some releases started together."""
        size = self.sizes.group
        with self._cluster() as cluster:
            _, fleet, gateway = self._on_trial(cluster, size)
            operator, _ = start.started(cluster, config(cluster, tick="5s"))
            begin = usage.load()
            self._keep(f"together-{size}", start.together(cluster, fleet, members(size)), gateway, begin)
            operator.stop()

    def active(self) -> None:
        """A fleet of some, then one of many: started together, left alone, taken over, rolled back one by one."""
        for size in self.sizes.active:
            with self._cluster() as cluster:
                self._active(cluster, size)

    def start(self) -> None:
        """An operator started on many and on most finished releases."""
        with self._cluster() as cluster:
            self._finished(cluster, idle=False, starts=True)

    def finished(self) -> None:
        """`idle` and `start` on one fleet."""
        with self._cluster() as cluster:
            self._finished(cluster, idle=True, starts=True)

    # ---------------------------------------------------------------- rollback

    def _rollback_of_one(self, cluster: Cluster, tick: str) -> None:
        count = self.sizes.trials
        exporter = cluster.start_exporter(releases=count, namespaces=NAMESPACES, rps=RATE)
        fleet, gateway = self._fleet(cluster, count)
        fleet.surroundings(members(count), lambda _: None)
        begin = usage.load()
        operator, _ = start.started(cluster, config(cluster, tick=rollback.TICKS[tick]))
        with self.screen.steps(f"rollbacks of one active release, tick {tick}", count) as told:
            trials, used = rollback.series(cluster, exporter, members(count), rollback.one_at_a_time(fleet), told)
        found = rollback.figures(trials, used, 1, rollback.TICKS[tick])
        self._keep(f"rollback-1-{tick}", found, gateway, begin)
        operator.stop()

    # ---------------------------------------------------------------- what it uses

    def _active(self, cluster: Cluster, size: int) -> None:
        """One fleet through all of it: started together, left alone, taken over, and some of it made to fail."""
        count = self.sizes.trials
        whole = size + 2 * count
        exporter, fleet, gateway = self._on_trial(cluster, whole)
        settings = config(cluster, tick="5s")
        operator, _ = start.started(cluster, settings)
        begin = usage.load()
        found = start.together(cluster, fleet, members(whole))
        self._keep(f"together-{size}", found, gateway, begin)
        self._rest("starts are over", 20)
        begin = usage.load()
        self.screen.say(f"{whole} on trial; counting for {self.sizes.seconds:g} s")
        used = asdict(usage.measure(cluster, self.sizes.seconds)) | {"releases": whole}
        self._keep(f"active-{size}", used, gateway, begin)
        operator.stop()
        begin = usage.load()
        operator, found = start.adoption_of_active(cluster, settings, members(whole), self.sizes.first)
        self._keep(f"start-active-{size}", found, gateway, begin)
        operator.stop()
        for number, pace in enumerate(rollback.TICKS):
            self._rollbacks_at(cluster, (exporter, fleet, gateway), pace, size + (2 - number) * count)

    def _rollbacks_at(self, cluster: Cluster, made: tuple[Exporter, Fleet, str], tick: str, left: int) -> None:
        """The next trials of a fleet of which the last `left` are on trial."""
        exporter, fleet, gateway = made
        begin, count = usage.load(), self.sizes.trials
        first = fleet.size - left
        operator, _ = start.started(cluster, config(cluster, tick=rollback.TICKS[tick]))
        fleet.wait_on_trial(members(left, first))
        self._rest("the start is over", 5)
        with self.screen.steps(f"rollbacks among {left} active, tick {tick}", count) as told:
            trials, used = rollback.series(cluster, exporter, members(count, first), lambda _: None, told)
        found = rollback.figures(trials, used, left, rollback.TICKS[tick])
        self._keep(f"rollback-{fleet.size - 2 * count}-{tick}", found, gateway, begin)
        operator.stop()

    def _finished(self, cluster: Cluster, *, idle: bool, starts: bool) -> None:
        many = self.sizes.many
        cluster.start_exporter()
        status = self._settled_status(cluster)
        fleet, gateway = self._fleet(cluster, many, canary="v1")
        half = many // 2
        self._surroundings(fleet, members(many + 1))
        with self.screen.steps("settled releases", half) as told:
            fleet.releases(members(half), told, status)
        with self.screen.steps("releases with nothing to release", many - half) as told:
            fleet.releases(members(many - half, first=half), told)
        settings = config(cluster, tick="5s")
        operator, _ = start.started(cluster, settings)
        self._until_at_rest(fleet, many)
        if idle:
            self._rest("starts are over", 20)
            begin = usage.load()
            self.screen.say(f"{many} at rest; counting for {self.sizes.seconds:g} s")
            self._keep(f"idle-{many}", asdict(usage.measure(cluster, self.sizes.seconds)), gateway, begin)
        operator.stop()
        if starts:
            begin = usage.load()
            operator, found = start.adoption_of_finished(cluster, settings, fleet, Member(many), self.sizes.first)
            self._keep(f"start-finished-{many}", {"objects": many, **found}, gateway, begin)
            operator.stop()
            known = many
            for size in self.sizes.most:
                self._grow(cluster, (fleet, gateway, status), known, size)
                known = size

    def _grow(self, cluster: Cluster, made: tuple[Fleet, str, KubeObject], known: int, size: int) -> None:
        """So many settled releases beside those known, and a start on all of them."""
        fleet, gateway, status = made
        many = self.sizes.many
        more = [Member(number, beside=number % many) for number in range(known + 1, size + 1)]
        # A name that comes no second time, in the namespace of the one whose Services it names.
        fresh = Member((max(self.sizes.most) + size) * NAMESPACES + many % NAMESPACES, beside=many)
        with self.screen.steps("settled releases", len(more)) as told:
            fleet.releases(more, told, status)
        begin = usage.load()
        settings = config(cluster, tick="5s")
        operator, found = start.adoption_of_finished(cluster, settings, fleet, fresh, self.sizes.first)
        self._keep(f"start-finished-{size}", {"objects": size + 1, **found}, gateway, begin)
        operator.stop()

    def _evidence(self, cluster: Cluster) -> None:
        begin = usage.load()
        operator = cluster.start_operator(operator_config(cluster))
        shop, found = evidence.run(cluster)
        self._keep("evidence", found, "contour", begin)
        shop.close()
        operator.stop()

    # ---------------------------------------------------------------- parts

    @contextmanager
    def _cluster(self) -> Iterator[Cluster]:
        cluster = session.start()
        try:
            yield cluster
        except BaseException:
            cluster.diagnostics(results.FOLDER / "failure")
            raise
        finally:
            cluster.close()

    def _fleet(self, cluster: Cluster, size: int, *, canary: str = "v2") -> tuple[Fleet, str]:
        """A fleet behind the real gateway, or behind the stub when it is too large for this machine."""
        if size <= self.sizes.real_gateway:
            return Fleet(cluster, cluster.gateway_parent_ref, canary=canary), "contour"
        StubGateway(cluster).start()
        fleet = Fleet(cluster, StubGateway.parent, canary=canary)
        cluster.gateway_controller.stop()
        return fleet, "stub"

    def _on_trial(self, cluster: Cluster, size: int) -> tuple[Exporter, Fleet, str]:
        """Everything for releases that begin a run at once, but the releases."""
        exporter = cluster.start_exporter(releases=size, namespaces=NAMESPACES, rps=RATE)
        fleet, gateway = self._fleet(cluster, size)
        fleet.size = size
        self._surroundings(fleet, members(size))
        return exporter, fleet, gateway

    def _surroundings(self, fleet: Fleet, wanted: list[Member]) -> None:
        with self.screen.steps("Services and routes", len(wanted)) as told:
            fleet.surroundings(wanted, told)

    def _settled_status(self, cluster: Cluster) -> KubeObject:
        """Status of a release that was really brought to stable."""
        operator = cluster.start_operator(operator_config(cluster))
        shop, _ = evidence.run(cluster)
        status: dict[str, Any] = dict(shop.status)
        shop.close()
        operator.stop()
        self.screen.say(f"a settled release to copy: generation {status['observedGeneration']}")
        return status | {"observedGeneration": 1}

    def _until_at_rest(self, fleet: Fleet, count: int) -> None:
        def at_rest() -> bool:
            phases = [status.get("phase") for status in fleet.statuses().values()]
            return phases.count("Succeeded") >= count

        wait_for(f"{count} at rest", at_rest, timeout=300, every=2.0)

    def _rest(self, what: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        wait_for(what, lambda: time.monotonic() >= end, timeout=seconds + 30, every=0.5)

    def _keep(self, name: str, figures: dict[str, Any], gateway: str, load: float) -> None:
        self.screen.table(name, figures)
        results.save(results.Result(name, figures, gateway, (load, usage.load())))


def config(cluster: Cluster, *, tick: str) -> dict[str, Any]:
    """The operator's defaults but for the tick: one server, with the gateway's counter for the measured share.

    The Lease is borne longer than usual, so that an API server with too much to do ends no benchmark half way.
    """
    lease = {"duration": "60s", "deadline": "45s", "renew": "2s"}
    share = {"counter": "envoy_cluster_upstream_rq_total", "judged": True}
    server = {"url": cluster.prometheus_url, "share": share, "alerts": []}
    return {"tick": tick, "lease": lease, "servers": {"default": server}}
