"""Docker and kind on this machine, or a folder of programs that bring both along."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

LAB = "SPARKRELEASE_KIND_LAB"
"""Names a folder with programs `up`, `images` and `down`, for machines that can pull no image."""

KEEP = "SPARKRELEASE_KIND_KEEP"
"""Set: the cluster stays after the run, and the next run uses it."""

_MISSING = (
    "The kind lane needs a Docker daemon that answers and kind on PATH, or "
    f"{LAB} set to a folder with its own up, images and down; the local lane (make test) needs neither."
)


class KindError(RuntimeError):
    """The kind lane cannot run here, or one of its commands failed; the message says which and how."""


class Host:
    """One kind cluster and the commands around it. The user's own kubeconfig is never touched.

    Attributes:
        name: of the cluster (`KIND_CLUSTER_NAME`).
        lab: the folder that brings Docker, kind and images along, if one is named.
        folder: where this run keeps its files.
    """

    def __init__(self, folder: Path) -> None:
        self.name = os.environ.get("KIND_CLUSTER_NAME", "sparkrelease")
        self.lab = _lab()
        self.folder = folder
        self._path = os.environ["PATH"]

    @property
    def node(self) -> str:
        """Name of the node's container."""
        return f"{self.name}-control-plane"

    def create(self, config: Mapping[str, Any]) -> None:
        """Creates the cluster, or goes on with the one that is there; returns when its node is ready."""
        file = self.folder / "kind.yaml"
        file.write_text(yaml.safe_dump(dict(config)))
        if self.lab is not None:
            said = self.tell("cluster", str(self.lab / "up"), KIND_CONFIG=str(file))
            found = re.search(r"export PATH=(\S+):\$PATH", said)
            if found is None:
                raise KindError(f"{self.lab / 'up'} did not say which PATH to use")
            self._path = f"{found[1]}:{self._path}"
        elif self.name not in self.kind("get", "clusters").split():
            create = ("create", "cluster", "--name", self.name, "--config", str(file), "--wait", "180s")
            self.tell("cluster", "kind", *create)

    def delete(self) -> None:
        """Deletes the cluster, unless it is to stay."""
        if os.environ.get(KEEP):
            return
        if self.lab is not None:
            self.run(str(self.lab / "down"))
        else:
            self.kind("delete", "cluster", "--name", self.name)

    def kubeconfig(self) -> dict[str, Any]:
        """The administrator's kubeconfig, with an address this machine reaches."""
        config: dict[str, Any] = yaml.safe_load(self.kind("get", "kubeconfig", "--name", self.name))
        return config

    def address(self) -> str:
        """The node's address: NodePorts are there."""
        networks = yaml.safe_load(self.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", self.node))
        return str(networks["kind"]["IPAddress"])

    def has(self, image: str) -> bool:
        """Whether Docker holds the image."""
        try:
            self.docker("image", "inspect", image)
        except KindError:
            return False
        return True

    def load(self, *images: str) -> None:
        """Gives images that Docker holds to the node."""
        self.kind("load", "docker-image", *images, "--name", self.name)

    def docker(self, *args: str) -> str:
        """Runs Docker; its standard output."""
        return self.run("docker", *args)

    def kind(self, *args: str) -> str:
        """Runs kind; its standard output."""
        return self.run("kind", *args)

    def run(self, *command: str, **more: str) -> str:
        """Standard output of a command.

        Raises:
            KindError: it failed, or is not there.
        """
        done = self.run_raw(*command, **more)
        return done.stdout.decode(errors="replace")

    def tell(self, what: str, *command: str, **more: str) -> str:
        """The same for what may take minutes: its output is shown line by line as it comes, under a name.

        Raises:
            KindError: it failed, or is not there.
        """
        began, said = time.monotonic(), []
        print(f"[{what}] {Path(command[0]).name} {' '.join(command[1:3])}", flush=True)
        try:
            with subprocess.Popen(
                command,
                env=self._env(more),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as running:
                for line in running.stdout or ():
                    said.append(line)
                    print(f"[{what} {time.monotonic() - began:4.0f} s] {line.rstrip()}", flush=True)
        except OSError as error:
            raise KindError(f"{command[0]}: {error}") from error
        text = "".join(said)
        if running.returncode:
            raise KindError(f"{' '.join(command)}: exit {running.returncode}\n{text[-3000:]}")
        return text

    def run_raw(self, *command: str, **more: str) -> subprocess.CompletedProcess[bytes]:
        """The same, with output as it was."""
        try:
            done = subprocess.run(command, env=self._env(more), capture_output=True, check=False)
        except OSError as error:
            raise KindError(f"{command[0]}: {error}") from error
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
            raise KindError(f"{' '.join(command)}: exit {done.returncode}\n{said}")
        return done

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        kubeconfig = str(self.folder / "kind.kubeconfig")
        return {**os.environ, "PATH": self._path, "KIND_CLUSTER_NAME": self.name, "KUBECONFIG": kubeconfig, **more}


def address_towards(other: str) -> str:
    """This machine's address on the network on which it reaches another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))
        return str(probe.getsockname()[0])


def require() -> None:
    """Raises KindError, with one sentence, when the lane cannot run on this machine."""
    if _lab() is None and not _docker_answers():
        raise KindError(_MISSING)


def _lab() -> Path | None:
    named = os.environ.get(LAB)
    if not named:
        return None
    if not (Path(named) / "up").is_file():
        raise KindError(f"{LAB}={named} has no program called up.")
    return Path(named).resolve()


def _docker_answers() -> bool:
    if not (shutil.which("kind") and shutil.which("docker")):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
