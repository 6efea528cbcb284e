"""What a mounted ConfigMap looks like to a process, and that it follows the API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from testbed import volumes
from testbed.kubeapi import ApiError, KubeApi
from testbed.volumes import ConfigMapVolumes, within
from testbed.waiting import wait_for

POD = {
    "metadata": {"namespace": "shop", "uid": "uid-1"},
    "spec": {"volumes": [{"name": "flags", "configMap": {"name": "shop-flags"}}, {"name": "tmp", "emptyDir": {}}]},
}
CONTAINER = {"volumeMounts": [{"name": "flags", "mountPath": "/etc/flags"}, {"name": "tmp", "mountPath": "/tmp"}]}


class Api:
    """One ConfigMap, or none."""

    def __init__(self, **data: str) -> None:
        self.version = 0
        self.put(**data)

    def put(self, **data: str) -> None:
        self.data, self.version = data, self.version + 1

    def request(self, method: str, path: str) -> dict[str, Any]:
        assert path == "/api/v1/namespaces/shop/configmaps/shop-flags"
        if not self.data:
            raise ApiError("GET", 404, {})
        return {"metadata": {"resourceVersion": str(self.version)}, "data": dict(self.data)}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(volumes, "PERIOD", 0.01)
    return Api(FEATURE="0", OTHER="x")


def mounted(api: Api, folder: Path) -> Path:
    found = ConfigMapVolumes(cast("KubeApi", api), folder).mounts(POD, CONTAINER)
    assert found.keys() == {"/etc/flags"}
    return found["/etc/flags"]


def test_every_key_is_a_file_from_the_start_and_follows_its_config_map(api: Api, tmp_path: Path) -> None:
    folder = mounted(api, tmp_path)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"FEATURE": "0", "OTHER": "x"}
    api.put(FEATURE="0.1")
    wait_for("the new value", lambda: (folder / "FEATURE").read_text() == "0.1", timeout=5)
    wait_for("a key that is gone", lambda: not (folder / "OTHER").exists(), timeout=5)


def test_a_config_map_that_is_deleted_leaves_what_was_there(api: Api, tmp_path: Path) -> None:
    folder = mounted(api, tmp_path)
    api.put()
    api.put(FEATURE="0.5")
    wait_for("one made anew", lambda: (folder / "FEATURE").read_text() == "0.5", timeout=5)


def test_paths_below_a_mount_lead_to_its_folder_and_others_stay(tmp_path: Path) -> None:
    env = {"FILE": "/etc/flags/FEATURE", "DIR": "/etc/flags", "ELSE": "/etc/flagship", "TEXT": "v1"}
    assert within({"/etc/flags": tmp_path}, env) == {
        "FILE": f"{tmp_path}/FEATURE",
        "DIR": str(tmp_path),
        "ELSE": "/etc/flagship",
        "TEXT": "v1",
    }
