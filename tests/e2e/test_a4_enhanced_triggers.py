"""Row A4: each of the eight enhanced triggers rolls back on what it is there for, and is quiet on everything else.

The faults are those of the example application: its own metrics, through a real Prometheus and a real gateway, make the
operator act. Each case runs under its whole policy, and the evidence of the rollback has what every other trigger said
then: none was true for its time. That none fires in a whole run without a fault is shown by test_a_standard_policy.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from e2e.trials import Case, Trials, on_trial, rolls_back_for_its_fault_alone, written

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

pytestmark = pytest.mark.crowded

CASES = (
    Case("correlated-degradation", "risk-and-errors", rps=100),
    Case("non-improving-latency", "lock-contention", rps=20),
    Case("memory-leak", "memory-leak"),
    Case("connection-leak", "connection-leak", weight=100, rps=20),
    Case("outbox-lag", "outbox-stuck"),
    Case("key-buildup", "keys-never-expire", rps=20),
    Case("disconnect-storm", "stream-drops"),
    Case("decimal-precision", "float-prices"),
)


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    yield from on_trial(cluster, operators, CASES)


def test_every_enhanced_trigger_is_on_trial() -> None:
    assert [case.rule for case in CASES] == [trigger["name"] for trigger in written("spark-standard")["triggers"]][6:]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rolls_back_for_its_fault_and_for_no_other_reason(trials: Trials, case: Case) -> None:
    rolls_back_for_its_fault_alone(trials, case)
