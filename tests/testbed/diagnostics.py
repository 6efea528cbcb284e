"""Everything that helps to find out why a test failed, in one folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import urllib3
import yaml

from testbed.kubeapi import ApiError, KubeApi

KINDS = (
    ("sparkrelease.dev/v1alpha1", "SparkRelease"),
    ("sparkrelease.dev/v1alpha1", "ReleasePolicy"),
    ("sparkrelease.dev/v1alpha1", "ReleaseApproval"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("apps/v1", "Deployment"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("v1", "ConfigMap"),
    ("v1", "Event"),
    ("coordination.k8s.io/v1", "Lease"),
)


def write_objects(api: KubeApi, folder: Path) -> None:
    """One file per kind with every object of it; a kind that cannot be listed says why."""
    folder.mkdir(parents=True, exist_ok=True)
    for api_version, kind in KINDS:
        try:
            text = yaml.safe_dump_all(api.list(api_version, kind), sort_keys=False)
        except ApiError as error:
            text = f"# {error}\n"
        except urllib3.exceptions.HTTPError as error:
            (folder / "unreachable.txt").write_text(f"{error}\n")
            return
        (folder / f"{kind}.yaml").write_text(text)


def copy_files(source: Path, folder: Path, *names: str) -> None:
    """Copies files and folders of a cluster that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = source / name
        if path.is_dir():
            shutil.copytree(path, folder / name, dirs_exist_ok=True)
        elif path.exists():
            shutil.copyfile(path, folder / name)
