"""`python -m sparkrelease.api.generate [--check]`: writes crds/ and docs/reference/ from the models, or compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from sparkrelease.api import crd, reference
from sparkrelease.api.schema import Schema

ROOT = Path(__file__).resolve().parents[3]

_HEADER = "# Generated from operator/sparkrelease/api by `make generate`; edit the models there.\n"
_WIDTH = 10_000
"""Folding a line costs its indentation again, and descriptions are read by kubectl, not here."""


class _PlainDumper(yaml.SafeDumper):
    """Writes a part that occurs twice twice, instead of as an anchor and an alias."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _as_yaml(body: Schema) -> str:
    return _HEADER + yaml.dump(body, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


@cache
def generated_files() -> Mapping[str, str]:
    """Every generated file: path from the root of the repository -> text. The same bytes every time."""
    release, policy, approval = crd.release_definition(), crd.policy_definition(), crd.approval_definition()
    files = {
        "crds/sparkreleases.yaml": _as_yaml(release),
        "crds/releasepolicies.yaml": _as_yaml(policy),
        "crds/releaseapprovals.yaml": _as_yaml(approval),
        "docs/reference/sparkrelease.md": reference.object_page(crd.release_definition(brief=False)),
        "docs/reference/releasepolicy.md": reference.object_page(policy),
        "docs/reference/releaseapproval.md": reference.object_page(approval),
        "docs/reference/configuration.md": reference.configuration_page(),
        "docs/reference/conditions.md": reference.conditions_page(),
        "docs/reference/reasons.md": reference.reasons_page(),
    }
    return MappingProxyType(files)


def stale(root: Path) -> list[str]:
    """Paths of the files that are missing or differ from what the models say."""
    found = []
    for name, text in generated_files().items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            found.append(name)
    return found


def write(root: Path) -> list[str]:
    """Writes the files that differ; answers their paths."""
    changed = stale(root)
    files = generated_files()
    for name in changed:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
    return changed


def main() -> int:
    """Exit status: 0 when all is as the models say (or was written), 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description="Writes crds/ and docs/reference/ from the models.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    options = parser.parse_args()
    if not options.check:
        for name in write(options.root):
            print(f"wrote {name}")
        return 0
    differing = stale(options.root)
    for name in differing:
        print(f"{name} differs from the models; run `make generate` and commit it")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
