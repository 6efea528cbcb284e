"""What the definition has no room to refuse, the models do: it becomes a condition that names the field."""

from __future__ import annotations

import pytest

from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from unit.api.test_models_refuse import read
from unit.api.wrong import changed
from unit.api.wrong_triggers import FLAGS, MITIGATED

BUDGET = {"metric": "http", "objective": 0.999}
STEP = MITIGATED | {"action": "stepBack"}


@pytest.mark.parametrize(
    ("path", "value", "at", "says"),
    [
        ("watch", {"duration": "721h"}, "spec.watch.duration", "at most 720h"),
        ("watch", {"duration": "1h", "every": "0s"}, "spec.watch.every", "longer than 0s"),
        ("errorBudget", BUDGET | {"window": "721h"}, "spec.errorBudget.window", "at most 720h"),
        ("errorBudget", BUDGET | {"metric": "nothing"}, "spec.errorBudget.metric", "no metric is called nothing"),
        ("errorBudget", BUDGET | {"metric": "latency"}, "spec.errorBudget.metric", "bad and total"),
        ("thresholds.0.at", "watch", "spec.thresholds[errors].at: watch", "add spec.watch or remove at"),
        ("thresholds.0.at", "mirror", "spec.thresholds[errors].at: mirror", "give a stage mirror, or remove at"),
        ("triggers.0", MITIGATED | {"mitigation": FLAGS | {"set": {}}}, "mitigation.set", "at least one key"),
        ("triggers.0", MITIGATED | {"mitigation": FLAGS | {"set": {"a/b": "c"}}}, "mitigation.set", "letters"),
        ("triggers.0", MITIGATED | {"mitigation": FLAGS | {"cooldown": "25h"}}, "mitigation.cooldown", "at most 24h"),
        ("triggers.0", MITIGATED | {"action": "hold"}, "spec.triggers[0]", "mitigate, stepBack and notify"),
        ("triggers.0", MITIGATED | {"action": "rollback"}, "spec.triggers[0]", "mitigate, stepBack and notify"),
        ("triggers.0", MITIGATED | {"stage": "one"}, "spec.triggers[0]", "stage belongs to the action stepBack"),
        ("triggers.0", STEP | {"stage": "first"}, "spec.triggers[slow].stage", "no stage is called first"),
    ],
)
def test_what_no_rule_of_the_definition_refuses_is_a_problem_with_its_field(
    path: str, value: object, at: str, says: str
) -> None:
    problem = read(changed(path, value))
    assert isinstance(problem, Problem)
    assert problem.reason is Reason.INVALID_SPEC
    assert at in problem.message
    assert says in problem.message
