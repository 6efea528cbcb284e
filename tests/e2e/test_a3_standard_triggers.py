"""Row A3: each of the six standard triggers rolls back on what it is there for, and is quiet on everything else.

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
    Case("api-p95", "slow-answers", rps=20),
    Case("http-5xx", "server-errors", rps=20),
    Case("feed-staleness", "feed-stalled"),
    Case("csp-violations", "csp-violations"),
    Case("idempotency-conflicts", "duplicate-orders", rps=30),
    Case("pool-saturation", "pool-exhausted"),
)


@pytest.fixture(scope="module")
def trials(cluster: Cluster, operators: SoleOperator) -> Iterator[Trials]:
    yield from on_trial(cluster, operators, CASES)


def test_every_standard_trigger_is_on_trial() -> None:
    assert [case.rule for case in CASES] == [trigger["name"] for trigger in written("spark-standard")["triggers"]][:6]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rolls_back_for_its_fault_and_for_no_other_reason(trials: Trials, case: Case) -> None:
    rolls_back_for_its_fault_alone(trials, case)
