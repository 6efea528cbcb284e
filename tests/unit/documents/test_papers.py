"""Signatures, declared checks, SBOM and provenance: as entries of evidence have them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from sparkrelease.decide.evidence import Entry
from sparkrelease.documents import people
from sparkrelease.documents.files import documents
from sparkrelease.documents.people import NOT_PART
from unit.documents import runs

SIGNATURE = {
    "name": "go-1",
    "by": "mira@example.org",
    "groups": ["cto"],
    "at": "2026-01-05T11:58:00.000Z",
    "decision": "GO",
    "stage": "",
    "items": ["backups"],
    "comment": "checked <twice>",
    "overrides": [],
}
APPROVED = {
    "items": {
        "backups": {"title": "Backups restore", "required": 1, "groups": ["cto"], "by": ["mira@example.org"]},
        "on-call": {"title": "Somebody is awake", "required": 2, "groups": [], "by": ["mira@example.org"]},
        "board": {
            "title": "The board",
            "required": 2,
            "groups": ["cto", "product"],
            "by": ["mira@example.org", "karl@example.org"],
            "roles": {"cto": "mira@example.org"},
            "missing": 1,
        },
    },
    "approvals": [SIGNATURE, SIGNATURE],
    "baselines": {"http": {"query": "q", "overSeconds": 3600.0, "value": 0.002, "problem": None}},
    "capacityFloor": 5,
}
PASSED = {
    "attempt": "v2.1",
    "items": [
        {
            "name": "sbom",
            "optional": False,
            "verdict": "Pass",
            "message": "SPDX, 214 packages",
            "details": {"file": "shop-files/sbom.json", "sha256": "ab12", "format": "SPDX"},
        },
        {"name": "clock", "optional": True, "verdict": "Fail", "message": "0.2, expected < 0.1", "details": {}},
    ],
}
DECLARED = [{"name": "sbom", "artifact": "shop-files/sbom.json", "kind": "sbom"}, {"name": "clock", "promql": "x"}]


def with_papers() -> list[Entry]:
    """A settled run whose first entries have what preflight and signers said."""
    start, *rest = runs.settled()
    passed = dataclasses.replace(start, number=2, kind="PreflightPassed", data=PASSED)
    approved = dataclasses.replace(start, number=3, kind="Approved", message="GO by mira@example.org", data=APPROVED)
    return [runs.without_inputs(start), passed, approved, *rest]


def files() -> Mapping[str, str]:
    entries = with_papers()
    return documents([], entries, runs.chain_of(entries))


def test_signatures_are_told_once_with_name_time_and_entry() -> None:
    text = files()["go_nogo_signed.txt"]
    assert text.count("GO by mira@example.org (cto), 2026-01-05T11:58:00.000Z: checked <twice>") == 1
    assert NOT_PART not in text
    assert "backups: Backups restore (1 of 1: mira@example.org)" in text
    assert "missing  on-call: Somebody is awake (1 of 2: mira@example.org)" in text


def test_who_stood_for_which_group_is_told_and_two_people_of_one_are_not_two() -> None:
    text = files()["go_nogo_signed.txt"]
    assert "missing  board: The board (1 of 2: mira@example.org, karl@example.org)\n" in text
    assert "for cto: mira@example.org" in text


def test_declared_checks_are_told_with_their_verdicts() -> None:
    text = files()["blind_spots_scan.txt"]
    assert "Pass: sbom: SPDX, 214 packages" in text
    assert "Fail: clock (optional): 0.2, expected < 0.1" in text
    assert "1 of 2 passed (entry 2" in text


def test_baselines_and_floor_are_those_taken_after_the_last_signature() -> None:
    found = files()
    assert "http: 0.2 % over the 3600 s before" in found["baseline_metrics.txt"]
    assert "5 ready stable endpoints" in found["canary_plan.txt"]


def test_what_a_check_did_not_pass_is_a_risk() -> None:
    body = json.loads(files()["run.json"])
    assert "the optional check clock did not pass" in str(body["risks"])
    assert body["partOfRun"] == {"approvals": True, "sbom": False, "provenance": False, "declaredChecks": True}
    assert [one["by"] for one in body["signatures"]] == ["mira@example.org"]


def test_an_sbom_is_told_by_what_its_check_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of file stands in the spec, which the models of this tree may not know yet."""
    monkeypatch.setattr(people, "_kinds", lambda _: {"sbom": "sbom"})
    body = json.loads(files()["sbom.json"])
    assert body["partOfRun"] is True
    assert (body["files"][0]["file"], body["files"][0]["sha256"]) == ("shop-files/sbom.json", "ab12")
    assert json.loads(files()["build_provenance.json"])["partOfRun"] is False


def test_kinds_of_files_are_read_from_the_declared_checks() -> None:
    run = runs.run_of(with_papers())
    start = next(run.entries)
    spec: Any = start.data["spec"]
    decision = dataclasses.replace(
        run.decisions[0], entries=(dataclasses.replace(start, data={"spec": {**spec, "preflight": DECLARED}}),)
    )
    assert people._kinds(dataclasses.replace(run, decisions=(decision,))) == {"sbom": "sbom", "clock": ""}
