"""What every lane offers to end-to-end tests, benchmarks and the demo: write a test against this alone.

    def test_something(cluster: Cluster, ns: str) -> None:
        stable = cluster.deploy_app(ns, "shop-stable", "v1", replicas=2)
        ...

`testbed.local` implements it with plain processes, `testbed.kind` with a kind cluster.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from testbed.app import App
from testbed.audit import AuditEvent
from testbed.kubeapi import KubeApi, KubeObject, Patch
from testbed.load import Load


@dataclass(frozen=True)
class User:
    """A person as the API server knows them."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServiceAccount:
    """A ServiceAccount that exists."""

    namespace: str
    name: str


ADMIN = User("admin", ("system:masters",))
"""Who may do everything."""

Identity = User | ServiceAccount


class Outage(Protocol):
    """A part of the cluster that can be made to fail."""

    def pause(self) -> None:
        """Freezes it: connections stay open, nothing is answered."""

    def resume(self) -> None:
        """Ends a pause."""

    def stop(self) -> None:
        """Ends it: connections are refused."""

    def start(self) -> None:
        """Starts it after a stop, with its data as it was; returns when it and all that depend on it are ready."""

    def restart(self) -> None:
        """Kills it and starts it again; returns when it and all that depend on it are ready."""


class OperatorInstance(Protocol):
    """One running operator process (a pod of one, in the kind lane)."""

    @property
    def identity(self) -> str:
        """What it calls itself in the Lease."""

    @property
    def running(self) -> bool: ...

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it without a chance to clean up."""

    def freeze(self) -> None:
        """SIGSTOP."""

    def thaw(self) -> None:
        """SIGCONT."""

    def restart(self) -> None:
        """Kills it (SIGKILL) if it runs, and starts it again."""

    def stop(self) -> None:
        """Ends it as Kubernetes would: SIGTERM, and SIGKILL after a grace period."""

    def log(self) -> str:
        """All it wrote, over all its starts."""


class Operator(OperatorInstance, Protocol):
    """All instances of one operator: a verb acts on each of them."""

    @property
    def instances(self) -> Sequence[OperatorInstance]: ...


class Exporter(Protocol):
    """One process that exposes `http_requests_total{namespace,service,code}` for many Services, scraped at 1 s."""

    def set(
        self,
        namespace: str,
        service: str,
        *,
        rps: float | None = None,
        error: float | None = None,
        latency: str | None = None,
    ) -> int:
        """Changes one Service's behaviour; the moment it took effect, in Unix nanoseconds."""

    def set_many(self, behaviours: Sequence[Mapping[str, Any]]) -> int:
        """Changes many at once: mappings with namespace, service and rps, error, latency (nanoseconds)."""

    def stop(self) -> None: ...


Fault = Literal["slow", "empty", "nan", "error", "html", "reset", "warning"]
"""What a Prometheus can do wrong: answer late, with no series, with NaN for every value, with 500, with a sign-in
page, hang up, or warn that its answer may be partial."""


Program = Literal["app", "trading"]
"""What runs in pods: the test application, or the example of a trading desk."""


class PrometheusProxy(Protocol):
    """Stands before the cluster's Prometheus, counts queries and spoils answers on demand."""

    @property
    def url(self) -> str:
        """As the operator sees it: goes into the operator's configuration instead of `Cluster.prometheus_url`."""

    def fail(self, fault: Fault, *, match: str = "", delay: str = "30s") -> int:
        """From now on spoils the answers to queries that contain `match`; `delay` is how late a slow one is.

        Returns the moment it took effect, in Unix nanoseconds.
        """

    def heal(self) -> int:
        """From now on passes every answer on as it is."""

    def queries(self) -> int:
        """How many queries there have been."""

    def stop(self) -> None: ...


class Cluster(Protocol):
    """A real API server, a real gateway, a real Prometheus, and pods that answer."""

    @property
    def lane(self) -> str:
        """`local` or `kind`."""

    @property
    def api(self) -> KubeApi:
        """The administrator's client, for everything the shortcuts below do not do."""

    @property
    def gateway_url(self) -> str:
        """Where a client in the test process meets the gateway; the host name picks the route."""

    @property
    def gateway_parent_ref(self) -> KubeObject:
        """Element of a route's `parentRefs` that attaches it to the gateway."""

    @property
    def host_address(self) -> str:
        """The test process's own address as the operator and pods see it: what listens there is reached by them."""

    @property
    def prometheus_url(self) -> str:
        """Prometheus as the operator sees it: goes into the operator's configuration."""

    @property
    def prometheus_local_url(self) -> str:
        """Prometheus as the test process sees it."""

    @property
    def prometheus(self) -> Outage: ...

    @property
    def apiserver(self) -> Outage: ...

    @property
    def gateway_controller(self) -> Outage:
        """What reads routes and configures the gateway; the gateway itself goes on serving without it."""

    # ---------------------------------------------------------------- identities

    def kubeconfig(self, identity: Identity = ADMIN) -> Path:
        """A kubeconfig file that makes its user this identity."""

    def client(self, identity: Identity = ADMIN) -> KubeApi:
        """A client of this identity."""

    def kubectl(
        self, *args: str, identity: Identity = ADMIN, stdin: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real kubectl (1.36), plugins on PATH included; the caller judges the exit code."""

    # ---------------------------------------------------------------- objects

    def create(self, obj: Mapping[str, Any]) -> KubeObject: ...

    def apply(self, obj: Mapping[str, Any], *, manager: str = "testbed", force: bool = True) -> KubeObject:
        """Server-side apply."""

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> KubeObject: ...

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = ""
    ) -> list[KubeObject]: ...

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
        """A mapping is a merge patch, a list a JSON patch."""

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Asks for deletion; not waited for, and no error when it is gone already."""

    def namespace(self, prefix: str = "t", labels: Mapping[str, str] | None = None) -> str:
        """A fresh namespace, ready for pods. Deleting it takes seconds: ask and do not wait."""

    def install(self) -> None:
        """What users install: `crds/` and `manifests/`, all but the operator's Deployment. May be repeated."""

    # ---------------------------------------------------------------- the application

    def app_image(self, version: str, program: Program = "app") -> str:
        """Image of a program that answers with `version` (v1, v2, ...), each with its own imageID."""

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
        """Applies Deployment and Service `name` (port 8080); with `wait`, returns when it is rolled out.

        Applied again with other values it is a rollout.
        """

    def wait_rolled_out(self, ns: str, name: str) -> None:
        """Returns when the Deployment runs what it says, on all replicas."""

    def pod_url(self, pod: KubeObject) -> str:
        """Where the test process reaches the application in a pod."""

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
        """Switches the behaviour of every running pod a label selector (or `App.selector`) picks, at once.

        `drift` is the share of answers that say something else than stable's; `leak` is in bytes of memory a second,
        taken and not given back. Pods that start later begin as their
        Deployment says. Returns the number of pods switched.
        """

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
        """Sends requests through the gateway until `n` are sent or `duration` seconds are over (one is needed).

        With `grpc` each of them is a unary gRPC call, and `path` names its method: `/api.Shop/Buy`.
        """

    def start_exporter(
        self, *, releases: int = 0, namespaces: int = 1, rps: float = 100.0, histogram: bool = False
    ) -> Exporter:
        """Starts the synthetic exporter and has Prometheus scrape it.

        It begins with Services `rel-0000-stable`, `rel-0000-canary`, ... spread over namespaces `bench-0`, ...;
        `set` adds others.
        """

    def start_prometheus_proxy(self) -> PrometheusProxy:
        """Starts a proxy before Prometheus, which passes everything on until it is told to fail."""

    # ---------------------------------------------------------------- the operator, and what it did

    @property
    def operator_files(self) -> str:
        """Folder in which an operator finds the files it was started with: for paths in its configuration."""

    def start_operator(
        self,
        config: Mapping[str, Any],
        *,
        replicas: int = 1,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Operator:
        """Starts the operator with this configuration file, under its own ServiceAccount from `manifests/`.

        It finds `files` (texts by name) in `operator_files`.
        """

    def audit_cursor(self) -> int:
        """The audit log's end, now."""

    def audit_events(self, since: int = 0) -> Iterator[AuditEvent]:
        """What the API server was asked after a cursor, in order, up to now."""

    def diagnostics(self, folder: Path) -> None:
        """Writes logs and objects into a folder, for whoever has to find out what went wrong."""

    def close(self) -> None:
        """Ends the cluster and all that was started in it."""
