"""What the kind lane asks for, checked where no Docker is: its configuration, its images, its refusal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
import yaml

from testbed import objects
from testbed.gateway import LATENCY_EDGES_MS
from testbed.kindlane import host, monitoring, operators
from testbed.kindlane.host import Host, KindError, address_towards
from testbed.kindlane.images import LOCAL, PUBLIC, Images
from testbed.kindlane.node import Node, kind_config
from testbed.kindlane.switchable import PodPrometheusProxy
from testbed.paths import PROJECT


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine with nothing on its PATH."""
    monkeypatch.delenv(host.LAB, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return Host(tmp_path)


@pytest.fixture
def recorder(machine: Host) -> Path:
    """The same with a docker and a kind that do nothing and write down what they were asked."""
    asked = machine.folder / "asked"
    for name in ("docker", "kind"):
        program = machine.folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{asked}\n')
        program.chmod(0o755)
    return asked


def test_without_docker_it_says_in_one_sentence_what_is_needed(machine: Host) -> None:
    with pytest.raises(KindError) as refusal:
        host.require()
    said = str(refusal.value)
    assert "Docker" in said
    assert "make test" in said
    assert said.count(".") == 1


def test_a_lab_folder_without_its_programs_is_refused(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(host.LAB, str(machine.folder / "nowhere"))
    with pytest.raises(KindError, match="no program called up"):
        host.require()


def test_a_command_that_fails_is_named_with_what_it_said(machine: Host) -> None:
    with pytest.raises(KindError, match="docker"):
        machine.docker("version")


def test_what_takes_minutes_is_shown_as_it_comes(machine: Host, capfd: pytest.CaptureFixture[str]) -> None:
    program = machine.folder / "up"
    program.write_text("#!/bin/sh\necho building a node\necho no space left >&2\nexit $1\n")
    program.chmod(0o755)
    assert "building a node" in machine.tell("cluster", str(program), "0")
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "[cluster] up 0"
    assert [line.split("] ")[1] for line in shown[1:]] == ["building a node", "no space left"]
    with pytest.raises(KindError, match=r"(?s)exit 3\n.*no space left"):
        machine.tell("cluster", str(program), "3")


def test_the_cluster_is_the_projects_with_an_audit_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARKRELEASE_CACHE", str(tmp_path))
    ours = yaml.safe_load((PROJECT / "kind-config.yaml").read_text())
    config = kind_config()
    assert config["networking"] == ours["networking"]
    proxy, kubelet, plane = (yaml.safe_load(patch) for patch in config["kubeadmConfigPatches"])
    assert proxy["nftables"]["minSyncPeriod"] == "50ms"
    assert kubelet["syncFrequency"] == "1s"
    arguments = {one["name"]: one["value"] for one in plane["apiServer"]["extraArgs"]}
    (mount,) = config["nodes"][0]["extraMounts"]
    assert arguments["audit-policy-file"] == mount["containerPath"]
    assert int(arguments["audit-log-maxsize"]) >= 10_000, "megabytes: a log that is rotated loses what a test reads"
    assert yaml.safe_load(Path(mount["hostPath"]).read_text())["kind"] == "Policy"


def test_every_image_can_be_replaced(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(machine)
    assert set(PUBLIC) == set(LOCAL)
    for part, usual in PUBLIC.items():
        assert images.name(part) == usual
        monkeypatch.setenv(f"SPARKRELEASE_IMAGE_{part.upper()}", f"mirror.example/{part}:1")
        assert images.name(part) == f"mirror.example/{part}:1"
    monkeypatch.setenv("SPARKRELEASE_IMAGE_APP", "mirror.example/app")
    assert images.app("v7") == "mirror.example/app:v7"


def test_the_example_is_built_on_the_operators_image_once_however_many_ask(
    machine: Host, recorder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKRELEASE_IMAGE", "mirror.example/operator:1")
    images = Images(machine)
    with ThreadPoolExecutor(4) as threads:
        named = set(threads.map(lambda _: images.app("v1", "trading"), range(8)))
    assert named == {"testbed/trading:v1"}
    wanted = [f"testbed/trading:v{number}" for number in (1, 2, 3)]
    asked = recorder.read_text().splitlines()
    assert [line.split()[4] for line in asked if line.startswith("docker build")] == wanted
    assert asked[-1].startswith(f"kind load docker-image {' '.join(wanted)} --name")
    folder = machine.folder / "trading" / "v2"
    dockerfile = (folder / "Dockerfile").read_text()
    assert dockerfile.startswith("FROM mirror.example/operator:1\n")
    assert "ENV VERSION=v2\n" in dockerfile
    assert {path.name for path in (folder / "trading").iterdir()} == {
        path.name for path in (PROJECT / "examples" / "trading").glob("*.py")
    }


def test_this_machine_is_known_by_its_address_on_the_way_to_the_node() -> None:
    assert address_towards("127.0.0.1") == "127.0.0.1"


def test_the_manifests_name_parts_where_images_go_in(machine: Host) -> None:
    found = Images(machine).fill_in(monitoring.third_parties())
    images = {
        container["image"]
        for obj in found
        if obj["kind"] == "Deployment"
        for container in obj["spec"]["template"]["spec"]["containers"]
    }
    assert images == {PUBLIC["contour"], PUBLIC["envoy"], PUBLIC["prometheus"]}
    assert not [image for image in images if image.endswith(":latest") or ":" not in image]


def test_envoy_measures_at_the_same_edges_as_in_the_local_lane() -> None:
    (config,) = (
        obj for obj in monitoring.third_parties() if obj["kind"] == "ConfigMap" and "envoy.json" in obj["data"]
    )
    bootstrap = yaml.safe_load(config["data"]["envoy.json"])
    assert bootstrap["stats_config"]["histogram_bucket_settings"][0]["buckets"] == list(LATENCY_EDGES_MS)


def test_an_instance_is_the_shipped_deployment_but_for_name_image_and_configuration() -> None:
    (shipped,) = objects.load_objects(PROJECT / "manifests" / "base" / "deployment.yaml")
    wish = operators.deployment(shipped, "operator-1-0", "some:image", args=["--log-level=debug"], env={"X": "1"})
    ours, theirs = wish["spec"]["template"]["spec"], shipped["spec"]["template"]["spec"]
    for field in ("securityContext", "serviceAccountName", "terminationGracePeriodSeconds"):
        assert ours[field] == theirs[field]
    (mine,), (original,) = ours["containers"], theirs["containers"]
    for field in ("securityContext", "volumeMounts", "resources", "readinessProbe"):
        assert mine[field] == original[field]
    assert mine["args"] == [*original["args"], "--log-level=debug"]
    variables = {one["name"]: one.get("value") for one in mine["env"]}
    assert variables["POD_NAME"] == "operator-1-0"
    assert variables["X"] == "1"
    (mount,) = (one for one in mine["volumeMounts"] if one["name"] == "config")
    assert mount["mountPath"] == operators.CONFIG_FOLDER
    assert wish["spec"]["selector"]["matchLabels"].items() <= wish["spec"]["template"]["metadata"]["labels"].items()
    assert shipped["metadata"]["name"] == "sparkrelease-operator"


def test_envoys_own_door_leaves_the_port_of_contours_listener_free() -> None:
    """Contour gives Envoy a listener on 127.0.0.1:9001; refused, it is offered again a thousand times a second."""
    bootstrap = yaml.safe_load((PROJECT / "tests/testbed/kindlane/envoy-bootstrap.yaml").read_text())
    door = bootstrap["admin"]["address"]["socket_address"]["port_value"]
    clusters = {cluster["name"]: cluster for cluster in bootstrap["static_resources"]["clusters"]}
    endpoint = clusters["envoy-admin"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert door == endpoint["address"]["socket_address"]["port_value"] != 9001


def test_an_audit_log_that_several_threads_ask_for_is_copied_once_and_whole(machine: Host) -> None:
    written = machine.folder / "written.jsonl"
    written.write_text("".join(f'{{"number": {number}}}\n' for number in range(1000)))
    docker = machine.folder / "docker"
    docker.write_text(f'#!/bin/sh\n/bin/sleep 0.02\nexec /usr/bin/tail -c "$5" {written}\n')
    docker.chmod(0o755)
    node = Node(machine)
    with ThreadPoolExecutor(8) as threads:
        copies = {copy.path for copy in threads.map(lambda _: node.audit(), range(16))}
    assert [copy.read_text() for copy in copies] == [written.read_text()]


@pytest.mark.parametrize("body", [b'{"kind": "Status", "code": 503}', b'{"queries": 0}'])
def test_a_proxy_that_does_not_listen_yet_is_waited_for(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server answers in its place."""
    monkeypatch.setattr(urllib3, "request", lambda *_, **__: urllib3.HTTPResponse(body, status=503))
    with pytest.raises(urllib3.exceptions.HTTPError, match="503"):
        PodPrometheusProxy("http://proxy", "http://api/proxy", lambda: None).queries()
