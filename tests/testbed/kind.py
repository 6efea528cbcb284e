"""The kind lane: a real kubelet and real containers, everything in pods; the operator as users install it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import urllib3
import yaml

from testbed import app, binaries, diagnostics, load, objects, parts, paths, product
from testbed.audit import AuditEvent
from testbed.base import ClusterBase
from testbed.cluster import ADMIN, Identity, Program, ServiceAccount
from testbed.kindlane import monitoring, operators, switchable
from testbed.kindlane.host import Host, address_towards, require
from testbed.kindlane.images import Images
from testbed.kindlane.node import Node, kind_config
from testbed.kindlane.operators import OperatorPod, OperatorPods
from testbed.kindlane.outage import ROLLOUT, ApiServerOutage, PodOutage, Workload
from testbed.kindlane.switchable import PodExporter, PodPrometheusProxy
from testbed.kubeapi import ApiError, KubeApi, KubeObject
from testbed.kubeconfig import write_kubeconfig
from testbed.load import Load
from testbed.pki import Pki
from testbed.processes import ManagedProcess, stop_all
from testbed.prometheus import query
from testbed.waiting import wait_for

_NEEDED = (parts.APP, parts.KUBECTL)
"""Programs of the test process itself; the cluster's are in images."""

_UNREACHABLE = (urllib3.exceptions.HTTPError, ApiError)


class KindCluster(ClusterBase):
    """See `testbed.cluster.Cluster` for what each member promises. It is ready when it is constructed.

    Raises:
        KindError: no Docker, no kind, or one of their commands failed.
    """

    lane = "kind"
    prometheus_url = f"http://prometheus.{objects.MONITORING_NAMESPACE}.svc:9090"
    operator_files = operators.CONFIG_FOLDER

    def __init__(self) -> None:
        require()
        self.folder = paths.fresh_cluster_folder()
        self._host = Host(self.folder)
        self._node = Node(self._host)
        self._images = Images(self._host)
        self._pki = Pki(self.folder / "pki")
        self._numbers = itertools.count(1)
        self._kubeconfigs: dict[Identity, Path] = {}
        self._processes: list[ManagedProcess] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # ---------------------------------------------------------------- life

    def _start(self) -> None:
        binaries.build(of=_NEEDED)
        self._host.create(kind_config())
        self._server = self._host.kubeconfig()["clusters"][0]["cluster"]["server"]
        self._address = self._host.address()
        self._node.copy_authority(self._pki.folder)
        self._node.begin_audit()
        self._images.bring()
        objects.install(self.api)
        for obj in self._images.fill_in(monitoring.third_parties()):
            self.api.apply(obj)
        self._remove_leftovers()
        self._start_proxy()
        for name in ("contour", "envoy"):
            self.wait_rolled_out(objects.GATEWAY_NAMESPACE, name)
        self._wait_prometheus()
        self._wait_gateway()

    def _remove_leftovers(self) -> None:
        """Operators of a run that was killed would write beside ours."""
        labels = ",".join(f"{key}={value}" for key, value in operators.MARK.items())
        for obj in self.api.list("apps/v1", "Deployment", labels=labels):
            self.api.delete("apps/v1", "Deployment", obj["metadata"]["name"], obj["metadata"]["namespace"])

    def _start_proxy(self) -> None:
        """`kubectl proxy`: how the test process reaches pods, whose addresses exist on the node alone."""
        command: list[str | Path] = [binaries.binary(parts.KUBECTL), "proxy", "--port=0"]
        command += ["--kubeconfig", self.kubeconfig()]
        # What it refuses by itself is any path with `/exec` after `/pods/`, a pod's own `/health/executor` too.
        command += ["--reject-paths=/pods/[^/]+/(exec|attach)$"]
        proxy = ManagedProcess("kubectl-proxy", command, self.folder)
        proxy.start()
        self._processes.append(proxy)

        def address() -> str:
            proxy.require_running()
            return proxy.log().partition("Starting to serve on ")[2].strip()

        self._proxy = wait_for("kubectl proxy", address)

    def close(self) -> None:
        stop_all(self._processes, grace=1.0)
        self._host.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---------------------------------------------------------------- addresses and outages

    @property
    def gateway_url(self) -> str:
        return f"http://{self._address}:{monitoring.GATEWAY_PORT}"

    @property
    def prometheus_local_url(self) -> str:
        return f"http://{self._address}:{monitoring.PROMETHEUS_PORT}"

    @cached_property
    def host_address(self) -> str:
        return address_towards(self._address)

    @cached_property
    def prometheus(self) -> PodOutage:
        return PodOutage(self._workload(objects.MONITORING_NAMESPACE, "prometheus"), self._wait_prometheus)

    @cached_property
    def gateway_controller(self) -> PodOutage:
        return PodOutage(self._workload(objects.GATEWAY_NAMESPACE, "contour"), self._wait_gateway)

    @cached_property
    def apiserver(self) -> ApiServerOutage:
        return ApiServerOutage(self._node, self._wait_apiserver)

    def _workload(self, namespace: str, name: str, label: str = "app") -> Workload:
        return Workload(self.api, self._node, namespace, name, label)

    def _wait_apiserver(self) -> None:
        wait_for("API server", self.api.ready, timeout=ROLLOUT, every=0.2)

    def _wait_prometheus(self) -> None:
        def ready() -> bool:
            url = f"{self.prometheus_local_url}/-/ready"
            return urllib3.request("GET", url, timeout=2, retries=False).status == 200

        wait_for("Prometheus ready", ready, timeout=ROLLOUT, every=0.2, expected=_UNREACHABLE)

    def _wait_gateway(self) -> None:
        def serves() -> bool:
            headers = {"Host": objects.READY_HOST}
            answer = urllib3.request("GET", self.gateway_url, headers=headers, timeout=2, retries=False, redirect=False)
            return answer.status == 302

        wait_for("gateway", serves, timeout=ROLLOUT, every=0.2, expected=_UNREACHABLE)

    # ---------------------------------------------------------------- identities

    def kubeconfig(self, identity: Identity = ADMIN) -> Path:
        known = self._kubeconfigs.get(identity)
        if known is None:
            known = self.folder / "kubeconfig" / f"identity-{len(self._kubeconfigs)}"
            self._write_kubeconfig(known, identity)
            self._kubeconfigs[identity] = known
        return known

    def _write_kubeconfig(self, path: Path, identity: Identity) -> None:
        if isinstance(identity, ServiceAccount):
            token = self.api.token(identity.namespace, identity.name)
            write_kubeconfig(path, server=self._server, ca=self._pki.ca, token=token)
            return
        self._pki.add_client(path.name, identity.name, identity.groups)
        pair = (self._pki.certificate(path.name), self._pki.key(path.name))
        write_kubeconfig(path, server=self._server, ca=self._pki.ca, certificate=pair)

    # ---------------------------------------------------------------- the application

    def app_image(self, version: str, program: Program = "app") -> str:
        return self._images.app(version, program)

    def pod_url(self, pod: KubeObject) -> str:
        return self._pod_url(pod["metadata"]["namespace"], pod["metadata"]["name"], app.PORT)

    def _pod_url(self, namespace: str, pod: str, port: int) -> str:
        return f"http://{self._proxy}/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy"

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
        self._processes.append(started.process)
        return started

    def start_exporter(
        self, *, releases: int = 0, namespaces: int = 1, rps: float = 100.0, histogram: bool = False
    ) -> PodExporter:
        args = ["synthetic", "-addr", f":{switchable.PORT}", "-releases", str(releases)]
        args += ["-namespaces", str(namespaces), "-rps", f"{rps:g}", *(["-histogram"] if histogram else [])]
        name = self._start_pod("exporter", args, switchable.EXPORTER_LABEL)
        address = self.get("v1", "Pod", name, objects.MONITORING_NAMESPACE)["status"]["podIP"]
        scraped = f'up{{instance="{address}:{switchable.PORT}"}} == 1'
        wait_for(f"{name} scraped", lambda: query(self.prometheus_local_url, scraped), timeout=30)
        return PodExporter(self._control(name), partial(self._remove_pod, name))

    def start_prometheus_proxy(self) -> PodPrometheusProxy:
        args = ["proxy", "-addr", f":{switchable.PORT}", "-upstream", self.prometheus_url]
        name = self._start_pod("prometheus-proxy", args, {})
        url = f"http://{name}.{objects.MONITORING_NAMESPACE}.svc:{switchable.PORT}"
        proxy = PodPrometheusProxy(url, self._control(name), partial(self._remove_pod, name))
        wait_for("proxy", lambda: proxy.queries() == 0, expected=(*_UNREACHABLE, ValueError))
        return proxy

    def _control(self, pod: str) -> str:
        return self._pod_url(objects.MONITORING_NAMESPACE, pod, switchable.PORT)

    def _start_pod(self, kind: str, args: Sequence[str], labels: Mapping[str, str]) -> str:
        name = f"{kind}-{next(self._numbers)}"
        self._remove_pod(name)
        for obj in switchable.pod(name, self.app_image("v1"), args, labels):
            wait_for(name, partial(self.apply, obj), expected=(ApiError,), every=0.5)  # one of an earlier run may go

        def runs() -> bool:
            status = self.get("v1", "Pod", name, objects.MONITORING_NAMESPACE)["status"]
            return status.get("phase") == "Running" and bool(status.get("podIP"))

        wait_for(f"{name} runs", runs, timeout=ROLLOUT)
        return name

    def _remove_pod(self, name: str) -> None:
        for kind in ("Pod", "Service"):
            self.delete("v1", kind, name, objects.MONITORING_NAMESPACE)

    # ---------------------------------------------------------------- the operator, and what it did

    @property
    def operator_image(self) -> str:
        """The operator's image, built from this work tree."""
        return self._images.operator

    def start_operator(
        self,
        config: Mapping[str, Any],
        *,
        replicas: int = 1,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> OperatorPods:
        number = next(self._numbers)
        names = [f"operator-{number}-{index}" for index in range(replicas)]
        (shipped,) = (obj for obj in self.product_objects if obj["kind"] == "Deployment")
        namespace = shipped["metadata"]["namespace"]
        for name in names:
            meta = {"name": name, "namespace": namespace, "labels": operators.MARK}
            data = {"config.yaml": yaml.safe_dump(dict(config)), **(files or {})}
            self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
            self.apply(operators.deployment(shipped, name, self.operator_image, args=args, env=env or {}))
        instances = []
        for name in names:
            workload = self._workload(namespace, name, operators.LABEL)
            workload.start()
            instances.append(OperatorPod(name, workload, self._pod_log))
        return OperatorPods(instances)

    def _pod_log(self, namespace: str, pod: str) -> str:
        return self.kubectl("logs", "-n", namespace, pod, "--all-containers").stdout

    def audit_cursor(self) -> int:
        return self._node.audit().cursor()

    def audit_events(self, since: int = 0) -> Iterator[AuditEvent]:
        return self._node.audit().events(since)

    def diagnostics(self, folder: Path) -> None:
        diagnostics.copy_files(self.folder, folder, "log", "load", "audit.jsonl")
        api = KubeApi(self.kubeconfig(), timeout=5)
        diagnostics.write_objects(api, folder / "objects")
        for namespace in (objects.GATEWAY_NAMESPACE, objects.MONITORING_NAMESPACE, product.OPERATOR.namespace):
            said = self.kubectl("get", "pods", "-n", namespace, "-o", "json").stdout
            for pod in json.loads(said or '{"items": []}')["items"]:
                name = pod["metadata"]["name"]
                (folder / f"{name}.log").write_text(self._pod_log(namespace, name))
