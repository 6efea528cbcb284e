"""The one node of the cluster: signals to what runs in pods, the API server's own files, its audit log."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from pathlib import Path

import yaml

from testbed.audit import AuditLog, write_policy
from testbed.kindlane.host import Host, KindError
from testbed.kubeapi import KubeObject
from testbed.paths import PROJECT, cache

_POLICY = "/etc/kubernetes/audit/policy.yaml"
_LOG_FOLDER = "/var/log/kubernetes"
_LOG = f"{_LOG_FOLDER}/audit.log"


def kind_config() -> KubeObject:
    """The project's kind-config.yaml, and an audit log that says what every write was."""
    folder = cache() / "kind"
    folder.mkdir(parents=True, exist_ok=True)
    policy = write_policy(folder / "audit-policy.yaml")
    config: KubeObject = yaml.safe_load((PROJECT / "kind-config.yaml").read_text())
    mount = {"hostPath": str(policy), "containerPath": _POLICY, "readOnly": True}
    config["nodes"] = [{"role": "control-plane", "extraMounts": [mount]}]
    arguments = {
        "runtime-config": "",  # kind's own; a patch replaces the whole list
        "audit-policy-file": _POLICY,
        "audit-log-path": _LOG,
        "audit-log-maxsize": "100000",  # megabytes: a file that is rotated away would take what a test waits for along
    }
    volumes = [
        {"name": "audit-policy", "hostPath": _POLICY, "mountPath": _POLICY, "readOnly": True, "pathType": "File"},
        {"name": "audit-log", "hostPath": _LOG_FOLDER, "mountPath": _LOG_FOLDER, "pathType": "DirectoryOrCreate"},
    ]
    extra = [{"name": name, "value": value} for name, value in arguments.items()]
    patch = {"kind": "ClusterConfiguration", "apiServer": {"extraArgs": extra, "extraVolumes": volumes}}
    config["kubeadmConfigPatches"].append(yaml.safe_dump(patch))
    return config


class Node:
    """Commands on the node."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._audit_copy = host.folder / "audit.jsonl"
        self._audit_copied = 0
        self._copying = threading.Lock()
        """Tests look from several threads; two that copy the same piece would leave out what comes after it."""

    def run(self, *command: str) -> str:
        """Standard output of a command on the node."""
        return self._host.docker("exec", self._host.node, *command)

    def signal(self, number: signal.Signals, pids: Iterable[int]) -> None:
        """Sends a signal to processes, as far as they are there."""
        wanted = [str(pid) for pid in pids]
        if wanted:
            self.run("sh", "-c", f"kill -{number.value} {' '.join(wanted)} || true")

    def pids(self, pod: KubeObject) -> list[int]:
        """First process of each running container of a pod."""
        uid = pod["metadata"]["uid"]
        containers = self.run("crictl", "ps", "-q", "--label", f"io.kubernetes.pod.uid={uid}").split()
        template = ("--output", "go-template", "--template", "{{.info.pid}}")
        return [int(self.run("crictl", "inspect", *template, one)) for one in containers]

    def named(self, process: str) -> list[int]:
        """Processes by name."""
        try:
            return [int(pid) for pid in self.run("pgrep", "-x", process).split()]
        except KindError:
            return []  # pgrep fails when there is none

    # ---------------------------------------------------------------- audit

    def begin_audit(self) -> None:
        """What was logged before is not ours: an earlier run on the same cluster."""
        self._audit_copied = int(self.run("stat", "-c", "%s", _LOG))
        self._audit_copy.write_bytes(b"")

    def audit(self) -> AuditLog:
        """The audit log up to now."""
        with self._copying:
            read = ("docker", "exec", self._host.node, "tail", "-c", f"+{self._audit_copied + 1}", _LOG)
            more = self._host.run_raw(*read).stdout
            with self._audit_copy.open("ab") as copy:
                copy.write(more)
            self._audit_copied += len(more)
        return AuditLog(self._audit_copy)

    # ---------------------------------------------------------------- certificates

    def copy_authority(self, folder: Path) -> None:
        """The cluster's certificate authority, which makes any identity a test wants."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("ca.crt", "ca.key"):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(self.run("cat", f"/etc/kubernetes/pki/{name}"))
