"""The operator in pods: its Deployment from `manifests/`, once per instance, so that each can be killed alone."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import urllib3

from testbed.kindlane.outage import Workload
from testbed.kubeapi import ApiError, KubeObject

LABEL = "app.kubernetes.io/name"
MARK = {"testbed": "operator"}
"""Label of what a run leaves behind when it is killed."""

CONFIG_FOLDER = "/etc/sparkrelease"
"""Where the Deployment of `manifests/` mounts the ConfigMap with the configuration, and what else is in it."""


@dataclass
class OperatorPod:
    """One instance; see `testbed.cluster.OperatorInstance`."""

    identity: str
    workload: Workload
    read_log: Callable[[str, str], str]
    earlier: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.workload.running

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._keep_log()
        if number is signal.SIGKILL:
            self.workload.kill()
        else:
            self.workload.stop()

    def freeze(self) -> None:
        self.workload.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.workload.signal(signal.SIGCONT)

    def restart(self) -> None:
        self.kill()
        self.workload.start()

    def stop(self) -> None:
        self._keep_log()
        self.workload.stop()

    def log(self) -> str:
        return "\n".join([*self.earlier, *self._logs()])

    def _keep_log(self) -> None:
        self.earlier += self._logs()

    def _logs(self) -> list[str]:
        try:
            pods = self.workload.pods()
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            return [f"(no log: {error})"]
        return [self.read_log(self.workload.namespace, pod["metadata"]["name"]) for pod in pods]


@dataclass(frozen=True)
class OperatorPods:
    """All instances of one operator; see `testbed.cluster.Operator`."""

    instances: Sequence[OperatorPod]

    @property
    def identity(self) -> str:
        return ",".join(one.identity for one in self.instances)

    @property
    def running(self) -> bool:
        return all(one.running for one in self.instances)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        for one in self.instances:
            one.kill(number)

    def freeze(self) -> None:
        for one in self.instances:
            one.freeze()

    def thaw(self) -> None:
        for one in self.instances:
            one.thaw()

    def restart(self) -> None:
        for one in self.instances:
            one.restart()

    def stop(self) -> None:
        for one in self.instances:
            one.stop()

    def log(self) -> str:
        return "\n".join(f"==== {one.identity}\n{one.log()}" for one in self.instances)


def deployment(
    shipped: KubeObject, name: str, image: str, *, args: Sequence[str], env: Mapping[str, str]
) -> KubeObject:
    """The Deployment of `manifests/` as one instance with a name, an image and a configuration of its own."""
    wish = copy.deepcopy(shipped)
    labels = {**wish["metadata"]["labels"], LABEL: name, **MARK}
    wish["metadata"] |= {"name": name, "labels": labels}
    wish["spec"] |= {"replicas": 1, "selector": {"matchLabels": {LABEL: name}}, "strategy": {"type": "Recreate"}}
    template = wish["spec"]["template"]
    template["metadata"]["labels"] = labels
    pod = template["spec"]
    pod.pop("topologySpreadConstraints", None)
    (config,) = (volume for volume in pod["volumes"] if volume["name"] == "config")
    config["configMap"]["name"] = name
    (container,) = pod["containers"]
    container["image"] = image
    container["args"] = [*container.get("args", []), *args]
    given = {"POD_NAME": name, **env}  # what it calls itself stays the same over its pods
    kept = [one for one in container["env"] if one["name"] not in given]
    container["env"] = [*kept, *({"name": key, "value": value} for key, value in given.items())]
    container["livenessProbe"]["failureThreshold"] = 60  # a test that freezes it also thaws it
    return wish
