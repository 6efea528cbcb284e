"""A message as a CloudEvent 1.0 in JSON (structured mode), and as a CDEvent where its vocabulary has the thing.

CDEvents 0.4.1 knows a service that was upgraded or rolled back; its specification binds it to CloudEvents.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from sparkrelease.api.base import format_time
from sparkrelease.api.objects import API_VERSION, RELEASES
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus
from sparkrelease.decide.notices import Notice

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
CDEVENTS = "0.4.1"

_CDEVENTS: Mapping[Reason, str] = {
    Reason.PROMOTED: "dev.cdevents.service.upgraded.0.2.0",
    Reason.ROLLED_BACK: "dev.cdevents.service.rolledback.0.2.0",
}


def body(notice: Notice, cluster: str) -> dict[str, object]:
    """The event. `source` is the path of the release in the Kubernetes API, below the cluster's name if it has one."""
    subject = notice.subject
    source = f"{quote(cluster)}/apis/{API_VERSION}/namespaces/{subject.namespace}/{RELEASES}/{subject.name}"
    source = f"//{source}" if cluster else source
    kind = _CDEVENTS.get(notice.reason)
    data = _data(notice, cluster)
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": source,
        "type": kind or f"dev.sparkrelease.{notice.topic.value}.v1",
        "subject": subject.name if kind else notice.run or subject.name,
        "time": format_time(notice.at),
        "datacontenttype": "application/json",
        "data": _cdevent(notice, kind, source, cluster, data) if kind else data,
    }


def _cdevent(notice: Notice, kind: str, source: str, cluster: str, data: Mapping[str, object]) -> dict[str, object]:
    subject = notice.subject
    return {
        "context": {
            "version": CDEVENTS,
            "id": notice.id,
            "source": source,
            "type": kind,
            "timestamp": format_time(notice.at),
        },
        "subject": {
            "id": subject.name,
            "source": source,
            "type": "service",
            "content": {
                "environment": {"id": f"{cluster}/{subject.namespace}" if cluster else subject.namespace},
                "artifactId": f"pkg:generic/{quote(subject.name)}@{quote(notice.version, safe='')}",
            },
        },
        "customData": dict(data),
        "customDataContentType": "application/json",
    }


def _evidence(evidence: EvidenceStatus) -> dict[str, object] | None:
    return {"head": evidence.head, "entries": evidence.entries} if evidence.head else None


def _data(notice: Notice, cluster: str) -> dict[str, object]:
    """What a program reads; a key whose value is not known is left out."""
    subject = notice.subject
    found: dict[str, object] = {
        "topic": notice.topic.value,
        "reason": notice.reason.value,
        "warning": notice.warning,
        "message": notice.message,
        "cluster": cluster or None,
        "namespace": subject.namespace,
        "release": subject.name,
        "uid": subject.uid,
        "version": notice.version or None,
        "run": notice.run or None,
        "phase": notice.phase,
        "stage": notice.stage or None,
        "rules": [
            {
                "rule": rule.rule,
                "verdict": rule.verdict.value,
                "value": rule.value,
                "limit": rule.limit,
                "message": rule.message,
            }
            for rule in notice.rules
        ],
        "canaryWeightBefore": notice.weight_before,
        "canaryWeight": notice.weight,
        "mirrorBefore": notice.mirror_before,
        "mirror": notice.mirror or None,
        "rollbackSeconds": notice.seconds,
        "evidence": _evidence(notice.evidence),
        "command": notice.command,
        "again": notice.again,
    }
    return {key: value for key, value in found.items() if value is not None}
