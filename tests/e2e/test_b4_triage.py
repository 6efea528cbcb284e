"""Row B4: a breach has a counter-move, and only errors are a rollback; each rule is quiet on everything else.

The faults are those of the example application: its own metrics, through a real Prometheus and a real gateway, make the
operator act. Each case runs under its whole policy, so each is also a proof of quiet for all other triggers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from e2e.trials import Case, Trials, on_trial, rolls_back_for_its_fault_alone, written
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

FLAG = "spark-feature-flag"
ERRORS = Case("errors", "server-errors", FLAG, rps=20)
MOVED = (
    Case("slow", "very-slow-answers", FLAG, rps=20),
    Case("stale", "stream-silent", FLAG),
    Case("unsure", "unsure-model", FLAG, rps=10),
)
HEALTHY = Case("healthy", policy=FLAG, rps=10)
MOVES = {"slow": "SteppedBack", "stale": "Notified", "unsure": "SteppedBack"}
"""By trigger that does not roll back, the reason its Event has."""


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    yield from on_trial(cluster, operators, [ERRORS, *MOVED, HEALTHY], past=10)


def test_every_rule_of_the_triage_is_on_trial() -> None:
    assert {case.rule for case in (ERRORS, *MOVED)} == {trigger["name"] for trigger in written(FLAG)["triggers"]}


@pytest.mark.parametrize("case", MOVED, ids=lambda case: case.name)
def test_makes_its_counter_move_and_does_not_roll_back(trials: Trials, case: Case) -> None:
    desk = trials.desks[case.name]
    wait_for(f"{case.name} acts", lambda: desk.told(MOVES[case.rule]), timeout=90)
    moves = desk.told(*MOVES.values())
    assert [move for move in moves if f"{case.rule}: " not in move] == []
    assert desk.status["phase"] == "Progressing"
    if case.rule == "stale":
        assert desk.canary_weight() == 50
    else:
        desk.until_weight(0, timeout=5)


def test_errors_are_a_rollback(trials: Trials) -> None:
    rolls_back_for_its_fault_alone(trials, ERRORS)


def test_a_healthy_feature_is_quiet_under_all_four_rules(trials: Trials) -> None:
    desk = trials.desks[HEALTHY.name]
    verdicts = desk.verdicts()
    assert {rule: verdict["verdict"] for rule, verdict in verdicts.items()} == {
        trigger["name"]: "Pass" for trigger in written(FLAG)["triggers"]
    }
    assert desk.canary_weight() == 50
