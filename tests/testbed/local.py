"""The local lane: every part of a cluster as a plain process in this process's own network namespace."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from testbed import addresses, app, diagnostics, kubelet, load, operators, paths, product, snapshot
from testbed.audit import AuditEvent
from testbed.base import ClusterBase
from testbed.cluster import ADMIN, Identity, Program, ServiceAccount
from testbed.controlplane import ControlPlane
from testbed.exporter import LocalExporter
from testbed.gateway import Gateway
from testbed.kubeapi import KubeApi, KubeObject
from testbed.kubeconfig import write_kubeconfig
from testbed.load import Load
from testbed.operators import OperatorProcesses
from testbed.outage import ProcessOutage
from testbed.processes import ManagedProcess, stop_all
from testbed.prometheus import Prometheus, query
from testbed.prometheus_proxy import LocalPrometheusProxy
from testbed.waiting import wait_for

CAUGHT_UP_WITHIN = 90.0
"""Seconds after an outage of the API server: clients of Kubernetes wait up to half a minute between two attempts."""


class LocalCluster(ClusterBase):
    """See `testbed.cluster.Cluster` for what each member promises.

    Start it in a process that has entered a namespace (`testbed.namespace.enter`); everything dies with that process.

    Attributes:
        folder: everything of this cluster: certificates, logs, data, the audit log.
        started_in: seconds until each part was ready.
    """

    lane = "local"
    gateway_url = Gateway.url
    host_address = "127.0.0.1"
    prometheus_url = Prometheus.url
    prometheus_local_url = Prometheus.url

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or paths.fresh_cluster_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started_in: dict[str, float] = {}
        self._plane = ControlPlane(self.folder)
        self._gateway = Gateway(self.folder, self._plane.pki)
        self._prometheus = Prometheus(self.folder, self._plane.pki)
        self._kubelet = kubelet.process(self.folder, self._plane.admin)
        self._others: list[ManagedProcess] = []
        self._numbers = itertools.count(1)
        self._kubeconfigs: dict[Identity, Path] = {ADMIN: self._plane.admin}

    # ---------------------------------------------------------------- life

    def start(self) -> None:
        """Brings everything up from the snapshot (taken first where there is none); returns when all is ready."""
        source = snapshot.ensure()
        begin = time.monotonic()

        def mark(what: str) -> None:
            self.started_in[what] = round(time.monotonic() - begin, 2)

        try:
            snapshot.restore(source, self.folder)
            api = self._plane.start()
            mark("API server")
            self._kubelet.start()
            self._gateway.start(api)
            self._prometheus.start(api)
            self._plane.wait_controllers(api)
            mark("controllers")
            self._wait_kubelet(api)
            mark("kubelet")
            self._prometheus.wait_ready()
            mark("Prometheus")
            self._gateway.wait_ready()
            mark("gateway")
        except BaseException:
            self._stop()
            raise

    def _wait_kubelet(self, api: KubeApi) -> None:
        def registered() -> bool:
            self._kubelet.require_running()
            return bool(api.list("v1", "Node"))

        wait_for("kubelet", registered)

    def close(self) -> None:
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def processes(self) -> Sequence[ManagedProcess]:
        """Every process of the cluster; pods are below the kubelet's."""
        base = [*self._plane.processes, *self._gateway.processes, self._prometheus.process, self._kubelet]
        return [*base, *self._others]

    def _stop(self) -> None:
        # operators and load first, so that their logs do not end in complaints; etcd last
        for group in (self._others, [p for p in self.processes if p is not self._plane.etcd], [self._plane.etcd]):
            stop_all(group, grace=1.0)

    # ---------------------------------------------------------------- backups

    def back_up(self) -> Path:
        """All that the API server has stored, as of now."""
        backup = self.folder / f"backup-{next(self._numbers)}"
        self._plane.back_up(backup)
        return backup

    def put_back(self, backup: Path) -> None:
        """Starts the control plane anew on a backup; what runs goes on running. Returns when all serve again."""
        self._plane.put_back(backup)
        # Both would wait for what is newer than versions that are no more, for minutes where no watch was broken off.
        self._gateway.contour.restart()
        self.prometheus.restart()
        self._gateway.wait_ready()
        self._wait_caught_up()

    # ---------------------------------------------------------------- outages

    @cached_property
    def prometheus(self) -> ProcessOutage:
        return ProcessOutage(self._prometheus.process, self._prometheus.wait_ready)

    @cached_property
    def gateway_controller(self) -> ProcessOutage:
        return ProcessOutage(self._gateway.contour, self._gateway.wait_ready)

    @cached_property
    def apiserver(self) -> ProcessOutage:
        return ProcessOutage(self._plane.apiserver, self._wait_caught_up)

    def _wait_caught_up(self) -> None:
        """Returns when the API server serves and everything that watches it does so again.

        After an outage each watcher asks again in its own, growing intervals: what the next test makes would be seen
        by one of them at once and by another half a minute later.
        """
        self._plane.wait_ready(self.api)
        ns, host = self.namespace("caught-up"), "caught-up.example"
        self.deploy_app(ns, "probe", "v1")
        backend = {"group": "", "kind": "Service", "name": "probe", "port": app.PORT, "weight": 1}
        self.apply(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": "probe", "namespace": ns},
                "spec": {
                    "parentRefs": [self.gateway_parent_ref],
                    "hostnames": [host],
                    "rules": [{"backendRefs": [backend]}],
                },
            }
        )
        wait_for("the gateway to have caught up", lambda: self._gateway.serves(host), timeout=CAUGHT_UP_WITHIN)
        up = f'up{{namespace="{ns}"}} == 1'
        wait_for("Prometheus to have caught up", lambda: query(self.prometheus_url, up), timeout=CAUGHT_UP_WITHIN)
        self.delete("v1", "Namespace", ns)

    # ---------------------------------------------------------------- identities

    def kubeconfig(self, identity: Identity = ADMIN) -> Path:
        known = self._kubeconfigs.get(identity)
        if known is None:
            known = self.folder / "kubeconfig" / f"identity-{len(self._kubeconfigs)}"
            self._write_kubeconfig(known, identity)
            self._kubeconfigs[identity] = known
        return known

    def _write_kubeconfig(self, path: Path, identity: Identity) -> None:
        pki = self._plane.pki
        if isinstance(identity, ServiceAccount):
            token = self.api.token(identity.namespace, identity.name)
            write_kubeconfig(path, server=addresses.API_SERVER_URL, ca=pki.ca, token=token)
            return
        pki.add_client(path.name, identity.name, identity.groups)
        pair = (pki.certificate(path.name), pki.key(path.name))
        write_kubeconfig(path, server=addresses.API_SERVER_URL, ca=pki.ca, certificate=pair)

    # ---------------------------------------------------------------- the application

    def app_image(self, version: str, program: Program = "app") -> str:
        return f"testbed/{program}:{version}"

    def pod_url(self, pod: KubeObject) -> str:
        return f"http://{pod['status']['podIP']}:{app.PORT}"

    def start_load(
        self,
        host: str,
        *,
        path: str = "/",
        rps: float = 50.0,
        n: int | None = None,
        duration: float | None = None,
        concurrency: int = 8,
        header: str = "",
        grpc: bool = False,
    ) -> Load:
        started = load.start(
            self.folder,
            f"load-{next(self._numbers)}",
            self.gateway_url + path,
            host=host,
            rps=rps,
            n=n,
            duration=duration,
            concurrency=concurrency,
            header=header,
            grpc=grpc,
        )
        self._others.append(started.process)
        return started

    def start_exporter(
        self, *, releases: int = 0, namespaces: int = 1, rps: float = 100.0, histogram: bool = False
    ) -> LocalExporter:
        exporter = LocalExporter(self.folder, releases=releases, namespaces=namespaces, rps=rps, histogram=histogram)
        exporter.start()
        self._others.append(exporter.process)
        self._prometheus.add_target(exporter.address)
        return exporter

    def start_prometheus_proxy(self) -> LocalPrometheusProxy:
        proxy = LocalPrometheusProxy(self.folder)
        proxy.start()
        self._others.append(proxy.process)
        return proxy

    # ---------------------------------------------------------------- the operator, and what it did

    @property
    def operator_files(self) -> str:
        return str(self.folder / "operator-files")

    def start_operator(
        self,
        config: Mapping[str, Any],
        *,
        replicas: int = 1,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> OperatorProcesses:
        beside = Path(self.operator_files)
        beside.mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            (beside / name).write_text(text)
        account = product.operator_account(self.product_objects)
        number = next(self._numbers)
        file = self.folder / f"operator-{number}.yaml"
        file.write_text(yaml.safe_dump(dict(config)))
        started = operators.start(
            self.folder,
            [f"operator-{number}-{index}" for index in range(replicas)],
            config=file,
            kubeconfig=self.kubeconfig(account),
            namespace=account.namespace,
            args=args,
            env=env or {},
        )
        self._others += [one.process for one in started.instances]
        return started

    def audit_cursor(self) -> int:
        return self._plane.audit.cursor()

    def audit_events(self, since: int = 0) -> Iterator[AuditEvent]:
        return self._plane.audit.events(since)

    def diagnostics(self, folder: Path) -> None:
        diagnostics.copy_files(self.folder, folder, "log", "load", "audit.jsonl", "prometheus.yml")
        diagnostics.write_objects(KubeApi(self.kubeconfig(), timeout=5), folder / "objects")
