"""Which image is which, and those that are built here: the operator's, the test application's, the example's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock

from testbed import parts
from testbed.binaries import binary
from testbed.cluster import Program
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

VERSIONS = ("v1", "v2", "v3")
"""Versions of a program that nearly every test wants; others are built when they are asked for."""

_OURS: Mapping[Program, str] = {"app": "testbed/app", "trading": "testbed/trading"}
"""Repositories of what is built here."""

_VERSION = re.compile(r"v\d[\w.]*")

_APP_DOCKERFILE = """\
FROM scratch
COPY app /app
ENV VERSION={version}
USER 65532:65532
ENTRYPOINT ["/app"]
"""

_TRADING_DOCKERFILE = """\
FROM {base}
USER 0:0
COPY trading /opt/examples/trading
ENV PYTHONPATH=/opt/examples POD_IP=0.0.0.0
RUN PYTHONDONTWRITEBYTECODE= python3 -c 'import trading.__main__'
ENV VERSION={version}
USER 65532:65532
ENTRYPOINT ["python3", "-m", "trading"]
"""
"""The operator's image has all that the example needs. What it imports is compiled here, not in each of many pods."""


class Images:
    """Images of one cluster. Each can be replaced: `SPARKRELEASE_IMAGE_CONTOUR=...` and so on.

    `SPARKRELEASE_IMAGE` names a ready operator image; `SPARKRELEASE_IMAGE_APP` and `SPARKRELEASE_IMAGE_TRADING`
    repositories that hold the test application and the example, tagged with the versions they answer.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: set[str] = set()
        self._lock = Lock()  # several threads of a test may want the same image first

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
            self._host.tell("images", str(self._host.lab / "images"), *own)
            wanted = [part for part in wanted if part not in own]
        held = [self.name(part) for part in wanted if self._host.has(self.name(part))]
        if held:
            self._host.load(*held)
        self.app(VERSIONS[0])

    @cached_property
    def operator(self) -> str:
        """The operator's image, built from this work tree unless one is named, and known to the node."""
        if named := os.environ.get("SPARKRELEASE_IMAGE"):
            if self._host.has(named):
                self._host.load(named)
            return named
        proxies = [word for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for word in ("--build-arg", name)]
        base = f"BASE_IMAGE={self.name('python')}"
        build = ("build", *proxies, "--build-arg", base, "-t", "sparkrelease:e2e", str(PROJECT))
        self._host.tell("operator image", "docker", *build)
        digest = self._host.docker("image", "inspect", "-f", "{{.Id}}", "sparkrelease:e2e").strip()
        image = f"sparkrelease:e2e-{digest.removeprefix('sha256:')[:12]}"  # a new tag for each content
        self._host.docker("tag", "sparkrelease:e2e", image)
        self._host.load(image)
        return image

    def app(self, version: str, program: Program = "app") -> str:
        """The program that answers with a version; a name no node has for what is no version."""
        named = os.environ.get(f"SPARKRELEASE_IMAGE_{program.upper()}")
        image = f"{named or _OURS[program]}:{version}"
        if not named and _VERSION.fullmatch(version):
            with self._lock:
                self._provide(program, version)
        return image

    def _provide(self, program: Program, version: str) -> None:
        """Builds and loads a version, and with the first one of a program those that are wanted soon."""
        images = {f"{_OURS[program]}:{one}": one for one in (version, *VERSIONS)}
        missing = {image: one for image, one in images.items() if image not in self._known}
        for image, one in missing.items():
            folder = self._host.folder / program / one
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "Dockerfile").write_text(self._source(program, one, folder))
            self._host.docker("build", "-q", "-t", image, str(folder))
        if missing:
            self._host.load(*missing)
            self._known.update(missing)

    def _source(self, program: Program, version: str, folder: Path) -> str:
        """Puts what the image holds into the folder; the Dockerfile."""
        if program == "trading":
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / "examples" / "trading", folder / "trading", ignore=ignored, dirs_exist_ok=True)
            return _TRADING_DOCKERFILE.format(base=self.operator, version=version)
        copied = Path(shutil.copy(binary(parts.APP), folder / "app"))
        copied.chmod(0o755)
        return _APP_DOCKERFILE.format(version=version)
