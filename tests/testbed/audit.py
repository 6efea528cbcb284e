"""The API server's audit log: every write anybody made, in order, as evidence for a test."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from testbed.kubeapi import KubeObject

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_BODIES = [
    {"group": "sparkrelease.dev"},
    {"group": "gateway.networking.k8s.io"},
    {"group": "coordination.k8s.io", "resources": ["leases"]},
    {"group": "events.k8s.io", "resources": ["events"]},
    {"group": "", "resources": ["configmaps", "events"]},
    {"group": "apps", "resources": ["deployments", "deployments/scale"]},
]
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": False,
    "rules": [
        # bodies only of writes: lists of a thousand releases would bury the log
        {"level": "RequestResponse", "verbs": sorted(WRITES), "resources": _BODIES},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class AuditEvent:
    """One answered request.

    Attributes:
        cursor: place in the log after this event; `events(since=cursor)` goes on from there.
        verb: get, list, watch, create, update, patch, delete, deletecollection.
        user: authenticated name, such as `system:serviceaccount:<namespace>:<name>`.
        group: API group, empty for the core group.
        resource: plural, such as `httproutes`.
        code: HTTP status of the answer; 0 while a watch runs.
        stage: `ResponseComplete`, `ResponseStarted` (watches) or `Panic`.
        received: when the API server got the request.
        completed: when it had answered.
        raw: the whole event; `requestObject` and `responseObject` are there for writes of the product's kinds,
            Gateway API, Deployments, ConfigMaps, Events and Leases.
    """

    cursor: int
    verb: str
    user: str
    user_agent: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    stage: str
    received: dt.datetime
    completed: dt.datetime
    raw: KubeObject

    @property
    def writes(self) -> bool:
        """Whether the request meant to change something (a dry run does not); `code` says whether it did."""
        return self.verb in WRITES and "dryRun=" not in str(self.raw.get("requestURI", ""))

    @property
    def unanswered(self) -> bool:
        """Whether the answer leaves open if a write was stored: the server gave up on it, or its caller did."""
        return self.writes and (self.code >= 500 or self.code < 200)

    @property
    def request(self) -> KubeObject:
        """What was sent; empty when the policy does not keep it."""
        body = self.raw.get("requestObject")
        return body if isinstance(body, dict) else {}

    @property
    def response(self) -> KubeObject:
        """What was answered: the stored object, or a Status; empty when the policy does not keep it."""
        body = self.raw.get("responseObject")
        return body if isinstance(body, dict) else {}


@dataclass(frozen=True)
class AuditLog:
    """A JSON-lines audit log in a file that is being written."""

    path: Path

    def cursor(self) -> int:
        """The log's end, now: what comes after it is what happened since."""
        return self.path.stat().st_size if self.path.exists() else 0

    def events(self, since: int = 0) -> Iterator[AuditEvent]:
        """Events from `since` to the end as it is when it is reached; a line being written is left for next time.

        A cursor taken while a line was being written points into it: that event was before, and is left out.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(max(since - 1, 0))
            cursor = since
            if since > 0 and log.read(1) != b"\n":
                cursor += len(log.readline())
            for line in log:
                if not line.endswith(b"\n"):
                    return
                cursor += len(line)
                yield _event(json.loads(line), cursor)


def write_policy(path: Path) -> Path:
    path.write_text(yaml.safe_dump(POLICY))
    return path


def _event(raw: KubeObject, cursor: int) -> AuditEvent:
    about = raw.get("objectRef") or {}
    created = (raw.get("responseObject") or {}).get("metadata") or {}
    return AuditEvent(
        cursor=cursor,
        verb=raw["verb"],
        user=raw.get("user", {}).get("username", ""),
        user_agent=raw.get("userAgent", ""),
        group=about.get("apiGroup", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name") or created.get("name", ""),
        code=(raw.get("responseStatus") or {}).get("code", 0),
        stage=raw["stage"],
        received=dt.datetime.fromisoformat(raw["requestReceivedTimestamp"]),
        completed=dt.datetime.fromisoformat(raw["stageTimestamp"]),
        raw=raw,
    )
