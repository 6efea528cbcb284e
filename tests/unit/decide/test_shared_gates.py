"""A gate that stable fails as well: the stage begins anew, for as long as an incident may last; and the exceptions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading, Value
from unit.decide.world import World, spec

METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "pool", "bad": "refused_total", "total": "asked_total", "attribution": "shared"},
    {"name": "lag", "value": "max by ($by)(lag_seconds{$sel})"},
    {"name": "latency", "buckets": "latency_bucket", "quantile": 0.9},
]
BAD, GOOD = Counts(30, 1000), Counts(0, 1000)
LIMIT = timedelta(minutes=3)


def world(metric: str = "http", **limits: object) -> World:
    limit = {"name": "limit", "metric": metric} | (limits or {"max": 0.01})
    made = World(spec=spec(metrics=METRICS, thresholds=[limit], triggers=[], sharedRollbackAfter=f"{LIMIT.seconds}s"))
    made.readings |= {"lag": (Value(1), Value(1)), "latency": (Buckets({0.4: 1000}, 1000),) * 2, "pool": (GOOD, GOOD)}
    made.readings["http"] = (GOOD, GOOD)
    return made


def at_its_gate(made: World, canary: Reading, stable: Reading, metric: str = "http") -> World:
    made.reach(25)
    made.readings[metric] = (canary, stable)
    made.run_for(70)
    return made


def told(made: World) -> list[str]:
    return [e.message for e in made.entries if e.kind is Reason.SHARED_INCIDENT]


def test_a_stage_whose_gate_stable_fails_too_begins_anew_at_its_weight() -> None:
    made = at_its_gate(world(), BAD, BAD)
    assert made.status.phase is Phase.PROGRESSING
    assert made.route.canary_weight == 25
    assert told(made) == [
        "gate quarter: limit: http 3% (30/1000), max 0.01; stable fails it too; the stage begins anew"
    ]
    assert made.status.stage is not None and made.status.stage.observed < timedelta(seconds=15)


def test_the_stage_measured_again_passes_when_the_incident_is_over() -> None:
    made = at_its_gate(world(), BAD, BAD)
    made.readings["http"] = (GOOD, GOOD)
    made.run_for(40)
    assert made.route.canary_weight == 25
    made.reach(100)
    assert len(told(made)) == 1


def test_what_canary_alone_fails_the_second_time_is_rolled_back() -> None:
    made = at_its_gate(world(), BAD, BAD)
    made.readings["http"] = (BAD, GOOD)
    made.run_for(70)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None and made.status.rollback.reason == Reason.GATE_FAILED


def test_a_canary_that_makes_stable_fail_is_rolled_back_once_the_limit_and_a_stage_have_passed() -> None:
    made = at_its_gate(world(), BAD, BAD)
    made.run_for(LIMIT.seconds - 10)
    assert made.status.phase is Phase.PROGRESSING
    made.run_for(80)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None and made.status.rollback.reason == Reason.SHARED_INCIDENT
    assert "as it did more than 3m before" in made.status.rollback.message


def test_a_stage_that_passed_forgets_the_incident() -> None:
    made = at_its_gate(world(), BAD, BAD)
    made.readings["http"] = (GOOD, GOOD)
    made.reach(100)
    made.run_for(LIMIT.seconds - 130)
    made.readings["http"] = (BAD, BAD)
    made.run_for(70)
    assert made.status.phase is not Phase.ROLLED_BACK


@pytest.mark.parametrize("stable", [GOOD, Counts(0, 0), Counts(2, 4), Missing(Reason.NO_DATA, "gone")])
def test_a_stable_that_is_not_surely_above_the_limit_softens_nothing(stable: Reading) -> None:
    made = at_its_gate(world(), BAD, stable)
    assert made.status.phase is Phase.ROLLED_BACK
    assert not told(made)


def test_buckets_of_both_roles_are_counts() -> None:
    slow = Buckets({0.4: 800}, 1000)
    made = at_its_gate(world("latency", max=0.4), slow, slow, "latency")
    assert len(told(made)) == 1
    assert (
        at_its_gate(world("latency", max=0.4), slow, Buckets({0.4: 950}, 1000), "latency").status.phase
        is Phase.ROLLED_BACK
    )


def test_a_gauge_is_judged_as_declared() -> None:
    assert at_its_gate(world("lag", max=30), Value(31), Value(31), "lag").status.phase is Phase.ROLLED_BACK


def test_series_that_count_for_both_roles_are_judged_as_declared() -> None:
    assert at_its_gate(world("pool"), BAD, BAD, "pool").status.phase is Phase.ROLLED_BACK


def test_a_limit_of_nothing_is_judged_as_declared() -> None:
    assert at_its_gate(world("http", max=0), BAD, BAD).status.phase is Phase.ROLLED_BACK


def test_a_threshold_that_canary_alone_fails_wins() -> None:
    made = world()
    more = spec(metrics=METRICS, thresholds=[{"name": "own", "metric": "lag", "max": 30}]).thresholds
    made.spec = made.spec.model_copy(update={"thresholds": (*made.spec.thresholds, *more)})
    made.reach(25)
    made.readings |= {"http": (BAD, BAD), "lag": (Value(31), Value(1))}
    made.run_for(70)
    assert made.status.phase is Phase.ROLLED_BACK


def test_a_clock_that_goes_back_makes_no_incident_longer() -> None:
    made = at_its_gate(world(), BAD, BAD)
    made.now -= timedelta(hours=1)
    made.run_for(LIMIT.seconds + 150)
    assert made.status.phase is Phase.ROLLED_BACK
