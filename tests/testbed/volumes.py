"""ConfigMaps as files: what a kubelet mounts into a pod, kept as the API server has it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3

from testbed.kubeapi import ApiError, KubeApi, KubeObject

PERIOD = 0.2
"""Seconds between two looks at a mounted ConfigMap (a real kubelet: up to a minute)."""

_Map = tuple[str, str]
"""Namespace and name of a ConfigMap."""

log = logging.getLogger("kubelet")


class ConfigMapVolumes:
    """Folders with a file per key. Volumes of other kinds, and items and subPath, are left out."""

    def __init__(self, api: KubeApi, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._mounted: dict[_Map, list[Path]] = {}
        self._versions: dict[_Map, str] = {}
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()

    def mounts(self, pod: KubeObject, container: Mapping[str, Any]) -> Mapping[str, Path]:
        """By mountPath, the folder that stands for it; what is in the ConfigMap now is there when this returns."""
        meta = pod["metadata"]
        named = {v["name"]: v["configMap"]["name"] for v in pod["spec"].get("volumes", []) if "configMap" in v}
        found: dict[str, Path] = {}
        for mount in container.get("volumeMounts", []):
            if mount["name"] in named:
                place = self._folder / "volumes" / meta["uid"] / mount["name"]
                place.mkdir(parents=True, exist_ok=True)
                found[mount["mountPath"]] = place
                self._keep((meta["namespace"], named[mount["name"]]), place)
        return found

    def _keep(self, place: _Map, folder: Path) -> None:
        with self._writing:
            self._mounted.setdefault(place, []).append(folder)
            self._versions.pop(place, None)
            self._look(place)
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_again, daemon=True)
            self._thread.start()

    def _look_again(self) -> None:
        while True:
            time.sleep(PERIOD)
            for place in list(self._mounted):
                with self._writing:
                    self._look(place)

    def _look(self, place: _Map) -> None:
        """Writes the files anew where the ConfigMap changed. One that is gone leaves them, as a kubelet does."""
        namespace, name = place
        try:
            body = self._api.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            log.info("ConfigMap %s/%s: %s", namespace, name, error)
            return
        version = body["metadata"]["resourceVersion"]
        if self._versions.get(place) == version:
            return
        for folder in self._mounted[place]:
            _write(folder, body.get("data", {}))
        self._versions[place] = version


def within(mounts: Mapping[str, Path], env: Mapping[str, str]) -> dict[str, str]:
    """An environment whose paths below a mountPath lead to the folder that stands for it: processes share one root."""
    return dict(_led(mounts, env))


def _led(mounts: Mapping[str, Path], env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        path = next((path for path in mounts if value == path or value.startswith(f"{path}/")), None)
        yield name, value if path is None else f"{mounts[path]}{value[len(path) :]}"


def _write(folder: Path, data: Mapping[str, str]) -> None:
    for key, text in data.items():
        unfinished = folder / f".{key}"
        unfinished.write_text(text)
        unfinished.rename(folder / key)
    for file in folder.iterdir():
        if file.name not in data and not file.name.startswith("."):
            file.unlink()
