"""Whether a GitOps tool manages a route, and whether the route tells that tool to leave weights alone. Pure."""

from __future__ import annotations

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem

_ARGO_MANAGERS = frozenset({"argocd-controller", "argocd-application-controller"})
_ARGO_MARKS = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
_KUSTOMIZE_MANAGERS = frozenset({"kustomize-controller"})
_KUSTOMIZE_MARKS = ("kustomize.toolkit.fluxcd.io/name",)
_HELM_MANAGERS = frozenset({"helm-controller"})
_HELM_MARKS = ("helm.toolkit.fluxcd.io/name",)
_FLUX_KEEPS_OFF = {
    "kustomize.toolkit.fluxcd.io/reconcile": frozenset({"disabled"}),
    "kustomize.toolkit.fluxcd.io/ssa": frozenset({"IfNotPresent", "Ignore"}),
    "helm.toolkit.fluxcd.io/driftDetection": frozenset({"disabled"}),
}


def missing_ignore_rule(route: RouteObject, rule: str | None, *, mirrors: bool = False) -> Problem | None:
    """What to add to the GitOps tool's configuration; None where no tool manages the route or it was told already.

    A release that `mirrors` also changes the filters of its rules: they are to be ignored as a whole, for a list that
    is empty without ours is none in Git. An ignore rule of Argo CD is kept in its Application and cannot be seen on the
    route.
    """
    if _managed(route, _ARGO_MANAGERS, _ARGO_MARKS):
        only = f' | select(.name=="{rule}") | ' if rule else ""
        fields = ("backendRefs[]?.weight", "filters") if mirrors else ("backendRefs[]?.weight",)
        paths = ", ".join(f"'.spec.rules[]?{only}.{field}'" for field in fields)
        add = f"spec.ignoreDifferences of its Application: kind {route.key.kind}, jqPathExpressions [{paths}]"
        return _warning(route, "Argo CD", add)
    if any(route.annotation(key) in values for key, values in _FLUX_KEEPS_OFF.items()):
        return None
    paths = f"paths ['/spec/rules'], target kind {route.key.kind}"
    if _managed(route, _KUSTOMIZE_MANAGERS, _KUSTOMIZE_MARKS):
        return _warning(route, "Flux", f"spec.ignore of its Kustomization: {paths}")
    if _managed(route, _HELM_MANAGERS, _HELM_MARKS):
        return _warning(route, "Flux", f"spec.driftDetection.ignore of its HelmRelease: {paths}")
    return None


def _managed(route: RouteObject, managers: frozenset[str], marks: tuple[str, ...]) -> bool:
    return bool(route.managers & managers) or any(route.annotation(m) or route.label(m) for m in marks)


def _warning(route: RouteObject, tool: str, add: str) -> Problem:
    text = f"{tool} manages {route.key} and may revert weights during a run; add to {add}"
    return Problem(Reason.IGNORE_RULE_MISSING, text)
