"""Outages of what runs in pods, and of the API server itself, ended only when it works again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from testbed.kindlane.node import Node
from testbed.kubeapi import KubeApi, KubeObject
from testbed.waiting import wait_for

ROLLOUT = 120.0
"""Seconds until a pod that was asked for is there, or one that was sent away is gone."""

_API_SERVER = "kube-apiserver"
_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_ASIDE = "/etc/kubernetes/kube-apiserver.yaml"


@dataclass(frozen=True)
class Workload:
    """A Deployment of one pod, found by the label `label`, whose pod can be frozen and killed."""

    api: KubeApi
    node: Node
    namespace: str
    name: str
    label: str = "app"

    def pods(self) -> list[KubeObject]:
        """Its pods, those that are on their way out too."""
        return self.api.list("v1", "Pod", self.namespace, labels=f"{self.label}={self.name}")

    @property
    def running(self) -> bool:
        """Whether its container runs."""
        return any(_container_runs(pod) for pod in self.pods())

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to its processes."""
        for pod in self.pods():
            self.node.signal(number, self.node.pids(pod))

    def scale(self, replicas: int) -> None:
        """Asks for no pod or for one."""
        self.api.patch("apps/v1", "Deployment", self.name, self.namespace, {"spec": {"replicas": replicas}})

    def stop(self) -> None:
        """Ends it as Kubernetes does, and returns when it is gone."""
        self.scale(0)
        self.signal(signal.SIGCONT)
        wait_for(f"end of {self.name}", lambda: not self.pods(), timeout=ROLLOUT, every=0.2)

    def kill(self) -> None:
        """Ends it without a chance to clean up, and returns when it is gone; it is not started again."""
        pods = self.pods()
        pids = [pid for pod in pods for pid in self.node.pids(pod)]
        self.node.signal(signal.SIGSTOP, pids)  # it does nothing more from here on
        self.scale(0)
        for pod in pods:
            self.api.delete("v1", "Pod", pod["metadata"]["name"], self.namespace, grace=0)
        self.node.signal(signal.SIGKILL, pids)
        wait_for(f"end of {self.name}", lambda: not self.pods(), timeout=ROLLOUT, every=0.2)

    def start(self) -> None:
        """Starts it when it does not run; returns when its container runs."""
        self.scale(1)
        wait_for(f"{self.namespace}/{self.name} runs", lambda: self.running, timeout=ROLLOUT, every=0.2)


@dataclass(frozen=True)
class PodOutage:
    """See `testbed.cluster.Outage`; `wait_ready` returns when it serves again."""

    workload: Workload
    wait_ready: Callable[[], None]

    def pause(self) -> None:
        self.workload.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.workload.signal(signal.SIGCONT)

    def stop(self) -> None:
        self.workload.stop()

    def start(self) -> None:
        self.workload.start()
        self.wait_ready()

    def restart(self) -> None:
        self.workload.kill()
        self.start()


@dataclass(frozen=True)
class ApiServerOutage:
    """See `testbed.cluster.Outage`: the kubelet keeps the API server by a file, which is taken away and put back."""

    node: Node
    wait_ready: Callable[[], None]

    def pause(self) -> None:
        self.node.signal(signal.SIGSTOP, self.node.named(_API_SERVER))

    def resume(self) -> None:
        self.node.signal(signal.SIGCONT, self.node.named(_API_SERVER))

    def stop(self) -> None:
        self.node.run("sh", "-c", f"test ! -e {_MANIFEST} || mv {_MANIFEST} {_ASIDE}")

        def gone() -> bool:
            pids = self.node.named(_API_SERVER)
            self.node.signal(signal.SIGKILL, pids)
            return not pids

        wait_for("end of the API server", gone, timeout=ROLLOUT, every=0.5)

    def start(self) -> None:
        self.node.run("sh", "-c", f"test -e {_MANIFEST} || mv {_ASIDE} {_MANIFEST}")
        self.wait_ready()

    def restart(self) -> None:
        self.node.signal(signal.SIGKILL, self.node.named(_API_SERVER))
        self.wait_ready()


def _container_runs(pod: KubeObject) -> bool:
    states = [one.get("state", {}) for one in pod.get("status", {}).get("containerStatuses", [])]
    return bool(states) and all("running" in state for state in states) and not pod["metadata"].get("deletionTimestamp")
