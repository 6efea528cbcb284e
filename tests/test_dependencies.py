"""What the operator imports is what it declares: a release installs nothing by accident."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def imported_packages() -> set[str]:
    """Names of the third-party packages imported anywhere under ``operator/``."""
    found: set[str] = set()
    for path in (ROOT / "operator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"sparkrelease"}


def declared_distributions() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {normalised(re.split(r"[<>=!~ \[]", line, maxsplit=1)[0]) for line in project["dependencies"]}


def normalised(distribution: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.slow
def test_every_import_of_the_operator_is_a_declared_dependency() -> None:
    providers = packages_distributions()
    declared = declared_distributions()
    undeclared = {
        name for name in imported_packages() if not {normalised(dist) for dist in providers.get(name, [])} & declared
    }
    assert undeclared == set()
