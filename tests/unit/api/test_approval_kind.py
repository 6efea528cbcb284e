"""The definition and the models of ReleaseApproval."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from sparkrelease.api.generate import ROOT
from sparkrelease.api.objects import ParsedApproval, read_approval
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from unit.api.wrong import Wrong, changed
from unit.api.wrong_approvals import SIGNED, WRONG_PAIRS, WRONG_SIGNATURES

AT = "2026-11-21T10:00:00Z"


def read(spec: dict[str, Any], at: str | None = AT) -> ParsedApproval | Problem:
    return read_approval({"metadata": {"name": "a", "creationTimestamp": at}, "spec": spec})


def refused_at(spec: dict[str, Any], field: str) -> None:
    problem = read(spec)
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.INVALID_SPEC
    assert field in problem.message
    assert problem.message.startswith("ReleaseApproval a: ")


def test_a_good_signature_is_read() -> None:
    found = read(SIGNED)
    assert isinstance(found, ParsedApproval)
    assert (found.name, found.spec.approved_by, found.spec.stage) == ("a", "jane@example.org", None)


@pytest.mark.parametrize("wrong", [w for w in WRONG_SIGNATURES if not w.only_the_server], ids=lambda wrong: wrong.what)
def test_a_wrong_signature_is_a_problem_that_names_the_field(wrong: Wrong) -> None:
    refused_at(changed(wrong.path, wrong.value, SIGNED), wrong.at)


@pytest.mark.parametrize("wrong", WRONG_SIGNATURES, ids=lambda wrong: wrong.what)
def test_the_smallest_correction_is_accepted(wrong: Wrong) -> None:
    assert isinstance(read(changed(wrong.path, wrong.mended, SIGNED)), ParsedApproval)


@pytest.mark.parametrize(("wrong", "mended", "at", "says"), WRONG_PAIRS)
def test_fields_that_contradict_each_other_are_a_problem(
    wrong: dict[str, Any], mended: dict[str, Any], at: str, says: str
) -> None:
    refused_at(SIGNED | wrong, at)
    assert isinstance(read(SIGNED | mended), ParsedApproval)


@pytest.mark.parametrize("at", [None, ""])
def test_a_signature_of_an_unknown_time_is_none(at: str | None) -> None:
    assert isinstance(read(SIGNED, at), Problem)


def test_a_signature_is_immutable_by_its_definition_and_has_no_status() -> None:
    definition = yaml.safe_load((ROOT / "crds/releaseapprovals.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert "self == oldSelf" in [rule["rule"] for rule in spec["x-kubernetes-validations"]]
    assert "subresources" not in version
    assert definition["spec"]["scope"] == "Namespaced"
    assert "default" not in str(spec["properties"])


def test_every_field_is_described_and_bounded() -> None:
    definition = yaml.safe_load((ROOT / "crds/releaseapprovals.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    for name, field in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].items():
        assert field["description"], name
        if field["type"] == "string":
            assert {"maxLength", "enum"} & set(field), name
