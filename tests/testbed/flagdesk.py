"""A trading desk with a feature behind a flag: one workload that splits its users itself, and no proxy that could."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from sparkrelease.api.flags import weight_of
from testbed import app
from testbed.app import App
from testbed.audit import AuditEvent
from testbed.cluster import Cluster
from testbed.grants import let_operator
from testbed.kubeapi import ApiError, KubeObject
from testbed.shop import GIT, Shop, operator_config
from testbed.waiting import wait_for

FLAG = "FEATURE_ML_SCORING"
GAUGE = f'feature_flag_value{{flag="{FLAG}"}}'
SERVER = "flags"
"""Metrics server by which the application itself says on which side something was counted."""

SETTINGS = "release-settings"
"""ConfigMap with what a release may change in a breach."""

OWN_SETTINGS: Mapping[str, str] = {"CONFIDENCE_FLOOR": "0.5", "POLL_SECONDS": "30", "SIGNAL_WEIGHTS": "learned"}
"""What the team has in it."""

_MOUNTED = {"flags": "/etc/flags", "settings": "/etc/settings"}


def flag_config(cluster: Cluster, **changes: object) -> dict[str, Any]:
    """An operator's configuration with a second server: the same Prometheus, its roles by the application's label."""
    config = operator_config(cluster, **changes)
    config["servers"][SERVER] = {
        "url": cluster.prometheus_url,
        "timeout": "10s",
        "maxAge": "15s",
        "labels": {"namespace": "namespace", "service": "side"},
        "alerts": [],
    }
    return config


@dataclass
class FlagDesk(Shop):
    """The release moves a ConfigMap's key; both of its Services are in front of the same pods."""

    pace: float = 1.0
    replicas: int = 2

    @property
    def flags(self) -> str:
        """Name of the ConfigMap."""
        return f"{self.name}-flags"

    # ---------------------------------------------------------------- building

    def begin(self, version: str = "v2", *, allowed: bool = True) -> FlagDesk:
        """Deploys all of it with the flag off; returns when it serves."""
        self.put_flag()
        self.put_settings()
        if allowed:
            self.let_it_patch()
        self.roll_out(version)
        for side, port in (("stable", app.PORT_NAME), ("canary", "feature")):
            # The port of one side has another name, so that each pod is scraped once.
            service = app.service(App(self.namespace, f"{self.name}-{side}", "", 1))
            service["spec"]["selector"] = {"app": self.name}
            service["spec"]["ports"][0]["name"] = port
            self.cluster.apply(service)
        self.cluster.wait_rolled_out(self.namespace, self.name)
        self.apply_route()
        self.wait_serving()
        return self

    def roll_out(self, version: str) -> None:
        """Applies the Deployment; a rollout when it is there already."""
        deployed = App(self.namespace, self.name, self.cluster.app_image(version, "trading"), self.replicas)
        sides = f"{self.name}-stable {self.name}-canary"
        files = {"FLAG_FILE": f"{_MOUNTED['flags']}/{FLAG}", "SETTINGS_DIR": _MOUNTED["settings"]}
        env = {"PACE": f"{self.pace:g}", "FLAG": FLAG, "SIDES": sides, **files}
        body = app.deployment(deployed, env=env)
        pod = body["spec"]["template"]["spec"]
        named = {"flags": self.flags, "settings": SETTINGS}
        pod["volumes"] = [{"name": key, "configMap": {"name": name, "optional": True}} for key, name in named.items()]
        mounts = [{"name": key, "mountPath": path, "readOnly": True} for key, path in _MOUNTED.items()]
        pod["containers"][0]["volumeMounts"] = mounts
        self.cluster.apply(body)

    def put_flag(self, value: str = "0", manager: str = GIT) -> None:
        """Applies the ConfigMap as a GitOps tool does; it has another key that is no business of a release."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.flags, "namespace": self.namespace},
            "data": {FLAG: value, "CONFIDENCE_FLOOR": "0.5"},
        }
        self.cluster.apply(body, manager=manager)

    def put_settings(self) -> None:
        """Applies the ConfigMap with the team's own settings."""
        metadata = {"name": SETTINGS, "namespace": self.namespace}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(OWN_SETTINGS)}
        self.cluster.apply(body, manager=GIT)

    def edit_flag(self, value: str) -> None:
        """Sets the value as a person does by hand."""
        self.cluster.patch("v1", "ConfigMap", self.flags, self.namespace, {"data": {FLAG: value}})

    def let_it_patch(self) -> None:
        """The Roles of manifests/namespaced/feature-flag and mitigation, for these ConfigMaps."""
        for role, name in (("sparkrelease-feature-flag", self.flags), ("sparkrelease-mitigation", SETTINGS)):
            let_operator(self.cluster, self.namespace, role, ("get", "watch", "patch"), config_map=name)

    def route_manifest(self, canary: int = 0) -> KubeObject:
        """The way in: one backend, nothing to split."""
        body = Shop.route_manifest(self, canary)
        body["spec"]["rules"][0]["backendRefs"] = body["spec"]["rules"][0]["backendRefs"][:1]
        return body

    def manifest(self, version: str, **spec: object) -> KubeObject:
        """The SparkRelease: the flag in the route's place."""
        body = Shop.manifest(self, version)
        del body["spec"]["traffic"]["gatewayAPI"]
        body["spec"]["traffic"]["featureFlag"] = {"configMap": self.flags, "key": FLAG, "metric": GAUGE}
        body["spec"] |= {"prometheus": SERVER} | spec
        return body

    def break_feature(self, fault: str) -> None:
        """Switches a fault on in every pod; the users without the feature have none of it."""
        for pod in self.cluster.list("v1", "Pod", self.namespace, labels=f"app={self.name}"):
            app.switch(self.cluster.pod_url(pod), faults=fault)

    # ---------------------------------------------------------------- looking

    def config_map(self) -> KubeObject:
        """The ConfigMap as stored."""
        return self.cluster.get("v1", "ConfigMap", self.flags, self.namespace)

    def settings(self) -> Mapping[str, str]:
        """What the ConfigMap with the settings holds."""
        found: Mapping[str, str] = self.cluster.get("v1", "ConfigMap", SETTINGS, self.namespace)["data"]
        return found

    def marks(self) -> Mapping[str, str]:
        """Annotations of the ConfigMap."""
        found: Mapping[str, str] = self.config_map()["metadata"].get("annotations", {})
        return found

    def value(self) -> str:
        """The flag's value as stored."""
        return str(self.config_map()["data"][FLAG])

    def canary_weight(self) -> float:
        """Canary's percent, by the flag itself."""
        weight = weight_of(self.value())
        assert weight is not None, self.value()
        return weight

    def values_written(self, since: int) -> list[str]:
        """Values that writes gave the flag after a cursor of the audit log, each time it changed."""
        values: list[str] = []
        for event in self._writes(since):
            value = event.response["data"][FLAG]
            if not values or values[-1] != value:
                values.append(value)
        return values

    def weights_written(self, since: int) -> Iterator[tuple[AuditEvent, float]]:
        """Every write of the ConfigMap after a cursor of the audit log, and canary's percent by it."""
        for event in self._writes(since):
            yield event, weight_of(event.response["data"][FLAG]) or 0.0

    def _writes(self, since: int) -> Iterator[AuditEvent]:
        about = ("configmaps", "", self.namespace, self.flags)
        for event in self.cluster.audit_events(since):
            told = (event.resource, event.subresource, event.namespace, event.name)
            if told == about and event.writes and event.code < 300 and "data" in event.response:
                yield event

    def counted(self, series: str) -> float:
        """The sum of a series, as its pods export it."""
        pods = self.cluster.list("v1", "Pod", self.namespace, labels=f"app={self.name}")
        lines = [line for pod in pods for line in app.get_text(f"{self.cluster.pod_url(pod)}/metrics").splitlines()]
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))

    def in_force(self, value: str, timeout: float = 15.0) -> None:
        """Waits until every pod says by its gauge that it goes by this value; those that are going do not count."""
        share = (weight_of(value) or 0.0) / 100
        not_yet = (ApiError, urllib3.exceptions.HTTPError)

        def shown() -> bool:
            pods = self.cluster.list("v1", "Pod", self.namespace, labels=f"app={self.name}")
            staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
            return bool(staying) and all(abs(_gauge(self.cluster.pod_url(pod)) - share) < 1e-6 for pod in staying)

        wait_for(f"{self.namespace}/{self.name} goes by {value}", shown, timeout=timeout, expected=not_yet)

    def told(self, *reasons: str) -> list[Mapping[str, Any]]:
        """Its Events with one of these reasons."""
        events = self.cluster.list("v1", "Event", self.namespace)
        return [event for event in events if event["reason"] in reasons]


def _gauge(base_url: str) -> float:
    text = app.get_text(f"{base_url}/metrics")
    found = [line for line in text.splitlines() if line.startswith("feature_flag_value{")]
    return float(found[0].rpartition(" ")[2]) if found else -1.0
