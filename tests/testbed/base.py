"""What is the same on every lane once there is an API server."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from testbed import app, objects, parts, product
from testbed.app import App
from testbed.binaries import binary
from testbed.cluster import ADMIN, Identity, Program
from testbed.kubeapi import ApiError, KubeApi, KubeObject, Patch
from testbed.waiting import wait_for

ROLLOUT_TIMEOUT = 120.0
"""Seconds for a rollout of the test application."""


class ClusterBase:
    """Base of a lane: it says how to reach pods (`pod_url`), who is who (`kubeconfig`), and what its images are."""

    # ---------------------------------------------------------------- what a lane has to say

    def kubeconfig(self, identity: Identity = ADMIN) -> Path:
        raise NotImplementedError

    def app_image(self, version: str, program: Program = "app") -> str:
        raise NotImplementedError

    def pod_url(self, pod: KubeObject) -> str:
        """Where the test process reaches the application in a pod."""
        raise NotImplementedError

    # ---------------------------------------------------------------- identities

    @cached_property
    def api(self) -> KubeApi:
        return self.client()

    def client(self, identity: Identity = ADMIN) -> KubeApi:
        return KubeApi(self.kubeconfig(identity))

    def kubectl(
        self, *args: str, identity: Identity = ADMIN, stdin: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig(identity)), "PATH": self.search_path()}
        command = [str(binary(parts.KUBECTL)), *args]
        return subprocess.run(
            command, env=env, input=stdin, text=True, capture_output=True, timeout=timeout, check=False
        )

    def search_path(self) -> str:
        """PATH with the right kubectl first, then the project's own commands (its kubectl plugin)."""
        return os.pathsep.join(
            [str(binary(parts.KUBECTL).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        )

    # ---------------------------------------------------------------- objects

    @property
    def gateway_parent_ref(self) -> KubeObject:
        return {"name": objects.GATEWAY_NAME, "namespace": objects.GATEWAY_NAMESPACE, "sectionName": objects.LISTENER}

    def create(self, obj: Mapping[str, Any]) -> KubeObject:
        return self.api.create(obj)

    def apply(self, obj: Mapping[str, Any], *, manager: str = "testbed", force: bool = True) -> KubeObject:
        return self.api.apply(obj, manager=manager, force=force)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> KubeObject:
        return self.api.get(api_version, kind, name, namespace)

    def list(self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "") -> list[KubeObject]:
        return self.api.list(api_version, kind, namespace, labels=labels)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Patch,
        *,
        subresource: str = "",
    ) -> KubeObject:
        return self.api.patch(api_version, kind, name, namespace, patch, subresource=subresource)

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        self.api.delete(api_version, kind, name, namespace)

    def namespace(self, prefix: str = "t", labels: Mapping[str, str] | None = None) -> str:
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        meta = {"name": name, "labels": dict(labels or {})}
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})

        def has_account() -> bool:  # pods are refused before
            return bool(self.api.get("v1", "ServiceAccount", "default", name))

        wait_for(f"ServiceAccount of {name}", has_account, expected=(ApiError,), every=0.02)
        return name

    @cached_property
    def product_objects(self) -> Sequence[KubeObject]:
        """What `crds/` and `manifests/` hold."""
        return product.objects()

    def install(self) -> None:
        product.install(self.api, self.product_objects)

    # ---------------------------------------------------------------- the application

    def deploy_app(
        self,
        ns: str,
        name: str,
        version: str,
        replicas: int = 1,
        *,
        error: float = 0.0,
        latency: str = "0s",
        env: Mapping[str, str] | None = None,
        pre_stop_seconds: int = 1,
        wait: bool = True,
    ) -> App:
        deployed = App(ns, name, self.app_image(version), replicas)
        wish = app.deployment(deployed, error=error, latency=latency, env=env, pre_stop_seconds=pre_stop_seconds)
        self.apply(wish)
        self.apply(app.service(deployed))
        if wait:
            self.wait_rolled_out(ns, name)
        return deployed

    def wait_rolled_out(self, ns: str, name: str, timeout: float = ROLLOUT_TIMEOUT) -> None:
        """Returns when the Deployment runs what it says, on all replicas."""

        def done() -> bool:
            return app.rolled_out(self.get("apps/v1", "Deployment", name, ns))

        wait_for(f"rollout of {ns}/{name}", done, timeout=timeout)

    def set_app(
        self,
        ns: str,
        selector: str,
        *,
        error: float | None = None,
        drift: float | None = None,
        latency: str | None = None,
        leak: int | None = None,
        ready: bool | None = None,
        crash: bool | None = None,
    ) -> int:
        pods = [pod for pod in self.list("v1", "Pod", ns, labels=selector) if _runs(pod)]
        for pod in pods:
            app.switch(
                self.pod_url(pod), error=error, drift=drift, latency=latency, leak=leak, ready=ready, crash=crash
            )
        return len(pods)


def _runs(pod: KubeObject) -> bool:
    return pod.get("status", {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
