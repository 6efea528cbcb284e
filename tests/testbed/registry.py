"""A real image registry as a local process: what a team's pipeline pushes to, beside the image."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path

import urllib3
import yaml

from testbed import parts
from testbed.binaries import binary
from testbed.pki import Pki
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
"""Media type of the configuration of what is no image."""


class Registry:
    """Lets everybody pull and push, over TLS, at an address that operators reach."""

    def __init__(self, folder: Path, address: str) -> None:
        self._storage = folder / "storage"
        self._pki = Pki(folder / "pki")
        self._pki.create()
        self._pki.add_server("registry", address)
        self.host = f"{address}:{_free_port(address)}"
        self._http = urllib3.PoolManager(ca_certs=str(self._pki.ca), timeout=5, retries=False)
        configuration = folder / "registry.yaml"
        tls = {"certificate": str(self._pki.certificate("registry")), "key": str(self._pki.key("registry"))}
        said = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._storage)}},
            "http": {"addr": self.host, "tls": tls, "secret": "of one process alone"},
        }
        configuration.write_text(yaml.safe_dump(said))
        self._process = ManagedProcess("registry", [binary(parts.REGISTRY), "serve", configuration], folder)

    @property
    def authority(self) -> str:
        """The certificate that vouches for it, as PEM."""
        return self._pki.ca.read_text()

    def start(self) -> None:
        """Returns once it answers."""
        self._process.start()
        wait_for("registry", self._ready, expected=(urllib3.exceptions.HTTPError,))

    def stop(self) -> None:
        self._process.stop()

    def push(self, repository: str, content: bytes) -> str:
        """Stores a file as an artifact of one layer; the reference to it."""
        layer = {"mediaType": "application/octet-stream", **self._blob(repository, content)}
        config = {"mediaType": EMPTY, **self._blob(repository, b"{}")}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()
        digest = _digest(manifest)
        url = f"https://{self.host}/v2/{repository}/manifests/{digest}"
        self._expect(201, self._http.request("PUT", url, body=manifest, headers={"Content-Type": MANIFEST}))
        return f"oci://{self.host}/{repository}@{digest}"

    def corrupt(self, content: bytes) -> None:
        """Changes a stored file behind the registry's back: it goes on to be served under its digest."""
        name = hashlib.sha256(content).hexdigest()
        stored = self._storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
        stored.write_bytes(content[:-1] + b"?")

    def _blob(self, repository: str, content: bytes) -> dict[str, str | int]:
        begun = self._http.request("POST", f"https://{self.host}/v2/{repository}/blobs/uploads/")
        self._expect(202, begun)
        digest = _digest(content)
        # Where the upload goes on is told with a query of its own.
        self._expect(201, self._http.request("PUT", f"{begun.headers['Location']}&digest={digest}", body=content))
        return {"digest": digest, "size": len(content)}

    def _ready(self) -> bool:
        self._process.require_running()
        return self._http.request("GET", f"https://{self.host}/v2/").status == 200

    @staticmethod
    def _expect(status: int, answer: urllib3.BaseHTTPResponse) -> None:
        if answer.status != status:
            raise RuntimeError(f"registry: {answer.status}: {answer.data.decode(errors='replace')}")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _free_port(address: str) -> int:
    with socket.socket() as asked:
        asked.bind((address, 0))
        port: int = asked.getsockname()[1]
    return port
