"""etcd, kube-apiserver and kube-controller-manager as processes."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from testbed import addresses, audit, parts
from testbed.audit import AuditLog
from testbed.binaries import binary
from testbed.kubeapi import ApiError, KubeApi
from testbed.kubeconfig import write_kubeconfig
from testbed.namespace import SERVICE_NETWORK
from testbed.pki import Pki
from testbed.processes import ManagedProcess, stop_all
from testbed.waiting import wait_for

CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "endpoints-controller",  # the API server's proxy to Services reads nothing else
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
)
START_TIMEOUT = 120.0
"""Seconds a busy machine may take to bring the API server up."""


class ControlPlane:
    """One API server with its store and its controllers, in `folder`.

    Attributes:
        admin: kubeconfig of a member of system:masters.
        audit: the API server's audit log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = Pki(folder / "pki")
        self.audit = AuditLog(folder / "audit.jsonl")
        self.admin = folder / "kubeconfig" / "admin"
        self.etcd_data = folder / "etcd"
        self.etcd = self._etcd()
        self.apiserver = self._apiserver()
        self.controller_manager = self._controller_manager()

    @property
    def processes(self) -> list[ManagedProcess]:
        return [self.etcd, self.apiserver, self.controller_manager]

    def start(self) -> KubeApi:
        """Starts all three and returns the admin's client once the API server is ready."""
        if not self.pki.folder.exists():
            self.pki.create()
        for stem in ("admin", "controller-manager"):
            write_kubeconfig(
                self.folder / "kubeconfig" / stem,
                server=addresses.API_SERVER_URL,
                ca=self.pki.ca,
                certificate=(self.pki.certificate(stem), self.pki.key(stem)),
            )
        audit.write_policy(self.folder / "audit-policy.yaml")
        self.etcd.start()
        wait_for("etcd", self._etcd_accepts, timeout=START_TIMEOUT, every=0.01, expected=(OSError,))
        self.apiserver.start()
        api = KubeApi(self.admin)
        self.wait_ready(api)
        self.controller_manager.start()
        return api

    def wait_ready(self, api: KubeApi, timeout: float = START_TIMEOUT) -> None:
        """Returns when the API server is ready; raises as soon as its process has ended."""

        def ready() -> bool:
            self.apiserver.require_running()
            return api.ready()

        wait_for("kube-apiserver ready", ready, timeout=timeout, every=0.03)

    def wait_controllers(self, api: KubeApi) -> None:
        """Returns when the controllers have given the default namespace its ServiceAccount."""

        def served() -> bool:
            self.controller_manager.require_running()
            return bool(api.get("v1", "ServiceAccount", "default", "default"))

        wait_for("controllers", served, timeout=START_TIMEOUT, expected=(ApiError,))

    def stop(self) -> None:
        """Ends controllers and API server before their store, so that the store is whole."""
        stop_all([self.controller_manager, self.apiserver], grace=5)
        self.etcd.stop(grace=5)

    def back_up(self, destination: Path) -> None:
        """Copies the store as a power cut would leave it: it stands still while it is copied."""
        self.etcd.freeze()
        try:
            shutil.copytree(self.etcd_data, destination)
        finally:
            self.etcd.thaw()

    def put_back(self, backup: Path) -> KubeApi:
        """Starts all three on the store of a backup, as `start` does."""
        self.stop()
        shutil.rmtree(self.etcd_data)
        shutil.copytree(backup, self.etcd_data)
        return self.start()

    def _etcd_accepts(self) -> bool:
        self.etcd.require_running()
        # The API server must not meet a closed port: its gRPC client would back off for a second.
        socket.create_connection(("127.0.0.1", addresses.ETCD_PORT), timeout=1).close()
        return True

    def _etcd(self) -> ManagedProcess:
        client, peer = f"http://127.0.0.1:{addresses.ETCD_PORT}", "http://127.0.0.1:2380"
        flags: dict[str, str | Path] = {
            "name": "testbed",
            "data-dir": self.etcd_data,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"testbed={peer}",
            "unsafe-no-fsync": "true",  # a test cluster survives no power cut
            "heartbeat-interval": "20",
            "election-timeout": "100",
            "log-level": "warn",
        }
        return ManagedProcess("etcd", [binary(parts.ETCD), *_flags(flags)], self.folder)

    def _apiserver(self) -> ManagedProcess:
        pki = self.pki
        flags: dict[str, str | Path] = {
            "etcd-servers": f"http://127.0.0.1:{addresses.ETCD_PORT}",
            "bind-address": "0.0.0.0",
            "advertise-address": addresses.NODE,
            "secure-port": "6443",
            "tls-cert-file": pki.certificate("apiserver"),
            "tls-private-key-file": pki.key("apiserver"),
            "client-ca-file": pki.ca,
            "service-account-key-file": pki.folder / "service-account.pub",
            "service-account-signing-key-file": pki.key("service-account"),
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-cluster-ip-range": SERVICE_NETWORK,
            "authorization-mode": "RBAC",
            "endpoint-reconciler-type": "none",
            "enable-priority-and-fairness": "false",
            "allow-privileged": "true",
            "profiling": "false",
            "audit-policy-file": self.folder / "audit-policy.yaml",
            "audit-log-path": self.audit.path,
            "audit-log-format": "json",
            "audit-log-mode": "blocking",  # an answer a test has seen is in the log
            "audit-log-maxsize": "100000",
            "v": "1",
        }
        return ManagedProcess("kube-apiserver", [binary(parts.KUBE_APISERVER), *_flags(flags)], self.folder)

    def _controller_manager(self) -> ManagedProcess:
        kubeconfig = self.folder / "kubeconfig" / "controller-manager"
        flags: dict[str, str | Path] = {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "client-ca-file": self.pki.ca,
            "root-ca-file": self.pki.ca,
            "bind-address": "127.0.0.1",
            "leader-elect": "false",
            "controllers": ",".join(CONTROLLERS),
            "use-service-account-credentials": "true",
            "profiling": "false",
            "min-resync-period": "24h",
            "endpointslice-updates-batch-period": "0s",
            "kube-api-qps": "500",
            "kube-api-burst": "1000",
            "v": "1",
        }
        command: list[str | Path] = [binary(parts.KUBE_CONTROLLER_MANAGER), *_flags(flags)]
        return ManagedProcess("kube-controller-manager", command, self.folder)


def _flags(values: dict[str, str | Path]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
