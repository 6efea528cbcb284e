"""The harness for feature flags: a key of a ConfigMap, and an application that splits its users by it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.gateway_routes import RunningTraffic
from conformance.harness import FOREIGN_MANAGER, DisturbedLane, Provider, Served, Snapshot
from sparkrelease.adapters.clock import SystemClock
from sparkrelease.adapters.traffic.feature_flag import FeatureFlagProvider
from sparkrelease.api.flags import value_of
from sparkrelease.api.spec import Traffic
from sparkrelease.ports.api_server import ApiServer
from sparkrelease.ports.traffic import Target
from testbed.flagdesk import FLAG, FlagDesk
from testbed.kubeapi import ApiError, KubeObject
from testbed.load import Load
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster

KIND = "ConfigMap"
WITH, WITHOUT = "v2", "v2-off"
"""What the application calls itself in an answer, with the feature and without it."""


@dataclass
class FlagTraffic(RunningTraffic):
    """Clients of an application whose answers say on which side they were made."""

    def stop(self) -> Served:
        self.load.stop()
        answers = list(self.load.answers())
        good = Counter(answer.version for answer in answers if not answer.failed)
        return Served(good[WITHOUT], good[WITH], len(answers) - good[WITHOUT] - good[WITH])


@dataclass
class FeatureFlags:
    """ProviderHarness for one flag. The desk is there for all tests: each of them takes the ConfigMap anew.

    `lanes` opens lanes to the API server: the operator's own, and a stranger's that may only read.
    """

    desk: FlagDesk
    lane: ApiServer
    strange_lane: ApiServer
    loads: list[Load] = field(default_factory=list)

    counts_changes = False
    has_other_rule = False

    @property
    def cluster(self) -> Cluster:
        return self.desk.cluster

    @property
    def target(self) -> Target:
        desk = self.desk
        manifest = desk.manifest("v2")["spec"]["traffic"]
        traffic = Traffic.model_validate(manifest)
        return Target(desk.namespace, desk.name, "release-uid", traffic, KIND, desk.flags, owned=False)

    # ------------------------------------------------------------ providers

    def provider(self) -> tuple[Provider, DisturbedLane]:
        lane = DisturbedLane(self.lane)
        return FeatureFlagProvider(lane, lane, SystemClock()), lane

    def stranger(self) -> Provider:
        return FeatureFlagProvider(self.strange_lane, self.strange_lane, SystemClock())

    def show(self, provider: Provider) -> None:
        body = self._get()
        if body is not None:
            provider.see(KIND, "MODIFIED", body)

    # ------------------------------------------------------------ the flag

    def put_route(self) -> None:
        self.desk.put_flag("0", manager=FOREIGN_MANAGER)

    def drop_route(self) -> None:
        self.cluster.delete("v1", KIND, self.desk.flags, self.desk.namespace)
        wait_for("ConfigMap deleted", lambda: self._get() is None)

    @contextmanager
    def drop_canary_service(self) -> Iterator[None]:
        name, namespace = f"{self.desk.name}-canary", self.desk.namespace
        service = self.cluster.get("v1", "Service", name, namespace)
        self.cluster.delete("v1", "Service", name, namespace)
        try:
            yield
        finally:
            for key in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
                service["metadata"].pop(key, None)
            for key in ("clusterIP", "clusterIPs"):
                service["spec"].pop(key, None)
            self.cluster.create(service)

    def snapshot(self) -> Snapshot | None:
        body = self._get()
        if body is None:
            return None
        metadata = body["metadata"]
        annotations = metadata.get("annotations", {})
        marks = {key: value for key, value in annotations.items() if key.startswith("sparkrelease.dev/")}
        others = {key: value for key, value in annotations.items() if key not in marks}
        canary = self.desk.canary_weight()
        said = json.dumps([body["data"], metadata.get("labels", {}), others], sort_keys=True)
        version = metadata["resourceVersion"]
        explicit = body["data"][FLAG] == value_of(canary)
        return Snapshot(version, int(version), ((100 - canary, canary),), explicit, said, marks)

    def write_weights(self, canary: float) -> None:
        value = value_of(canary)
        assert value is not None
        self.desk.put_flag(value, manager=FOREIGN_MANAGER)

    def edit_other_rule(self) -> Callable[[], bool]:
        """Not asked for: another key is no part of the flag, and a write of it is no conflict."""
        raise NotImplementedError

    def touch_status(self) -> None:
        """A ConfigMap has no status: somebody writes another key, and leaves a note of their own."""
        body = {"metadata": {"annotations": {"team": "desk"}}, "data": {"CONFIDENCE_FLOOR": "0.6"}}
        self.cluster.patch("v1", KIND, self.desk.flags, self.desk.namespace, body)

    # ------------------------------------------------------------ the application and its clients

    def gateway_asleep(self) -> AbstractContextManager[None]:
        """Not asked for: a flag is accepted by nobody but the pods that read it."""
        raise NotImplementedError

    def serve(self, requests: int) -> Served:
        self.desk.in_force(self.desk.value())
        load = self._start(rps=1000, n=requests, concurrency=16)
        load.wait()
        return FlagTraffic(load).stop()

    def start_traffic(self, rps: float) -> FlagTraffic:
        return FlagTraffic(self._start(rps=rps, duration=100))

    def close(self) -> None:
        """Ends what was started, and leaves no flag to the next one."""
        for load in self.loads:
            if load.running:
                load.stop()
        self.drop_route()

    # ------------------------------------------------------------ parts

    def _start(self, **options: Any) -> Load:  # noqa: ANN401 - the load generator's own
        load = self.cluster.start_load(self.desk.host, **options)
        self.loads.append(load)
        return load

    def _get(self) -> KubeObject | None:
        try:
            return self.desk.config_map()
        except ApiError as error:
            if error.code != 404:
                raise
            return None
