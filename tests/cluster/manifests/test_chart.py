"""The chart renders what the manifests are, object by object, and its values change what they name and nothing else."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sparkrelease.__main__ import read_config
from testbed.paths import PROJECT

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

CHART = PROJECT / "helm" / "sparkrelease"
OPERATOR = ("Deployment", "sparkrelease-system", "sparkrelease-operator")

Objects = dict[tuple[str, str, str], "KubeObject"]


def by_name(text: str) -> Objects:
    found = [one for one in yaml.safe_load_all(text) if one]
    named = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found), "no object comes twice"
    return named


def rendered(helm: Path, folder: Path, chart: Path = CHART, **values: object) -> Objects:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [helm, "template", "sparkrelease", chart, "--include-crds", "--values", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return by_name(done.stdout)


def kustomized(cluster: Cluster, folder: str) -> Objects:
    done = cluster.kubectl("kustomize", str(PROJECT / folder))
    assert done.returncode == 0, done.stderr
    return by_name(done.stdout)


def changed(of: KubeObject, path: list[str | int], value: object) -> KubeObject:
    """The object with one field set."""
    copy = deepcopy(of)
    place: Any = copy
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(step, str) else place[step]
    place[path[-1]] = value
    return copy


def test_without_values_the_chart_is_what_kubectl_installs(cluster: Cluster, helm: Path, tmp_path: Path) -> None:
    chart, manifests = rendered(helm, tmp_path), kustomized(cluster, "manifests/install")
    assert chart.keys() == manifests.keys()
    for name, obj in manifests.items():
        assert chart[name] == obj, name


POD: list[str | int] = ["spec", "template", "spec"]
CONTAINER: list[str | int] = [*POD, "containers", 0]
FEW = {"requests": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("values", "path", "value"),
    [
        ({"image": {"repository": "r.example/spark", "tag": "2.0"}}, [*CONTAINER, "image"], "r.example/spark:2.0"),
        ({"replicas": 3}, ["spec", "replicas"], 3),
        ({"resources": FEW}, [*CONTAINER, "resources"], FEW),
        ({"priorityClassName": "high"}, [*POD, "priorityClassName"], "high"),
    ],
    ids=["image", "replicas", "resources", "priority"],
)
def test_a_value_changes_its_field_and_nothing_else(
    helm: Path, tmp_path: Path, values: dict[str, Any], path: list[str | int], value: object
) -> None:
    plain = rendered(helm, tmp_path)
    assert rendered(helm, tmp_path, **values) == {**plain, OPERATOR: changed(plain[OPERATOR], path, value)}


def test_another_configuration_is_one_the_operator_reads_and_starts_the_pods_anew(helm: Path, tmp_path: Path) -> None:
    def with_url(url: str) -> Objects:
        return rendered(helm, tmp_path, config={"servers": {"default": {"url": url}}})

    one, other = with_url("http://one:9090"), with_url("http://other:9090")
    file = tmp_path / "config.yaml"
    file.write_text(one["ConfigMap", *OPERATOR[1:]]["data"]["config.yaml"])
    assert read_config(file).servers["default"].url == "http://one:9090"
    assert one[OPERATOR]["spec"]["template"]["metadata"] != other[OPERATOR]["spec"]["template"]["metadata"]
    assert one[OPERATOR]["spec"]["template"]["spec"] == other[OPERATOR]["spec"]["template"]["spec"]


def test_for_chosen_namespaces_it_is_the_namespaced_variant_with_the_rights_of_each(
    cluster: Cluster, helm: Path, tmp_path: Path
) -> None:
    chart, manifests = (
        rendered(helm, tmp_path, namespaces=["trading", "payments"]),
        kustomized(cluster, "manifests/namespaced"),
    )
    args = manifests[OPERATOR]["spec"]["template"]["spec"]["containers"][0]["args"]
    served = [*args, "--namespace=trading", "--namespace=payments"]
    manifests[OPERATOR] = changed(manifests[OPERATOR], [*CONTAINER, "args"], served)
    for kind, _, name in kustomized(cluster, "manifests/namespaced/team"):
        for team in ("trading", "payments"):
            one = kustomized(cluster, "manifests/namespaced/team")[kind, "", name]
            manifests[kind, team, name] = changed(one, ["metadata", "namespace"], team)
    assert chart == manifests


def test_in_another_namespace_nothing_names_the_usual_one(helm: Path, tmp_path: Path) -> None:
    usual = yaml.safe_dump_all(rendered(helm, tmp_path).values())
    other = rendered(helm, tmp_path, namespace="delivery", createNamespace=False)
    assert "sparkrelease-system" not in yaml.safe_dump_all(other.values())
    moved = by_name(usual.replace("sparkrelease-system", "delivery"))
    del moved["Namespace", "", "delivery"]
    assert other == moved


def test_a_packaged_chart_has_all_it_reads(helm: Path, tmp_path: Path) -> None:
    """In the repository it reads the manifests through links; a package holds them."""
    done = subprocess.run([helm, "package", CHART, "-d", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    assert rendered(helm, tmp_path, package) == rendered(helm, tmp_path)


def test_helm_finds_no_fault_with_it_and_the_api_server_takes_it(cluster: Cluster, helm: Path, tmp_path: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = yaml.safe_dump_all(rendered(helm, tmp_path).values())
    taken = cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=text)
    assert taken.returncode == 0, taken.stderr
