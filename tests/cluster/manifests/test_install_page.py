"""The overlays that docs/install.md shows are rendered by kubectl into what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sparkrelease.__main__ import read_config
from testbed.paths import PROJECT

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

PAGE = (PROJECT / "docs" / "install.md").read_text()


def overlays() -> list[str]:
    return [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "resources:" in block]


def render(cluster: Cluster, folder: Path, overlay: str) -> dict[tuple[str, str], KubeObject]:
    here = folder / "overlay"
    here.mkdir()
    root = Path(*[".."] * (len(here.resolve().parts) - 1)) / PROJECT.relative_to("/")
    (here / "kustomization.yaml").write_text(overlay.replace("../manifests", f"{root}/manifests"))
    done = cluster.kubectl("kustomize", str(here))
    assert done.returncode == 0, done.stderr
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in yaml.safe_load_all(done.stdout)}


def container(found: dict[tuple[str, str], KubeObject]) -> KubeObject:
    (only,) = found["Deployment", "sparkrelease-operator"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_the_first_overlay_sets_image_and_configuration(cluster: Cluster, tmp_path: Path) -> None:
    found = render(cluster, tmp_path, overlays()[0])
    assert container(found)["image"] == "registry.example.com/sparkrelease:0.1.0"
    file = tmp_path / "config.yaml"
    file.write_text(found["ConfigMap", "sparkrelease-operator"]["data"]["config.yaml"])
    assert read_config(file).servers["default"].url == "http://prometheus.monitoring.svc:9090"
    assert ("CustomResourceDefinition", "sparkreleases.sparkrelease.dev") in found


def test_the_overlay_for_chosen_namespaces_names_them_and_gives_no_rights_in_others(
    cluster: Cluster, tmp_path: Path
) -> None:
    found = render(cluster, tmp_path, overlays()[1])
    assert container(found)["args"][-2:] == ["--namespace=trading", "--namespace=payments"]
    bound = [obj["roleRef"]["name"] for (kind, _), obj in found.items() if kind == "ClusterRoleBinding"]
    assert bound == ["sparkrelease-operator-policies"]


def test_every_folder_and_file_it_names_is_there() -> None:
    named = set(re.findall(r"`(manifests[\w/-]*)`", PAGE)) | set(re.findall(r"-k (manifests[\w/-]*)", PAGE))
    assert len(named) >= 5
    assert [name for name in sorted(named) if not (PROJECT / name / "kustomization.yaml").is_file()] == []
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
    assert [link for link in links if not (PROJECT / "docs" / link).exists()] == []
