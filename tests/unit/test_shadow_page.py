"""The example on the page about shadows is a release the operator takes, and its words are those of the API."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sparkrelease.api.metrics import JudgedAt
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.world import spec

PAGE = (Path(__file__).parents[2] / "docs" / "shadow.md").read_text(encoding="utf-8")
(EXAMPLE,) = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_the_example_is_a_release_whose_first_stage_alone_compares_results() -> None:
    resolved = resolve(spec(**EXAMPLE), None)
    assert isinstance(resolved, ResolvedSpec), resolved
    assert [stage.mirror for stage in resolved.stages] == [100, None, None]
    assert [t.name for t in resolved.mirror_thresholds] == ["errors", "same-results"]
    assert [t.name for t in resolved.gate_thresholds] == ["errors"]


def test_the_words_of_the_page_are_those_of_the_api() -> None:
    for reason in (
        Reason.MIRROR_UNSUPPORTED,
        Reason.SHARE_MISMATCH,
        Reason.TRAFFIC_REVERTED,
        Reason.TRAFFIC_NOT_ON_STABLE,
    ):
        assert reason.value in PAGE
    assert f"`at: {JudgedAt.MIRROR.value}`" in PAGE
