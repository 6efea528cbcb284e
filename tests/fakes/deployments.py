"""Deployments of managed workloads in memory, whose pods follow at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from fakes.cluster import FakeCluster, ProcessDiedError
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.deployed import Deployed, ManagedWorkload
from sparkrelease.decide.facts import Side
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment, SelectPods, WorkloadStep
from sparkrelease.ports.deployments import Owner, both

_NO = Problem(Reason.FORBIDDEN, "403")


@dataclass
class FakeDeployment:
    """A Deployment as the API server holds it."""

    template: str
    replicas: int = 2
    copied: str = ""
    version: int = 1


@dataclass
class DeploymentStore:
    """What outlives an operator process: Deployments by name, and which Service shows the pods of which."""

    cluster: FakeCluster
    namespace: str
    services: dict[str, str]
    found: dict[str, FakeDeployment] = field(default_factory=dict)

    def write(self, name: str, deployment: FakeDeployment) -> None:
        """Stores it; its pods are there at once, and watches tell of both."""
        before = self.found.get(name)
        deployment.version = before.version + 1 if before is not None else 1
        self.found[name] = deployment
        meta = {"namespace": self.namespace, "name": name, "resourceVersion": self.cluster.bump()}
        self.cluster.watch.append(("Deployment", "MODIFIED", {"metadata": meta}))
        service = self.services[name]
        prints = frozenset({deployment.template}) if deployment.replicas else frozenset()
        self.cluster.sides[self.namespace, service] = Side(
            exists=True, ready=deployment.replicas, fingerprints=frozenset(prints)
        )
        self.cluster.show_slice(self.namespace, service)


class FakeDeployments:
    """Deployments on a store; without one, of a cluster in which nothing is managed."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def _store(self) -> DeploymentStore:
        store = self._cluster.deployments
        assert isinstance(store, DeploymentStore)
        return store

    async def look(self, owner: Owner) -> ManagedWorkload:
        if self._cluster.dead:
            raise ProcessDiedError("look")
        candidate, stable = (self._deployed(name) for name in both(owner.deployment))
        return ManagedWorkload(candidate, stable)

    def _deployed(self, name: str) -> Deployed:
        there = self._store().found.get(name)
        if there is None:
            return Deployed(name)
        return Deployed(
            name, True, str(there.version), there.template, there.copied, there.replicas, there.replicas > 0
        )

    async def carry_out(self, owner: Owner, step: WorkloadStep) -> Problem | None:
        call = self._cluster.begin("workload", step)
        if self._cluster.failed(call):
            return _NO
        problem = self._write(step)
        return _NO if self._cluster.end(call) and problem is None else problem

    def _write(self, step: WorkloadStep) -> Problem | None:
        found = self._store().found
        changed = Problem(Reason.OBJECT_CHANGED, "409")
        match step:
            case CopyTemplate():
                candidate, there = found[step.deployment], found.get(step.copy)
                version = str(there.version) if there is not None else ""
                if candidate.template != step.template or version != step.copy_version:
                    return changed
                size = step.replicas if step.replicas is not None else candidate.replicas
                self._store().write(step.copy, FakeDeployment(step.template, size, step.template))
            case ScaleDeployment():
                there = found[step.deployment]
                if str(there.version) != step.version:
                    return changed
                self._store().write(step.deployment, FakeDeployment(there.template, step.replicas, there.copied))
            case SelectPods():
                raise AssertionError("Services fit")
        return None
