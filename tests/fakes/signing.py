"""People who sign, in a cluster in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes.cluster import Body, FakeCluster
    from sparkrelease.ports.cluster import ObjectKey


def sign(cluster: FakeCluster, key: ObjectKey, by: str, decision: str = "GO", **spec: object) -> Body:
    """Somebody signs for the run that is under way."""
    run = cluster.status(key).run
    body: Body = {
        "metadata": {
            "namespace": key.namespace,
            "name": f"{key.name}-{len(cluster.approvals)}",
            "resourceVersion": cluster.bump(),
            "creationTimestamp": cluster.clock.now().isoformat(),
        },
        "spec": {
            "release": {"name": key.name, "uid": cluster.releases[key]["metadata"]["uid"]},
            "run": run.id if run else "",
            "decision": decision,
            "approvedBy": by,
            **spec,
        },
    }
    cluster.approvals.append(body)
    cluster.watch.append(("ReleaseApproval", "ADDED", body))
    return body


def unsign(cluster: FakeCluster, body: Body) -> None:
    """A signature is deleted."""
    cluster.approvals.remove(body)
    cluster.watch.append(("ReleaseApproval", "DELETED", body))
