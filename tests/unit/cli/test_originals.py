"""Bills of materials and attestations beside the documents of a run: what was checked, or why it is not there."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sparkrelease.adapters.kubernetes.replies import reply_of
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.export import Source, export
from sparkrelease.cli.kept import checked_files
from sparkrelease.cli.originals import LARGEST
from sparkrelease.decide.evidence import Entry
from sparkrelease.ports.api_server import Reply
from unit.cli.doors import FakeDoor
from unit.cli.test_replay import config_map, rechained, rolled_back

PATH = "/api/v1/namespaces/shop/configmaps/release-files"
SBOM = '{"bomFormat": "CycloneDX", "metadata": {"component": "schön"}}\n'
IN_A_REGISTRY = "oci://registry.example.com/team/app@sha256:" + "b" * 64


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def checked(
    content: str = SBOM,
    *,
    key: str = "sbom.json",
    artifact: str | None = None,
    details: dict[str, str] | None = None,
) -> list[Entry]:
    """A run whose preflight looked at a bill of materials."""
    declared = {"name": "sbom", "artifact": artifact or f"release-files/{key}@sha256:{sha256(content)}", "kind": "sbom"}
    usual = {"file": f"release-files/{key}", "sha256": sha256(content), "format": "CycloneDX"}
    found = usual if details is None else details
    item = {"name": "sbom", "optional": False, "verdict": "Pass", "message": "1 package", "details": found}
    start, *rest = rolled_back()
    spec: Any = start.data["spec"]
    start = dataclasses.replace(start, data={**start.data, "spec": {**spec, "preflight": [declared]}})
    passed = dataclasses.replace(start, kind="PreflightPassed", data={"attempt": "v2.1", "items": [item]})
    return [dataclasses.replace(one, number=number) for number, one in enumerate([start, passed, *rest], 1)]


def stored(**body: dict[str, str]) -> Reply:
    return reply_of("GET", PATH, 200, json.dumps({"kind": "ConfigMap", **body}).encode(), None)


def source(entries: list[Entry], reply: Reply | None) -> Source:
    door = FakeDoor(None, namespace="shop")
    door.config_maps = [config_map(entries, rechained(entries))]
    door.objects = {PATH: reply} if reply is not None else {}
    return Source("shop", None, cluster=door)


def record(folder: Path) -> dict[str, Any]:
    (told,) = json.loads((folder / "sbom.json").read_text())["files"]
    found: dict[str, Any] = told
    return found


def originals(folder: Path) -> list[str]:
    return [one.relative_to(folder).as_posix() for one in (folder / "originals").rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    "body",
    [{"data": {"sbom.json": SBOM}}, {"binaryData": {"sbom.json": base64.b64encode(SBOM.encode()).decode()}}],
)
def test_the_file_that_was_checked_is_written_beside_its_record_byte_for_byte(
    body: dict[str, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(source(checked(), stored(**body)), tmp_path) is ExitCode.FINE
    told = record(tmp_path)
    assert (told["original"], "originalMissing" in told) == ("originals/sbom/sbom.json", False)
    assert (tmp_path / told["original"]).read_bytes() == SBOM.encode()
    assert told["sha256"] == sha256(SBOM)
    said = capsys.readouterr()
    assert ("originals/sbom/sbom.json" in said.out, said.err) == (True, "")


FORBIDDEN = b'{"kind": "Status", "message": "configmaps \\"release-files\\" is forbidden: mira may not get it"}'


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (None, "ConfigMap release-files does not exist"),
        (reply_of("GET", PATH, 403, FORBIDDEN, None), "is forbidden: mira may not get it"),
        (stored(data={"other": "x"}), "ConfigMap release-files has no key sbom.json"),
        (stored(data={"sbom.json": SBOM + " "}), f"another file: sha256:{sha256(SBOM + ' ')[:12]}..."),
        (stored(data={"sbom.json": "x" * (LARGEST + 1)}), f"more than {LARGEST} bytes"),
    ],
)
def test_a_file_that_cannot_be_had_is_said_in_its_record_and_on_the_screen_and_the_rest_is_written(
    reply: Reply | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(source(checked(), reply), tmp_path) is ExitCode.FINE
    told = record(tmp_path)
    assert why in told["originalMissing"]
    assert (told["sha256"], "original" in told) == (sha256(SBOM), False)
    assert originals(tmp_path) == []
    said = " ".join(capsys.readouterr().err.split())
    assert "the file that check sbom looked at is not among them" in said and why in said


def test_a_cluster_that_goes_away_in_between_costs_the_file_and_not_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Reply:
        raise CliError(ExitCode.UNREACHABLE, "cannot reach it")

    monkeypatch.setattr(FakeDoor, "get", away)
    assert export(source(checked(), None), tmp_path) is ExitCode.FINE
    assert record(tmp_path)["originalMissing"] == "ConfigMap release-files: cannot reach it"


def test_a_file_in_a_registry_is_not_asked_for_and_its_whole_reference_is_kept(tmp_path: Path) -> None:
    details = {"file": IN_A_REGISTRY[:55] + "...", "sha256": sha256(SBOM), "format": "CycloneDX"}
    entries = checked(artifact=IN_A_REGISTRY, details=details)
    export(source(entries, None), tmp_path)
    told = record(tmp_path)
    assert told["reference"] == IN_A_REGISTRY
    assert "in a registry" in told["originalMissing"]


def test_a_check_that_had_no_file_has_none_to_keep(tmp_path: Path) -> None:
    export(source(checked(details={}), None), tmp_path)
    assert record(tmp_path)["originalMissing"] == "the check had no file"


def test_an_export_of_an_export_has_the_same_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    export(source(checked(), stored(data={"sbom.json": SBOM})), first)
    assert export(Source("shop", None, kept=first), second) is ExitCode.FINE
    one = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
    other = {path.relative_to(second): path.read_bytes() for path in second.rglob("*") if path.is_file()}
    assert one == other


def test_an_export_of_the_chain_alone_says_that_no_cluster_was_asked(tmp_path: Path) -> None:
    file = tmp_path / "evidence.jsonl"
    file.write_text("\n".join(rechained(checked())))
    export(Source("shop", None, kept=file), tmp_path / "out")
    assert record(tmp_path / "out")["originalMissing"].startswith("no cluster was asked, and originals/sbom/sbom.json")


def test_a_file_changed_in_an_export_is_not_passed_on(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    export(source(checked(), stored(data={"sbom.json": SBOM})), first)
    (first / "originals" / "sbom" / "sbom.json").write_text("{}")
    export(Source("shop", None, kept=first), second)
    assert "another file" in record(second)["originalMissing"]
    assert originals(second) == []


def test_a_file_that_looks_like_evidence_is_not_read_as_evidence(tmp_path: Path) -> None:
    """An author chooses what is in a bill of materials, and its name: it must not speak for a run."""
    forged = "\n".join(rechained([dataclasses.replace(one, run="forged") for one in rolled_back()]))
    entries = checked(forged, key="evidence.jsonl")
    export(source(entries, stored(data={"evidence.jsonl": forged})), tmp_path)
    assert originals(tmp_path) == ["originals/sbom/evidence.jsonl"]
    kept = checked_files(tmp_path, "shop", None, None)
    assert (kept.intact, kept.stored.run) == (True, entries[0].run)


@pytest.mark.parametrize("key", ["..", "../../evil", "a/../../../evil", ""])
def test_a_forged_name_leads_nowhere_out_of_the_folder(key: str, tmp_path: Path) -> None:
    details = {"file": f"release-files/{key}", "sha256": sha256(SBOM)}
    folder = tmp_path / "one" / "two" / "three"
    export(source(checked(details=details), stored(data={key: SBOM})), folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents] == []
    if told := record(folder).get("original"):
        assert (folder / told).read_text() == SBOM
        assert ".." not in told
