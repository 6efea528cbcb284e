"""Every spec that follows the rules is read, and is the same after a way through YAML, JSON and evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given

from sparkrelease.api.base import format_duration, parse_duration
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.api.strategies import modest, releases, spans


@pytest.mark.slow
@modest
@given(releases())
def test_a_spec_is_the_same_after_a_way_through_yaml(body: dict[str, Any]) -> None:
    spec = SparkReleaseSpec.model_validate(body)
    written = yaml.safe_dump(spec.model_dump(mode="json", by_alias=True, exclude_none=True), allow_unicode=True)
    assert SparkReleaseSpec.model_validate(yaml.safe_load(written)) == spec


@pytest.mark.slow
@modest
@given(releases())
def test_a_resolved_spec_is_the_same_after_a_way_through_evidence(body: dict[str, Any]) -> None:
    resolved = resolve(SparkReleaseSpec.model_validate(body), None)
    assert isinstance(resolved, ResolvedSpec)
    assert ResolvedSpec.model_validate_json(resolved.model_dump_json()) == resolved
    entry = json.dumps(resolved.model_dump(mode="json", by_alias=True))
    assert ResolvedSpec.model_validate_json(entry) == resolved


@modest
@given(spans(99_999, nothing=True))
def test_a_duration_means_the_same_however_it_is_written(text: str) -> None:
    length = parse_duration(text)
    assert parse_duration(format_duration(length)) == length
