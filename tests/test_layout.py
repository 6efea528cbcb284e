"""The layout keeps its promises: ``operator/`` shares its name with a stdlib module and never shadows it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOT = ROOT / "operator"
IMPORT_ROOTS = (SOURCE_ROOT, SOURCE_ROOT / "sparkrelease", ROOT / "tests", ROOT / "examples")
PYTHON_FOLDERS = ("operator", "tests", "examples", "bench")

SPLIT_FROM = 300
"""Lines from which a module is a candidate for splitting."""

LINES_AT_MOST = 400


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_the_source_root_holds_the_package_and_nothing_else() -> None:
    visible = {entry.name for entry in SOURCE_ROOT.iterdir() if entry.name != "__pycache__"}
    assert visible == {"sparkrelease"}


def test_import_operator_at_the_root_still_gives_the_standard_library() -> None:
    probe = "import operator; print(operator.itemgetter.__name__, operator.__file__)"
    out = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    name, file = out.stdout.split(maxsplit=1)
    assert name == "itemgetter"
    assert not Path(file.strip()).is_relative_to(ROOT)


def test_no_test_lives_beside_the_code_where_collecting_it_would_replace_the_operator_module() -> None:
    names = {path.name for path in python_files("operator")}
    assert not {name for name in names if name == "conftest.py" or name.startswith("test_")}


def test_no_importable_name_is_one_of_the_standard_library() -> None:
    ours = {entry.stem for root in IMPORT_ROOTS if root.is_dir() for entry in root.iterdir()}
    assert ours & set(sys.stdlib_module_names) <= {"__main__", "__init__"}


@pytest.mark.filterwarnings("default::UserWarning")
def test_no_module_is_too_long_to_hold_in_the_head() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in python_files(*PYTHON_FOLDERS)}
    for path, lines in lengths.items():
        if SPLIT_FROM < lines <= LINES_AT_MOST:
            warnings.warn(f"{path.relative_to(ROOT)} has {lines} lines: look for a part to split off", stacklevel=1)
    too_long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LINES_AT_MOST}
    assert too_long == {}


def floors_of_the_contract() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return {floor for layer in layers for floor in re.findall(r"\w+", layer)}


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_floor_that_imports_are_held_to_has_its_row_in_the_table_of_floors(page: str) -> None:
    table = (ROOT / page).read_text().split("| floor |", 1)[1].split("\n\n", 1)[0]
    first = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert {name for cell in first for name in re.findall(r"`(\w+?)(?:/|\.py)`", cell)} == floors_of_the_contract()
