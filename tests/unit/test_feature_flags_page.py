"""What the page of feature flags shows is true of this tree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from sparkrelease.api.flags import LADDER
from sparkrelease.api.objects import parse_policy, parse_release
from sparkrelease.api.problem import Problem
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.decide.selectors import Selector, read_selector

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "feature-flags.md").read_text(encoding="utf-8")


def ready_made() -> ReleasePolicySpec:
    body: dict[str, Any] = yaml.safe_load((ROOT / "manifests/policies/spark-feature-flag.yaml").read_text())
    found = parse_policy(body)
    assert isinstance(found, ReleasePolicySpec)
    return found


def test_the_release_shown_resolves_with_the_ready_made_policy_whose_weights_are_the_ladder() -> None:
    shown = re.search(r"```yaml\n(spec:.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    spec = parse_release(yaml.safe_load(shown.group(1)))
    assert not isinstance(spec, Problem), spec
    found = resolve(spec, ready_made())
    assert isinstance(found, ResolvedSpec), found
    assert [stage.weight for stage in found.stages] == [weight for weight in LADDER if weight]
    flag = found.traffic.feature_flag
    assert flag is not None
    assert isinstance(read_selector(flag.metric), Selector)


def test_the_ladder_of_the_page_is_the_one_that_is_written() -> None:
    rows = re.findall(r"^\| (\d+) \| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert {float(weight): value for weight, value in rows} == LADDER


def test_everything_the_page_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
