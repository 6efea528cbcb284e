"""Pods as processes: what a kubelet does for the test application, on each pod's own address, without containers.

Runs as `python -m testbed.kubelet KUBECONFIG APP FOLDER`. It binds every pending pod to one Node, starts its
containers, probes them, restarts dead ones, reports status as a kubelet would, honours preStop sleeps and grace
periods, and answers ImagePullBackOff for any image but the test application's. It is level-triggered: an API server
that goes away and comes back finds it going on.

Left out: init containers, volumes other than ConfigMaps, liveness and startup probes, exec, resources.
"""

from __future__ import annotations

import ipaddress
import logging
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3

from testbed import addresses, parts, podlogs
from testbed.binaries import binary
from testbed.container import Container, timestamp
from testbed.kubeapi import ApiError, KubeApi, KubeObject
from testbed.namespace import POD_NETWORK
from testbed.paths import python_environment
from testbed.processes import ManagedProcess
from testbed.volumes import ConfigMapVolumes

NODE = "testbed-node"
STEP = 0.05
"""Seconds between two looks at every pod."""
RETRY = 0.2
"""Seconds before a refused or lost request is sent again."""
STALE = (404, 409, 422)
"""Answers about a pod that is gone, or is another one of the same name."""

log = logging.getLogger("kubelet")


class LocalPod:
    """One pod: its containers, what was last reported of it, and its way out."""

    def __init__(self, obj: KubeObject, address: str, app: Path, folder: Path, volumes: ConfigMapVolumes) -> None:
        self.meta = obj["metadata"]
        self.address = address
        self.started_at = timestamp()
        self.containers = [
            Container.create(app, folder, obj, spec, address, mounts=volumes.mounts(obj, spec))
            for spec in obj["spec"]["containers"]
        ]
        self.needs_binding = not obj["spec"].get("nodeName")
        self.changed = True
        self.request: Future[bool] | None = None
        self.conditions: dict[str, tuple[bool, str]] = {}
        self._ending: Iterator[bool] | None = None

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.meta['namespace']}/pods/{self.meta['name']}"

    @property
    def ending(self) -> bool:
        return self._ending is not None

    def end(self, obj: KubeObject) -> None:
        """Begins the way out; `step` follows it."""
        if self._ending is None:
            self._ending = self._way_out(obj)

    def step(self, now: float) -> bool:
        """Moves every container on; True once the pod has ended."""
        if self._ending is not None:
            return next(self._ending, True)
        for container in self.containers:
            self.changed |= container.step(now)
        return False

    def kill(self) -> None:
        for container in self.containers:
            if container.process:
                container.process.kill()

    def status(self) -> KubeObject:
        ready = all(c.ready for c in self.containers)
        return {
            "phase": self._phase(),
            "hostIP": addresses.NODE,
            "hostIPs": [{"ip": addresses.NODE}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self.started_at,
            "conditions": [
                self._condition("PodScheduled", True),
                self._condition("Initialized", True),
                self._condition("ContainersReady", ready),
                self._condition("Ready", ready),
            ],
            "containerStatuses": [c.status() for c in self.containers],
        }

    def _phase(self) -> str:
        if all(c.ended for c in self.containers):
            return "Failed" if any(c.ended["exitCode"] for c in self.containers) else "Succeeded"
        return "Pending" if any(c.waiting and not c.started_at for c in self.containers) else "Running"

    def _condition(self, kind: str, value: bool) -> KubeObject:
        known, since = self.conditions.get(kind, (None, ""))
        if known is not value:
            since = timestamp()
            self.conditions[kind] = (value, since)
        return {"type": kind, "status": str(value), "lastTransitionTime": since}

    def _way_out(self, obj: KubeObject) -> Iterator[bool]:
        begin = time.monotonic()
        grace = float(obj["metadata"].get("deletionGracePeriodSeconds", 30))
        sleeps = [_pre_stop_seconds(spec) for spec in obj["spec"]["containers"]]
        while time.monotonic() < begin + min(max(sleeps), grace):
            yield False
        for container in self.containers:
            if container.process:
                container.process.send(signal.SIGTERM)
        while any(c.running for c in self.containers) and time.monotonic() < begin + max(grace, 0.1):
            yield False
        self.kill()


class Kubelet:
    """Runs every pod of the cluster."""

    def __init__(self, api: KubeApi, app: Path, folder: Path) -> None:
        self.api = api
        self.app = app
        self.folder = folder
        self.pods: dict[str, LocalPod] = {}
        self._volumes = ConfigMapVolumes(api, folder)
        self._events: queue.SimpleQueue[tuple[str, KubeObject]] = queue.SimpleQueue()
        self._requests = ThreadPoolExecutor(max_workers=8, thread_name_prefix="request")
        first = int(ipaddress.ip_address(addresses.FIRST_POD))
        last = int(ipaddress.ip_network(POD_NETWORK).broadcast_address)
        self._addresses = (str(ipaddress.ip_address(number)) for number in range(first, last))

    def run(self) -> None:
        """Never returns."""
        threading.Thread(target=self._watch, daemon=True).start()
        podlogs.serve(self.folder)
        while True:
            deadline = time.monotonic() + STEP
            while (left := deadline - time.monotonic()) > 0:
                try:
                    self._see(*self._events.get(timeout=left))
                except queue.Empty:
                    break
            for uid, pod in list(self.pods.items()):
                self._step(uid, pod)

    def _step(self, uid: str, pod: LocalPod) -> None:
        ended = pod.step(time.monotonic())
        if pod.request is not None:
            if not pod.request.done():
                return
            answered = pod.request.result()
            pod.request = None
            if ended and answered:
                del self.pods[uid]
                return
            pod.changed |= not answered
        if ended:
            pod.request = self._requests.submit(self._delete, pod)
        elif pod.changed and not pod.ending:
            pod.changed = False
            pod.request = self._requests.submit(self._report, pod, pod.status())

    def _see(self, event: str, obj: KubeObject) -> None:
        if event == "LISTED":
            present = {item["metadata"]["uid"] for item in obj["items"]}
            for uid in self.pods.keys() - present:
                self.pods.pop(uid).kill()
            return
        uid = obj["metadata"]["uid"]
        pod = self.pods.get(uid)
        if event == "DELETED":
            if pod is not None:
                self.pods.pop(uid).kill()
            return
        if pod is None:
            pod = self.pods[uid] = LocalPod(obj, next(self._addresses), self.app, self.folder, self._volumes)
        if obj["metadata"].get("deletionTimestamp"):
            pod.end(obj)

    # ---------------------------------------------------------------- requests, in their own threads

    def _report(self, pod: LocalPod, status: KubeObject) -> bool:
        """True when the API server has the status, or has the pod no more."""
        if pod.needs_binding:
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.meta["name"]}, "target": target}
            pod.needs_binding = not self._try("POST", f"{pod.path}/binding", binding)
        body = {"metadata": {"uid": pod.meta["uid"]}, "status": status}
        return self._try("PATCH", f"{pod.path}/status", body, content_type="application/merge-patch+json")

    def _delete(self, pod: LocalPod) -> bool:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.meta["uid"]}}
        return self._try("DELETE", pod.path, options)

    def _try(self, method: str, path: str, body: object, content_type: str = "application/json") -> bool:
        try:
            self.api.request(method, path, body, content_type=content_type)
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            log.warning("%s %s: %s", method, path, error)
            if isinstance(error, ApiError) and error.code in STALE:
                return True
            time.sleep(RETRY)
            return False
        return True

    def _watch(self) -> None:
        version = ""
        while True:
            try:
                if not version:
                    self._register_node()
                    version = self._list()
                for event, obj in self.api.watch("/api/v1/pods", version):
                    if event == "ERROR":
                        version = ""
                        break
                    version = obj["metadata"]["resourceVersion"]
                    if event != "BOOKMARK":
                        self._events.put((event, obj))
            except (ApiError, urllib3.exceptions.HTTPError) as error:
                log.warning("watch: %s", error)
                version = ""
                time.sleep(RETRY)

    def _list(self) -> str:
        pods = self.api.request("GET", "/api/v1/pods")
        self._events.put(("LISTED", pods))
        for item in pods["items"]:
            self._events.put(("ADDED", item))
        return str(pods["metadata"]["resourceVersion"])

    def _register_node(self) -> None:
        self.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        room = {"pods": "10000", "cpu": "64", "memory": "64Gi"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": timestamp()}
        status = {
            "conditions": [ready],
            "nodeInfo": {"kubeletVersion": f"v{parts.KUBERNETES_VERSION}-testbed"},
            "addresses": [{"type": "InternalIP", "address": addresses.NODE}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": podlogs.PORT}},
            "capacity": room,
            "allocatable": room,
        }
        self.api.patch("v1", "Node", NODE, None, {"status": status}, subresource="status")


def process(folder: Path, kubeconfig: Path) -> ManagedProcess:
    """The kubelet as a process of a cluster in `folder`."""
    command: list[str | Path] = [sys.executable, "-m", "testbed.kubelet", kubeconfig, binary(parts.APP), folder]
    return ManagedProcess("kubelet", command, folder, python_environment())


def _pre_stop_seconds(spec: Mapping[str, Any]) -> float:
    return float(spec.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))


def main() -> None:
    kubeconfig, app, folder = (Path(word) for word in sys.argv[1:4])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Kubelet(KubeApi(kubeconfig, user_agent="testbed-kubelet"), app, folder).run()


if __name__ == "__main__":
    main()
