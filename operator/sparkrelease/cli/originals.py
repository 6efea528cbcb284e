"""Files that preflight looked at, found again for an export. One with another digest than evidence has is not taken."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sparkrelease.adapters.kubernetes.evidence import label_value
from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.adapters.preflight.kube import content_of, unanswered
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.exits import CliError
from sparkrelease.documents.originals import Original
from sparkrelease.documents.people import Checked
from sparkrelease.ports.api_server import Reply

FOLDER = "originals"
"""A folder of its own: what is in it was written by others, and is not read as evidence when the export is."""

LARGEST = 1 << 20
"""Bytes. A ConfigMap holds no more, so no file that preflight read of one is larger."""

_IN_A_CONFIG_MAP = re.compile(r"(?P<config_map>[a-z0-9.-]+)/(?P<key>[-._A-Za-z0-9]+)")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file was when it was checked, and its path in an export."""

    config_map: str
    key: str
    path: str


Seek = Callable[[Place], bytes | str]
"""The content, or why there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """Files to write by their path, and what became of each by its check."""

    files: Mapping[str, bytes]
    told: Mapping[str, Original]

    @property
    def missing(self) -> Mapping[str, str]:
        """By check, why its file is not in the export."""
        return {name: one.missing for name, one in self.told.items() if one.missing}


def in_cluster(cluster: ClusterDoor) -> Seek:
    """Reads ConfigMaps of the release's namespace, with the rights of whoever asks; each of them once."""
    replies: dict[str, Reply] = {}

    def seek(place: Place) -> bytes | str:
        what = f"ConfigMap {place.config_map}"
        try:
            if place.config_map not in replies:
                path = path_of("ConfigMap", cluster.namespace, place.config_map)
                replies[place.config_map] = cluster.get(path)
        except CliError as error:
            return f"{what}: {error}"
        reply = replies[place.config_map]
        if reply.problem is not None:
            return unanswered(reply.problem, what).message
        content = content_of(reply.body, place.key)
        return content if content is not None else f"{what} has no key {place.key}"

    return seek


def in_export(kept: Path) -> Seek:
    """Reads what an earlier export has."""
    folder = kept if kept.is_dir() else kept.parent

    def seek(place: Place) -> bytes | str:
        file = folder.joinpath(*PurePosixPath(place.path).parts)
        if not file.is_file():
            return f"no cluster was asked, and {place.path} is not beside the evidence"
        try:
            with file.open("rb") as opened:
                return opened.read(LARGEST + 1)
        except OSError as problem:
            return f"{place.path} beside the evidence cannot be read: {problem.strerror}"

    return seek


def find_originals(checks: Iterable[Checked], seek: Seek) -> Found:
    """Every file that is still what was checked, and of each other one why it is not there."""
    files: dict[str, bytes] = {}
    told: dict[str, Original] = {}
    for check in checks:
        place = _place_of(check)
        content = seek(place) if isinstance(place, Place) else place
        fault = content if isinstance(content, str) else _fault_of(content, dict(check.details).get("sha256", ""))
        if isinstance(place, Place) and isinstance(content, bytes) and not fault:
            files[place.path] = content
            told[check.name] = Original(path=place.path)
        else:
            told[check.name] = Original(missing=fault)
    return Found(files, told)


def _place_of(check: Checked) -> Place | str:
    """Where the file was, or why that is no place to look in."""
    if check.reference:
        return "it is in a registry, which an export does not ask: `reference` says where"
    file = dict(check.details).get("file", "")
    if not file:
        return "the check had no file"
    found = _IN_A_CONFIG_MAP.fullmatch(file)
    if found is None:
        return f"{file} is no key of a ConfigMap"
    # The names come of evidence, which can be forged: none of them may lead out of the folder.
    path = PurePosixPath(FOLDER, label_value(check.name), label_value(found["key"]))
    return Place(found["config_map"], found["key"], path.as_posix())


def _fault_of(content: bytes, wanted: str) -> str:
    """Why this is not the file that was checked; empty when it is."""
    if len(content) > LARGEST:
        return f"what is there now has more than {LARGEST} bytes, and is another file than was checked"
    digest = hashlib.sha256(content).hexdigest()
    if digest == wanted:
        return ""
    return f"what is there now is another file: sha256:{digest[:_SHOWN]}..., checked was sha256:{wanted[:_SHOWN]}..."
