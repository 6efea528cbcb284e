"""What the README shows is true of this tree."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sparkrelease.api.objects import parse_release
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.resolve import resolve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_release_is_the_example_and_resolves() -> None:
    shown = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    example = (ROOT / "examples" / "first-release.yaml").read_text(encoding="utf-8")
    assert shown is not None
    assert shown.group(1) == example
    spec = parse_release(yaml.safe_load(example))
    assert not isinstance(spec, Problem), spec
    assert not isinstance(resolve(spec, None), Problem)


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    assert named >= {"demo", "test"}
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
