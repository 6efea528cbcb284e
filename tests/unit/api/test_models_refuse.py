"""The models refuse what the API server refuses, at the same field: an object may be older than a rule."""

from __future__ import annotations

from typing import Any

import pytest

from sparkrelease.api.objects import parse_policy, parse_release
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.api.wrong import GOOD, Wrong, changed
from unit.api.wrong_preflight import FORM_ALONE_RIGHT
from unit.api.wrong_specs import WRONG


def read(spec: object) -> ResolvedSpec | Problem:
    """What the operator makes of a stored spec, with an empty policy where one is named."""
    parsed = parse_release({"spec": spec})
    if isinstance(parsed, Problem):
        return parsed
    return resolve(parsed, ReleasePolicySpec(stages=parsed.stages) if parsed.policy_ref else None)


@pytest.mark.parametrize("wrong", [w for w in WRONG if not w.only_the_server], ids=lambda wrong: wrong.what)
def test_a_wrong_spec_is_a_problem_that_names_the_field(wrong: Wrong) -> None:
    problem = read(wrong.spec())
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.INVALID_SPEC
    assert wrong.at in problem.message


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_the_smallest_correction_is_accepted(wrong: Wrong) -> None:
    resolved = read(wrong.corrected())
    assert isinstance(resolved, ResolvedSpec), resolved


def test_the_spec_all_wrong_ones_come_from_is_good() -> None:
    assert isinstance(read(GOOD), ResolvedSpec)


@pytest.mark.parametrize("spec", [None, [], "spec", 7])
def test_an_object_whose_spec_is_no_mapping_is_a_problem(spec: object) -> None:
    problem = parse_release({"spec": spec})
    assert isinstance(problem, Problem)
    assert problem.message.startswith("spec: ")


def test_many_faults_are_counted_and_values_cut() -> None:
    stages = [{"name": "X" * 500, "weight": 1, "duration": "1m"}] * 9
    problem = parse_release({"spec": changed("stages", stages)})
    assert isinstance(problem, Problem)
    assert "and 4 more" in problem.message
    assert len(problem.message) < 1500


@pytest.mark.parametrize(
    ("field", "value"),
    [("schedule", "0 10 * 13 *"), ("schedule", "0 0 30 2 *"), ("timeZone", "Europe/Nowhere"), ("timeZone", "../etc")],
)
def test_a_schedule_whose_form_alone_is_right_is_told_by_the_operator(field: str, value: str) -> None:
    hours = {"schedule": "0 10 * * 1-5", "duration": "8h", "timeZone": "Europe/Istanbul"}
    assert isinstance(read(changed("triggers.0.activeWhen", hours)), ResolvedSpec)
    problem = read(changed("triggers.0.activeWhen", hours | {field: value}))
    assert isinstance(problem, Problem)
    assert f"spec.triggers[0].activeWhen.{field}" in problem.message


@pytest.mark.parametrize(("item", "at", "says"), FORM_ALONE_RIGHT, ids=lambda part: str(part)[:40])
def test_an_item_of_preflight_whose_form_alone_is_right_is_told_by_the_operator(
    item: dict[str, Any], at: str, says: str
) -> None:
    problem = read(changed("preflight", [item]))
    assert isinstance(problem, Problem)
    assert f"spec.preflight[0]{at}: " in problem.message
    assert says in problem.message


def test_a_wrong_policy_names_itself_and_the_field() -> None:
    body: dict[str, Any] = {"metadata": {"name": "standard"}, "spec": {"stages": GOOD["stages"][::-1]}}
    problem = parse_policy(body)
    assert isinstance(problem, Problem)
    assert "ReleasePolicy standard: spec.stages" in problem.message
