"""Names this provider shares with the API server: group, plurals, labels, annotations, field manager."""

from __future__ import annotations

import hashlib

from sparkrelease.ports.marks import EPOCH, FIELD_MANAGER, MARKS, MIRROR, RELEASE, ROLLBACK, RUN, WEIGHT

__all__ = [
    "EPOCH",
    "FIELD_MANAGER",
    "FLUX_OFF",
    "GROUP",
    "MANAGED_BY",
    "MARKS",
    "MIRROR",
    "PLURALS",
    "RELEASE",
    "ROLLBACK",
    "RUN",
    "TRACKING_ANNOTATIONS",
    "TRACKING_LABELS",
    "VERSION",
    "WEIGHT",
    "label_value",
]

GROUP = "gateway.networking.k8s.io"
VERSION = "v1"
PLURALS = {"HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes"}

FLUX_OFF = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}
"""Keeps Flux away from a route that is not in Git."""

MANAGED_BY = "app.kubernetes.io/managed-by"

TRACKING_LABELS = (
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
)
TRACKING_ANNOTATIONS = (
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/installation-id",
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
)
"""By these a GitOps tool or kubectl knows an object as its own, and would prune or rewrite it."""

_LABEL_VALUE = 63


def label_value(release: str) -> str:
    """The release's name as a label value; a name too long for one is shortened and told apart by its digest."""
    if len(release) <= _LABEL_VALUE:
        return release
    digest = hashlib.sha256(release.encode()).hexdigest()[:10]
    return f"{release[: _LABEL_VALUE - 11].rstrip('-.')}-{digest}"
