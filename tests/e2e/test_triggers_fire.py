"""Every trigger of the ready-made policies fires on what it is there for, and stays quiet on everything else.

The faults are those of the example application: its own metrics, through a real Prometheus and a real gateway, make the
operator act. Each case runs under its whole policy, so each is also a proof of quiet for all other triggers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from e2e.trials import Case, Trials, patient, written
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

FLAG = "spark-feature-flag"
BROKEN = (
    Case("api-p95", "slow-answers", rps=20),
    Case("http-5xx", "server-errors", rps=20),
    Case("feed-staleness", "feed-stalled"),
    Case("csp-violations", "csp-violations"),
    Case("idempotency-conflicts", "duplicate-orders", rps=30),
    Case("pool-saturation", "pool-exhausted"),
    Case("correlated-degradation", "risk-and-errors", rps=100),
    Case("non-improving-latency", "lock-contention", rps=20),
    Case("memory-leak", "memory-leak"),
    Case("connection-leak", "connection-leak", weight=100, rps=20),
    Case("outbox-lag", "outbox-stuck"),
    Case("key-buildup", "keys-never-expire", rps=20),
    Case("disconnect-storm", "stream-drops"),
    Case("decimal-precision", "float-prices"),
    Case("slow", "very-slow-answers", FLAG, rps=20),
    Case("stale", "stream-silent", FLAG),
    Case("errors", "server-errors", FLAG, rps=20),
    Case("unsure", "unsure-model", FLAG, rps=10),
)
HEALTHY = (Case("healthy", rps=100, walks=True), Case("healthy", policy=FLAG, rps=10))
MOVES = {"slow": "SteppedBack", "stale": "Notified", "unsure": "SteppedBack"}
"""By trigger that does not roll back, the reason its Event has."""


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    """All cases, begun. In the end every write to them must have kept the promises."""
    operators.run(servers=patient(cluster))
    begun = Trials(cluster, [*BROKEN, *HEALTHY])
    since = cluster.audit_cursor()
    try:
        begun.begin()
        yield begun
        assert begun.promises_broken(since) == []
    finally:
        begun.end()


def test_every_trigger_of_both_policies_is_on_trial() -> None:
    for policy in ("spark-standard", FLAG):
        assert {t["name"] for t in written(policy)["triggers"]} == {c.rule for c in BROKEN if c.policy == policy}


@pytest.mark.parametrize("case", [case for case in BROKEN if case.rule not in MOVES], ids=lambda case: case.name)
def test_rolls_back_for_its_fault_and_for_no_other_reason(trials: Trials, case: Case) -> None:
    status = trials.desks[case.name].until_phase("RolledBack", timeout=90)
    assert status["rollback"]["trigger"] == case.rule, status["rollback"]


@pytest.mark.parametrize("case", [case for case in BROKEN if case.rule in MOVES], ids=lambda case: case.name)
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


def test_a_healthy_release_passes_all_six_thresholds_at_every_stage(trials: Trials) -> None:
    desk = trials.desks["standard-healthy"]
    status = desk.until_phase("Succeeded", timeout=120)
    assert "rollback" not in status
    assert status["run"]["gatesPassed"] == len(written("spark-standard")["stages"])
    assert {rule for rule, verdict in desk.verdicts().items() if verdict["verdict"] != "Pass"} == set()


def test_a_healthy_feature_is_quiet_under_all_four_rules(trials: Trials) -> None:
    desk = trials.desks["feature-flag-healthy"]
    verdicts = desk.verdicts()
    assert {rule: verdict["verdict"] for rule, verdict in verdicts.items()} == {
        trigger["name"]: "Pass" for trigger in written(FLAG)["triggers"]
    }
    assert desk.canary_weight() == 50
