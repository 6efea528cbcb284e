"""The files made from the models: up to date, complete, and within what the API server and kubectl take."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.generate import ROOT, generated_files, main, stale, write
from sparkrelease.api.reasons import Reason

CRDS = ("sparkreleases", "releasepolicies")
Node = dict[str, Any]


@cache
def definition(plural: str) -> Node:
    body: Node = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    return body


def root_of(plural: str) -> Node:
    (version,) = definition(plural)["spec"]["versions"]
    root: Node = version["schema"]["openAPIV3Schema"]
    return root


def fields(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every field below a node with its path; items of a list and values of a map stand under [] and *."""
    for name, field in node.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    for part, sign in (("items", "[]"), ("additionalProperties", "*")):
        if isinstance(node.get(part), dict):
            yield path + sign, node[part]
            yield from fields(node[part], path + sign)


def written_by_people(plural: str) -> list[tuple[str, Node]]:
    return [(path, field) for path, field in fields(root_of(plural)) if path.startswith(".spec")]


def test_the_files_in_the_repository_are_what_the_models_say() -> None:
    assert stale(ROOT) == []


def test_check_names_every_file_that_differs_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    (tmp_path / "crds/sparkreleases.yaml").write_text("kind: Other\n")
    (tmp_path / "docs/reference/reasons.md").unlink()
    monkeypatch.setattr(sys, "argv", ["generate", "--check", "--root", str(tmp_path)])
    assert main() == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "crds/sparkreleases.yaml",
        "docs/reference/reasons.md",
    ]
    write(tmp_path)
    assert main() == 0


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparkrelease.api.generate", "--root", str(tmp_path)]
    subprocess.run(
        command, check=True, capture_output=True, env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT / "operator")}
    )
    assert {name: (tmp_path / name).read_text() for name in generated_files()} == dict(generated_files())


@pytest.mark.parametrize("plural", CRDS)
def test_a_definition_is_small_enough_for_plain_kubectl_apply(plural: str) -> None:
    """What is stored, and kept once more by kubectl apply, is JSON; indentation in the file costs nothing."""
    stored = json.dumps(definition(plural), separators=(",", ":"), ensure_ascii=False)
    assert len(stored.encode()) <= 60_000


@pytest.mark.parametrize("plural", CRDS)
def test_every_field_is_described(plural: str) -> None:
    silent = [
        path
        for path, field in fields(root_of(plural))
        if not path.startswith(".metadata") and "description" not in field and not path.endswith(("[]", "*"))
    ]
    assert silent == []


@pytest.mark.parametrize("plural", CRDS)
def test_every_list_says_what_it_is_and_names_make_maps(plural: str) -> None:
    lists = {path: field for path, field in fields(root_of(plural)) if field["type"] == "array"}
    silent = {path for path, field in lists.items() if "x-kubernetes-list-type" not in field}
    assert {path for path in silent if not path.startswith(".status")} == set()
    keys = {path.rpartition(".")[2]: field.get("x-kubernetes-list-map-keys") for path, field in lists.items()}
    wanted = {name: ["name"] for name in ("stages", "metrics", "thresholds", "triggers", "preflight")}
    if plural == "sparkreleases":
        wanted["conditions"] = ["type"]
    assert {name: keys[name] for name in wanted} == wanted


@pytest.mark.parametrize("plural", CRDS)
def test_all_that_people_write_has_bounds(plural: str) -> None:
    bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}, "integer": {"maximum"}, "number": {"maximum"}}
    unbounded = [
        path
        for path, field in written_by_people(plural)
        if field["type"] in bounds and not bounds[field["type"]] & set(field)
    ]
    assert unbounded == []


def test_a_status_is_not_refused_for_its_length_or_a_missing_field() -> None:
    limited = [
        path
        for path, field in fields(root_of("sparkreleases"))
        if path.startswith(".status") and {"maxLength", "maxItems", "pattern", "default", "required"} & set(field)
    ]
    keyed = ".status.conditions[]"
    assert [path for path in limited if path not in (".status.stage.observed", keyed)] == []


@pytest.mark.parametrize("plural", CRDS)
def test_rules_sit_below_the_spec_and_name_a_remedy(plural: str) -> None:
    root = root_of(plural)
    rules = {
        path: field["x-kubernetes-validations"] for path, field in fields(root) if "x-kubernetes-validations" in field
    }
    assert "x-kubernetes-validations" not in root
    assert all(path.startswith(".spec") for path in rules)
    assert sum(map(len, rules.values())) >= 12
    assert all(rule["message"] for found in rules.values() for rule in found)


@pytest.mark.parametrize("plural", CRDS)
def test_the_schema_is_structural_and_without_noise(plural: str) -> None:
    noise = {"title", "anyOf", "$ref", "$defs", "const"}
    assert [path for path, field in fields(root_of(plural)) if noise & set(field) or "type" not in field] == []
    maps = [path for path, field in fields(root_of(plural)) if "additionalProperties" in field]
    assert maps == [".spec.triggers[].mitigation.set"]
    assert all(
        field["format"] in {"int32", "int64"} for _, field in fields(root_of(plural)) if field["type"] == "integer"
    )


def test_the_table_kubectl_prints() -> None:
    (version,) = definition("sparkreleases")["spec"]["versions"]
    columns = version["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == [
        "Version", "Phase", "Stage", "Weight", "Verdict", "Gate", "Ready", "Age",
    ]  # fmt: skip
    assert [c["name"] for c in columns if c.get("priority")] == ["Reason", "Next", "Run"]
    assert version["subresources"] == {"status": {}}


def test_every_reason_and_condition_is_on_its_page() -> None:
    files = generated_files()
    assert [r.value for r in Reason if f"| `{r.value}` |" not in files["docs/reference/reasons.md"]] == []
    assert [c.value for c in ConditionType if f"| `{c.value}` |" not in files["docs/reference/conditions.md"]] == []
