"""The copy of a Deployment that serves as stable: its manifest, and what a Deployment says of itself. No requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sparkrelease.adapters.kubernetes.settings import RESTARTED
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.deployed import Deployed
from sparkrelease.decide.facts import Problem

RELEASE = "sparkrelease.dev/release"
COPY_OF = "sparkrelease.dev/copy-of"
TEMPLATE = "sparkrelease.dev/template"
"""Annotations of the copy: whose it is, of which Deployment, and the digest of the pod template it was made from."""

MANAGED_BY = "app.kubernetes.io/managed-by"
SUFFIX = "-stable"

_TOLD_APART = ("app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "k8s-app", "name")
"""Labels whose value names the workload, the usual one first: in one of them the copy differs from the candidate."""

_LONGEST_LABEL = 63
_TRACKING = frozenset({"app.kubernetes.io/instance", MANAGED_BY, "helm.sh/chart"})
_TRACKING_PREFIXES = (
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "kustomize.config.k8s.io/",
)
_KEPT = ("strategy", "minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit")

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Apart:
    """The label by which the pods of both sides are told apart, and its two values."""

    label: str
    candidate: str
    stable: str


def part(body: Body, *path: str) -> Body:
    """An object within an object; empty when there is none."""
    for field in path:
        found = body.get(field)
        body = found if isinstance(found, Mapping) else {}
    return body


def text(body: Body, field: str) -> str:
    """A text within an object; empty when there is none."""
    return str(body.get(field) or "")


def apart(candidate: Body) -> Apart | Problem:
    """How the copy's pods differ from the candidate's, or why they cannot."""
    selector = part(candidate, "spec", "selector")
    labels = part(selector, "matchLabels")
    if selector.get("matchExpressions"):
        return _unsupported(candidate, "spec.selector.matchExpressions is set; select by matchLabels alone")
    if text(part(candidate, "spec", "strategy"), "type") == "Recreate":
        return _unsupported(candidate, "spec.strategy.type is Recreate, which ends stable's pods first; roll instead")
    known = [label for label in _TOLD_APART if label in labels]
    label = known[0] if known else next(iter(labels)) if len(labels) == 1 else None
    if label is None:
        usual = ", ".join(_TOLD_APART[:3])
        return _unsupported(candidate, f"spec.selector.matchLabels has none of {usual}; no label tells a copy apart")
    value = str(labels[label])
    if len(value) + len(SUFFIX) > _LONGEST_LABEL:
        return _unsupported(candidate, f"spec.selector.matchLabels.{label} is too long to have {SUFFIX} added")
    return Apart(label, value, value + SUFFIX)


def _unsupported(candidate: Body, why: str) -> Problem:
    name = text(part(candidate, "metadata"), "name")
    return Problem(Reason.WORKLOAD_UNSUPPORTED, f"Deployment {name}: {why}")


# ---------------------------------------------------------------- templates


def digest(template: object) -> str:
    """`sha256:<hex>` of a pod template as the API server stores it, without the mark of a restart of ours."""
    told = _without_mark(template) if isinstance(template, Mapping) else template
    canonical = json.dumps(_without_nothing(told), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _without_mark(template: Body) -> Body:
    """A mitigation that starts pods anew writes into their template, and it is the same template all the same."""
    metadata = part(template, "metadata")
    if RESTARTED not in part(metadata, "annotations"):
        return template
    notes = {name: value for name, value in part(metadata, "annotations").items() if name != RESTARTED}
    return {**template, "metadata": {**metadata, "annotations": notes or None}}


def _without_nothing(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


def relabel(template: Body, label: str, before: str, after: str) -> dict[str, object]:
    """A pod template with another value of one label, also where it selects its own pods (affinity, spreading)."""
    changed = _reselect(template, label, before, after)
    relabelled: dict[str, object] = dict(changed) if isinstance(changed, Mapping) else {}
    metadata = dict(part(relabelled, "metadata"))
    metadata["labels"] = _swap(part(metadata, "labels"), label, before, after)
    return relabelled | {"metadata": metadata}


def _reselect(value: object, label: str, before: str, after: str) -> object:
    if isinstance(value, list):
        return [_reselect(item, label, before, after) for item in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: _reselect(item, label, before, after) for key, item in value.items() if item is not None}
    selector = found.get("labelSelector")
    if isinstance(selector, Mapping) and "matchLabels" in selector:
        swapped = _swap(part(selector, "matchLabels"), label, before, after)
        found["labelSelector"] = {**selector, "matchLabels": swapped}
    return found


def _swap(labels: Body, label: str, before: str, after: str) -> dict[str, object]:
    return {key: after if key == label and value == before else value for key, value in labels.items()}


# ---------------------------------------------------------------- manifests


def copy_of(candidate: Body, name: str, release: str, unlike: Apart) -> dict[str, object]:
    """The copy to apply, without replicas.

    What a GitOps tool knows its objects by is left out, so that none of them takes the copy for its own and prunes it.
    There is no ownerReference: a pruned release must not take what serves with it.
    """
    metadata, spec = part(candidate, "metadata"), part(candidate, "spec")
    labels = {k: v for k, v in part(metadata, "labels").items() if not _tracks(k)}
    swapped = _swap(labels, unlike.label, unlike.candidate, unlike.stable)
    selector = _swap(part(spec, "selector", "matchLabels"), unlike.label, unlike.candidate, unlike.stable)
    template = part(spec, "template")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": text(metadata, "namespace"),
            "labels": {**swapped, MANAGED_BY: "sparkrelease"},
            "annotations": {
                RELEASE: release,
                COPY_OF: text(metadata, "name"),
                TEMPLATE: digest(template),
            },
        },
        "spec": {
            **{field: spec[field] for field in _KEPT if field in spec},
            "selector": {"matchLabels": selector},
            "template": relabel(template, unlike.label, unlike.candidate, unlike.stable),
        },
    }


def _tracks(label: str) -> bool:
    return label in _TRACKING or label.startswith(_TRACKING_PREFIXES)


# ---------------------------------------------------------------- reading


def candidate_of(name: str, body: Body | None, autoscaler: str) -> Deployed:
    """The candidate as it is; `body` is None when there is no such Deployment."""
    if body is None:
        return Deployed(name)
    unlike = apart(body)
    problem = _kept_by_others(name, body) or (unlike if isinstance(unlike, Problem) else None)
    found = _deployed(name, body, autoscaler)
    return replace(found, template=digest(part(body, "spec", "template")), problem=problem)


def stable_of(name: str, body: Body | None, autoscaler: str, owner: tuple[str, str], unlike: Apart | None) -> Deployed:
    """The copy as it is. `owner` are the names of the release and of the candidate."""
    if body is None:
        return Deployed(name, autoscaler=autoscaler)
    notes, template = part(body, "metadata", "annotations"), part(body, "spec", "template")
    problem = None
    if (notes.get(RELEASE), notes.get(COPY_OF)) != owner:
        said = f"Deployment {name} is there and is not the copy that release {owner[0]} keeps of {owner[1]}"
        problem = Problem(Reason.DEPLOYMENT_OWNED, f"{said}; rename one of them, or delete it if nothing needs it")
    read_as = relabel(template, unlike.label, unlike.stable, unlike.candidate) if unlike is not None else template
    found = _deployed(name, body, autoscaler)
    return replace(found, template=digest(read_as), copied=text(notes, TEMPLATE), problem=problem)


def _kept_by_others(name: str, body: Body) -> Problem | None:
    metadata = part(body, "metadata")
    owners = metadata.get("ownerReferences")
    for owner in owners if isinstance(owners, list) else []:
        if isinstance(owner, Mapping) and owner.get("controller"):
            who = f"{text(owner, 'kind')} {text(owner, 'name')}"
            kept = f"Deployment {name} is kept by {who}, which would undo what we write"
            return Problem(Reason.DEPLOYMENT_OWNED, kept)
    whose = text(part(metadata, "annotations"), COPY_OF)
    if whose:
        return Problem(Reason.DEPLOYMENT_OWNED, f"Deployment {name} is itself the copy of {whose}; name {whose}")
    return None


def _deployed(name: str, body: Body, autoscaler: str) -> Deployed:
    metadata, spec = part(body, "metadata"), part(body, "spec")
    replicas = _number(spec, "replicas")
    return Deployed(
        name=name,
        exists=True,
        version=text(metadata, "resourceVersion"),
        replicas=replicas,
        rolled_out=metadata.get("deletionTimestamp") is None and _rolled_out(body, replicas),
        autoscaler=autoscaler,
    )


def _rolled_out(body: Body, replicas: int) -> bool:
    """As `kubectl rollout status` judges, and at least one replica."""
    status = part(body, "status")
    counts = {_number(status, field) for field in ("replicas", "updatedReplicas", "availableReplicas")}
    observed = _number(status, "observedGeneration") >= _number(part(body, "metadata"), "generation")
    return observed and replicas > 0 and counts == {replicas}


def _number(body: Body, field: str) -> int:
    value = body.get(field)
    return value if isinstance(value, int) else 0
