"""Where things live in the Kubernetes API."""

from __future__ import annotations

from urllib.parse import quote

SPARKRELEASE_API = "/apis/sparkrelease.dev/v1alpha1"
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
FIELD_MANAGER = "sparkrelease"

COLLECTIONS = {
    "SparkRelease": (SPARKRELEASE_API, "sparkreleases"),
    "ReleasePolicy": (SPARKRELEASE_API, "releasepolicies"),
    "ReleaseApproval": (SPARKRELEASE_API, "releaseapprovals"),
    "HTTPRoute": (GATEWAY_API, "httproutes"),
    "GRPCRoute": (GATEWAY_API, "grpcroutes"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Event": ("/api/v1", "events"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
}
"""API and collection of each kind the operator reads or writes through this package."""

CLUSTER_SCOPED = frozenset({"ReleasePolicy"})


def path_of(kind: str, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
    """Path of an object, or of a collection without `name`; of all namespaces without `namespace`."""
    api, collection = COLLECTIONS[kind]
    parts = [api]
    if namespace is not None and kind not in CLUSTER_SCOPED:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(collection)
    if name is not None:
        parts.append(quote(name, safe=""))
    if subresource is not None:
        parts.append(subresource)
    return "/".join(parts)
