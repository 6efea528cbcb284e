"""Which GitOps tool keeps an object as Git has it, and how it is told to leave a part of it alone. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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


def missing_ignore_rule(
    what: str, kind: str, managers: Collection[str], marks: Mapping[str, str], *, jq: Sequence[str], pointer: str
) -> Problem | None:
    """What to add to the tool's configuration; None where no tool manages the object or it was told already.

    An ignore rule of Argo CD is kept in its Application and cannot be seen on the object.

    Args:
        what: the object, for people.
        kind: its kind.
        managers: its field managers.
        marks: its labels and annotations.
        jq: the parts that change during a run, as Argo CD wants it.
        pointer: where they are, as Flux wants it.
    """

    def managed(by: frozenset[str], known_by: tuple[str, ...]) -> bool:
        return not by.isdisjoint(managers) or any(marks.get(mark) for mark in known_by)

    if managed(_ARGO_MANAGERS, _ARGO_MARKS):
        paths = ", ".join(f"'{part}'" for part in jq)
        add = f"spec.ignoreDifferences of its Application: kind {kind}, jqPathExpressions [{paths}]"
        return _warning(what, "Argo CD", add)
    if any(marks.get(key) in values for key, values in _FLUX_KEEPS_OFF.items()):
        return None
    paths = f"paths ['{pointer}'], target kind {kind}"
    if managed(_KUSTOMIZE_MANAGERS, _KUSTOMIZE_MARKS):
        return _warning(what, "Flux", f"spec.ignore of its Kustomization: {paths}")
    if managed(_HELM_MANAGERS, _HELM_MARKS):
        return _warning(what, "Flux", f"spec.driftDetection.ignore of its HelmRelease: {paths}")
    return None


def _warning(what: str, tool: str, add: str) -> Problem:
    text = f"{tool} manages {what} and may revert weights during a run; add to {add}"
    return Problem(Reason.IGNORE_RULE_MISSING, text)
