"""What runs in a pod, as one short digest: equal for the replicas of one template, different when what runs differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

FINGERPRINT_DIGITS = 16
"""Hexadecimal digits kept of the digest: 64 bits, to tell apart a handful of versions."""

_CONTAINER_FIELDS = ("command", "args", "envFrom", "restartPolicy")
_IDENTITY_ENV = frozenset({"ISTIO_META_WORKLOAD_NAME", "ISTIO_META_OWNER"})
"""Variables in which an injector writes the name of the workload: they differ between stable and canary by nature."""

_TOKEN_VOLUME = "kube-api-access-"


def fingerprint(pod: Mapping[str, object]) -> str:
    """Digest over images, command, args, env, envFrom, mounts and volumes of all containers of the pod.

    Left out is what differs between replicas or is not what runs: labels, annotations, node, names of the pod and of
    its containers, the volume of the ServiceAccount token, containers added for debugging.
    """
    spec = _mapping(pod.get("spec"))
    status = _mapping(pod.get("status"))
    name = str(_mapping(pod.get("metadata")).get("name") or "")
    ignored = _token_volumes(spec)
    content = {
        "init": _containers(spec.get("initContainers"), status.get("initContainerStatuses"), ignored),
        "containers": _containers(spec.get("containers"), status.get("containerStatuses"), ignored),
        "volumes": [
            _volume(volume, name) for volume in _mappings(spec.get("volumes")) if volume.get("name") not in ignored
        ],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_DIGITS]}"


def began(pod: Mapping[str, object]) -> datetime | None:
    """When the pod's newest container began, restarts counted; None while none runs."""
    statuses = _mappings(_mapping(pod.get("status")).get("containerStatuses"))
    moments = [_mapping(_mapping(one.get("state")).get("running")).get("startedAt") for one in statuses]
    found = []
    for moment in moments:
        with suppress(ValueError):
            found.append(datetime.fromisoformat(str(moment)))
    return max(found, default=None)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Sequence[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _token_volumes(spec: Mapping[str, object]) -> frozenset[object]:
    """Names of the token volumes, which are made up anew for every pod."""
    return frozenset(
        volume.get("name")
        for volume in _mappings(spec.get("volumes"))
        if str(volume.get("name")).startswith(_TOKEN_VOLUME) and "projected" in volume
    )


def _containers(containers: object, statuses: object, ignored: frozenset[object]) -> list[dict[str, object]]:
    digests = {status.get("name"): str(status.get("imageID") or "") for status in _mappings(statuses)}
    return [
        {field: container[field] for field in _CONTAINER_FIELDS if container.get(field)}
        | {
            "image": _image(str(container.get("image") or ""), digests.get(container.get("name"), "")),
            "env": [var for var in _mappings(container.get("env")) if var.get("name") not in _IDENTITY_ENV],
            "mounts": [m for m in _mappings(container.get("volumeMounts")) if m.get("name") not in ignored],
            "devices": list(_mappings(container.get("volumeDevices"))),
        }
        for container in _mappings(containers)
    ]


def _image(wanted: str, running: str) -> str:
    """The image's digest: the one asked for, else the one the node says it runs, else the image's name.

    A node may report another digest than its neighbour for one multi-platform image, so an asked-for digest goes first.
    """
    for reference in (wanted, running):
        _, at, digest = reference.rpartition("@")
        if at:
            return digest
    return running or wanted


def _volume(volume: Mapping[str, object], pod: str) -> Mapping[str, object]:
    """The volume; of a StatefulSet's claim, what it has in common with the claims of the other replicas."""
    claim = _mapping(volume.get("persistentVolumeClaim"))
    name = str(claim.get("claimName") or "")
    if not pod or not name.endswith(f"-{pod}"):
        return volume
    return {**volume, "persistentVolumeClaim": {**claim, "claimName": name.removesuffix(pod)}}
