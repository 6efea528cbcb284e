"""What a person sees of a real release, through the real kubectl."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from cluster.cli.terminal import Person
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

API = "sparkrelease.dev/v1alpha1"


def test_kubectl_finds_the_plugin_and_shows_the_screen(cluster: Cluster, ns: str, release: KubeObject) -> None:
    done = cluster.kubectl("sparkrelease", "status", "shop", "-n", ns)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{ns}/shop  v2")
    for told in ("quarter", "full", "desired", "observed", "measured", "25 %", "verified"):
        assert told in done.stdout
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in lines)


def test_kubectl_lists_the_plugin(cluster: Cluster) -> None:
    assert "kubectl-sparkrelease" in cluster.kubectl("plugin", "list").stdout


def test_a_release_nobody_looked_at_yet_is_shown_as_such(cluster: Cluster, ns: str, person: Person) -> None:
    service = {"stable": {"service": "a", "port": 80}, "canary": {"service": "b", "port": 80}}
    traffic = {**service, "gatewayAPI": {"route": {"kind": "HTTPRoute", "name": "a"}}}
    spec = {"version": "v1", "policyRef": {"name": "not-there"}, "traffic": traffic}
    cluster.create(
        {"apiVersion": API, "kind": "SparkRelease", "metadata": {"name": "new", "namespace": ns}, "spec": spec}
    )
    done = person.run("status", "new")
    assert done.returncode == 0, done.stderr
    assert "the operator has not looked at this release yet" in done.stdout
    assert "ReleasePolicy not-there" in done.stdout


def test_programs_read_json_and_yaml_with_the_stages_the_run_follows(person: Person, release: KubeObject) -> None:
    as_json = json.loads(person.run("status", "shop", "-o", "json").stdout)
    as_yaml = yaml.safe_load(person.run("status", "shop", "-o", "yaml").stdout)
    assert as_json == as_yaml
    assert [stage["name"] for stage in as_json["stages"]] == ["quarter", "full"]
    assert as_json["status"]["weight"]["desired"] == 25


def test_the_exit_code_says_on_demand_that_a_release_was_rolled_back(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    assert person.run("status", "shop", "--exit-code").returncode == 0
    cluster.patch(API, "SparkRelease", "shop", ns, {"status": {"phase": "RolledBack"}}, subresource="status")
    assert person.run("status", "shop").returncode == 0
    assert person.run("status", "shop", "--exit-code").returncode == 1


def test_list_shows_every_release_on_one_line(cluster: Cluster, ns: str, person: Person, release: KubeObject) -> None:
    done = person.run("list")
    header, line = done.stdout.splitlines()
    assert header.split()[:5] == ["NAME", "VERSION", "PHASE", "STAGE", "WEIGHT"]
    assert line.split()[:6] == ["shop", "v2", "Progressing", "1/2", "25", "%"]
    everywhere = person.run("list", "--all-namespaces").stdout.splitlines()
    assert any(row.split()[:2] == [ns, "shop"] for row in everywhere)


def test_list_of_an_empty_namespace_says_so_beside_the_output(cluster: Cluster, ns: str, person: Person) -> None:
    done = person.run("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"no SparkReleases in namespace {ns}" in done.stderr
