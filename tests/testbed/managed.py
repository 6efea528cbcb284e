"""A shop whose workload the operator keeps: one Deployment in Git, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed import app
from testbed.app import App
from testbed.audit import AuditEvent
from testbed.objects import load_objects
from testbed.paths import PROJECT
from testbed.shop import GIT, Shop

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

DEPLOYMENT = "apps/v1"


def let_it_keep_workloads(cluster: Cluster) -> None:
    """What the administrator adds to the installation for releases with spec.workload."""
    for obj in load_objects(PROJECT / "manifests" / "components" / "managed-workload" / "rbac.yaml"):
        cluster.apply(obj)


@dataclass
class ManagedShop(Shop):
    """One Deployment called as the shop; the copy and both Services are the operator's."""

    def push(
        self,
        version: str,
        *,
        error: float = 0.0,
        replicas: int | None = None,
        env: dict[str, str] | None = None,
        **spec: object,
    ) -> None:
        """What a team's sync does: the Deployment and the version, together. Git says no replicas; somebody scales."""
        deployed = App(self.namespace, self.name, self.cluster.app_image(version), 1)
        wish = app.deployment(deployed, error=error, env=env)
        del wish["spec"]["replicas"]
        self.cluster.apply(wish, manager=GIT)
        if replicas is not None:
            self.scale(self.name, replicas)
        self.release(version, **spec)

    def manifest(self, version: str, **spec: object) -> KubeObject:
        """The release, with its workload."""
        return super().manifest(version, workload={"deployment": self.name}, **spec)

    def begin(self, version: str = "v1", replicas: int = 2) -> None:
        """The first release ever: the Deployment, the release and the route; returns when all of it serves."""
        let_it_keep_workloads(self.cluster)
        self.push(version, replicas=replicas)
        self.until_condition("Ready", reason="NothingToRelease", timeout=90)
        self.wait_serving()

    def deployment(self, name: str) -> KubeObject:
        """A Deployment as stored."""
        return self.cluster.get(DEPLOYMENT, "Deployment", name, self.namespace)

    def scale(self, name: str, replicas: int) -> None:
        """What `kubectl scale` does."""
        wish = {"spec": {"replicas": replicas}}
        self.cluster.patch(DEPLOYMENT, "Deployment", name, self.namespace, wish, subresource="scale")

    def replicas(self, name: str) -> int:
        """How many it is to have."""
        return int(self.deployment(name)["spec"]["replicas"])

    def image(self, name: str) -> str:
        """What it runs."""
        return str(self.deployment(name)["spec"]["template"]["spec"]["containers"][0]["image"])

    def writes(self, since: int, name: str) -> Iterator[AuditEvent]:
        """Every write to a Deployment, but to its status, after a cursor of the audit log."""
        for event in self.cluster.audit_events(since):
            about = (event.resource, event.namespace, event.name)
            done = event.writes and event.code < 300 and event.subresource != "status"
            if about == ("deployments", self.namespace, name) and done:
                yield event


def written(event: AuditEvent) -> dict[str, Any]:
    """The spec that came of a write."""
    found: dict[str, Any] = (event.response or {}).get("spec", {})
    return found
