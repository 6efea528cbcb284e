"""Kubeconfig files: one cluster, one identity, everything embedded."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml


def write_kubeconfig(
    path: Path,
    *,
    server: str,
    ca: Path,
    token: str | None = None,
    certificate: tuple[Path, Path] | None = None,
    namespace: str = "default",
) -> Path:
    """A kubeconfig for one identity, by token or by client certificate and key; readable by its owner alone."""
    user: dict[str, str] = {}
    if token:
        user = {"token": token}
    elif certificate:
        user = {"client-certificate-data": _encode(certificate[0]), "client-key-data": _encode(certificate[1])}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority-data": _encode(ca)}}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed", "namespace": namespace}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def tls_context(cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
    """TLS that trusts the cluster's authority alone and shows the user's certificate, if there is one."""
    with tempfile.TemporaryDirectory(prefix="testbed-") as folder:  # ssl wants files; they are read once
        return _tls_from_files(Path(folder), cluster, user)


def _tls_from_files(folder: Path, cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
    files = {}
    data = {
        "ca": cluster.get("certificate-authority-data"),
        "certificate": user.get("client-certificate-data"),
        "key": user.get("client-key-data"),
    }
    for name, encoded in data.items():
        if encoded:
            files[name] = folder / name
            files[name].touch(mode=0o600)
            files[name].write_bytes(base64.b64decode(encoded))
    context = ssl.create_default_context(cafile=files["ca"])
    if "certificate" in files:
        context.load_cert_chain(files["certificate"], files["key"])
    return context


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
