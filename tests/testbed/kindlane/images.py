"""Which image is which, and the two that are built here: the operator's and the test application's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from testbed import parts
from testbed.binaries import binary
from testbed.kindlane.host import Host
from testbed.kubeapi import KubeObject
from testbed.paths import PROJECT

PUBLIC = {
    "python": "python:3.11-slim",
    "contour": f"ghcr.io/projectcontour/contour:v{parts.CONTOUR_VERSION}",
    "envoy": f"envoyproxy/envoy:distroless-v{parts.ENVOY_VERSION}",
    "prometheus": f"prom/prometheus:v{parts.PROMETHEUS.version}",
}
LOCAL = {
    "python": "local/python:3.11",
    "contour": f"local/contour:v{parts.CONTOUR_VERSION}",
    "envoy": f"local/envoy:v{parts.ENVOY_VERSION}",
    "prometheus": f"local/prometheus:v{parts.PROMETHEUS.version}",
}
"""What the programs of a lab folder make."""

APP = "testbed/app"
VERSIONS = ("v1", "v2", "v3")
"""Versions of the application that nearly every test wants; others are built when they are asked for."""

_VERSION = re.compile(r"v\d[\w.]*")

_APP_DOCKERFILE = """\
FROM scratch
COPY app /app
ENV VERSION={version}
USER 65532:65532
ENTRYPOINT ["/app"]
"""


class Images:
    """Images of one cluster. Each can be replaced: `SPARKRELEASE_IMAGE_CONTOUR=...` and so on.

    `SPARKRELEASE_IMAGE` names a ready operator image; `SPARKRELEASE_IMAGE_APP` a repository that holds the test
    application, tagged with the versions it answers.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._app_versions: set[str] = set()

    def name(self, part: str) -> str:
        """The image of `python` (the base of the operator's), `contour`, `envoy` or `prometheus`."""
        usual = LOCAL if self._host.lab is not None else PUBLIC
        return os.environ.get(f"SPARKRELEASE_IMAGE_{part.upper()}") or usual[part]

    def fill_in(self, found: Iterable[KubeObject]) -> list[KubeObject]:
        """Objects whose containers name a part (`image: envoy`), with the image that stands for it."""
        filled = list(found)
        for obj in filled:
            for container in obj.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
                container["image"] = self.name(container["image"])
        return filled

    def bring(self) -> None:
        """Makes or loads what the node cannot pull; the rest it pulls by itself."""
        wanted = ["contour", "envoy", "prometheus"]
        if self._host.lab is not None:
            own = [part for part in (*wanted, "python") if self.name(part) == LOCAL[part]]
            self._host.run(str(self._host.lab / "images"), *own)
            wanted = [part for part in wanted if part not in own]
        held = [self.name(part) for part in wanted if self._host.has(self.name(part))]
        if held:
            self._host.load(*held)
        if self._app_repository() == APP:
            for version in VERSIONS:
                self._build_app(version)
            self._host.load(*(f"{APP}:{version}" for version in VERSIONS))
            self._app_versions.update(VERSIONS)

    def operator(self) -> str:
        """The operator's image, built from this work tree unless one is named, and known to the node."""
        if named := os.environ.get("SPARKRELEASE_IMAGE"):
            if self._host.has(named):
                self._host.load(named)
            return named
        proxies = [word for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for word in ("--build-arg", name)]
        base = f"BASE_IMAGE={self.name('python')}"
        self._host.docker("build", "-q", *proxies, "--build-arg", base, "-t", "sparkrelease:e2e", str(PROJECT))
        digest = self._host.docker("image", "inspect", "-f", "{{.Id}}", "sparkrelease:e2e").strip()
        image = f"sparkrelease:e2e-{digest.removeprefix('sha256:')[:12]}"  # a new tag for each content
        self._host.docker("tag", "sparkrelease:e2e", image)
        self._host.load(image)
        return image

    def app(self, version: str) -> str:
        """The test application that answers with a version; a name no node has for what is no version."""
        image = f"{self._app_repository()}:{version}"
        if self._app_repository() == APP and _VERSION.fullmatch(version) and version not in self._app_versions:
            self._build_app(version)
            self._host.load(image)
            self._app_versions.add(version)
        return image

    def _build_app(self, version: str) -> None:
        folder = self._host.folder / "app" / version
        folder.mkdir(parents=True, exist_ok=True)
        program = shutil.copy(binary(parts.APP), folder / "app")
        Path(program).chmod(0o755)
        (folder / "Dockerfile").write_text(_APP_DOCKERFILE.format(version=version))
        self._host.docker("build", "-q", "-t", f"{APP}:{version}", str(folder))

    def _app_repository(self) -> str:
        return os.environ.get("SPARKRELEASE_IMAGE_APP") or APP
