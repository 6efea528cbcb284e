"""The CustomResourceDefinitions, made from the models."""

from __future__ import annotations

from pydantic import BaseModel

from sparkrelease.api.approval import ReleaseApprovalSpec
from sparkrelease.api.objects import (
    APPROVAL_KIND,
    APPROVALS,
    GROUP,
    POLICIES,
    POLICY_KIND,
    RELEASE_KIND,
    RELEASES,
    VERSION,
)
from sparkrelease.api.schema import Schema, structural_schema
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.api.status import SparkReleaseStatus

_LONGEST_NAME = 63
"""The name of a release is also a label of its evidence, and a label holds no more."""

_OBJECT_FIELDS: Schema = {
    "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
    "kind": {"description": "Kind of the object.", "type": "string"},
    "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": _LONGEST_NAME}}},
}


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


def _column(name: str, path: str, description: str, *, kind: str = "string", wide: bool = False) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path, "description": description}
    if wide:
        column["priority"] = 1
    return column


_RELEASE_COLUMNS: list[Schema] = [
    _column("Version", ".spec.version", "Version wanted."),
    _column("Phase", ".status.phase", "Where the release is."),
    _column("Stage", ".status.stageText", "Stage under way, out of how many."),
    _column("Weight", ".status.weight.observed", "Canary weight on the route, in percent.", kind="number"),
    _column("Verdict", ".status.verdict", "Worst last verdict of all rules."),
    _column("Gate", ".status.gateText", "Thresholds passing, or signatures."),
    _column("Ready", _ready("status"), "Whether nothing is left to do."),
    _column("Age", ".metadata.creationTimestamp", "Time since the object was created.", kind="date"),
    _column("Reason", _ready("reason"), "Why it is Ready, or not.", wide=True),
    _column("Next", ".status.next.what", "What happens next.", wide=True),
    _column("Run", ".status.run.id", "Run under way, or the last one.", wide=True),
]

_POLICY_COLUMNS: list[Schema] = [
    _column("Age", ".metadata.creationTimestamp", "Time since the object was created.", kind="date"),
]

_APPROVAL_COLUMNS: list[Schema] = [
    _column("Release", ".spec.release.name", "Release it is for."),
    _column("Run", ".spec.run", "Run it is for."),
    _column("Stage", ".spec.stage", "Stage it approves; empty for the go/no-go."),
    _column("Decision", ".spec.decision", "GO or NO-GO."),
    _column("By", ".spec.approvedBy", "Who signed."),
    _column("Age", ".metadata.creationTimestamp", "Time since it was signed.", kind="date"),
]


def _definition(kind: str, plural: str, short: list[str], scope: str, version: Schema) -> Schema:
    names: Schema = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    if short:
        names["shortNames"] = short
    names["categories"] = ["delivery"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "sparkrelease"}},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": scope,
            "versions": [{"name": VERSION, "served": True, "storage": True, **version}],
        },
    }


def _root(
    description: str, spec: type[BaseModel], status: type[BaseModel] | None = None, *, brief: bool = False
) -> Schema:
    parts: Schema = {**_OBJECT_FIELDS, "spec": structural_schema(spec)}
    if status is not None:
        parts["status"] = structural_schema(status, written_by_people=False, brief=brief)
    root = {"description": description, "type": "object", "required": ["spec"], "properties": parts}
    return {"openAPIV3Schema": root}


def release_definition(*, brief: bool = True) -> Schema:
    """The CustomResourceDefinition of SparkRelease; not `brief`, it explains every word, as its page does."""
    return _definition(
        RELEASE_KIND,
        RELEASES,
        ["sr"],
        "Namespaced",
        {
            "subresources": {"status": {}},
            "additionalPrinterColumns": _RELEASE_COLUMNS,
            "schema": _root(
                "A release: one version brought to all requests stage by stage, judged by what is measured, "
                "and taken back within seconds when it is bad.",
                SparkReleaseSpec,
                SparkReleaseStatus,
                brief=brief,
            ),
        },
    )


def policy_definition() -> Schema:
    """The CustomResourceDefinition of ReleasePolicy."""
    return _definition(
        POLICY_KIND,
        POLICIES,
        [],
        "Cluster",
        {
            "additionalPrinterColumns": _POLICY_COLUMNS,
            "schema": _root(
                "What many releases share: stages, metrics, thresholds, triggers. Releases name it in spec.policyRef.",
                ReleasePolicySpec,
            ),
        },
    )


def approval_definition() -> Schema:
    """The CustomResourceDefinition of ReleaseApproval."""
    return _definition(
        APPROVAL_KIND,
        APPROVALS,
        [],
        "Namespaced",
        {
            "additionalPrinterColumns": _APPROVAL_COLUMNS,
            "schema": _root(
                "A signature: GO or NO-GO by one person, for one run of one release. The right to create it is the "
                "right to approve; it is never changed.",
                ReleaseApprovalSpec,
            ),
        },
    )
