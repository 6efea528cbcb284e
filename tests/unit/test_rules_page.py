"""Every example on the page about rules is one the operator takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from sparkrelease.api.reasons import Reason
from sparkrelease.api.triggers import LegKind, TriggerAction
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.world import spec

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
BESIDE = [{"name": name, "value": f"{name}{{$sel}}"} for name in ("connections", "requests")]


def merged() -> dict[str, Any]:
    """All examples in one spec: mappings are parts of it, lists are triggers."""
    found: dict[str, Any] = {"triggers": []}
    for example in EXAMPLES:
        if isinstance(example, dict):
            found |= example
        else:
            found["triggers"] += example
    return found | {"metrics": [*found["metrics"], *BESIDE]}


def test_all_examples_together_are_a_release() -> None:
    resolved = resolve(spec(**merged()), None)
    assert isinstance(resolved, ResolvedSpec), resolved
    assert {leg.kind for trigger in resolved.triggers for leg in trigger.all} == set(LegKind)


def test_every_action_and_only_known_reasons_are_on_the_page() -> None:
    assert [action for action in TriggerAction if f"`{action.value}`" not in PAGE] == []
    table = PAGE[PAGE.index("## Missing data") :]
    named = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][A-Za-z]+)+\b", table))
    assert named - {reason.value for reason in Reason} == set()
