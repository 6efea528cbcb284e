"""A stage counted twice, because pods restarted or went in it: neither counting may pass what the other fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Again, Buckets, Counts, MetricFacts, Missing, Reading
from sparkrelease.decide.replay import replay
from sparkrelease.decide.rules import WORST_FIRST
from sparkrelease.decide.thresholds import judge_facts, judge_threshold
from unit.decide.world import START, World

HTTP = Metric.model_validate({"name": "http", "bad": "bad_total", "total": "all_total"})
LATENCY = Metric.model_validate({"name": "latency", "buckets": "latency_bucket", "quantile": 0.95, "unit": "s"})
ERRORS = Threshold(name="errors", metric="http", max=0.01)
SLOW = Threshold(name="slow", metric="latency", max=0.2)
RESET = "a counter was reset in this time"
UNKNOWN = Missing(Reason.INCONSISTENT_COUNTS, "the bucket le=0.2 counts 9 events of 8")


def twice(alone: Reading, beyond: Reading) -> MetricFacts:
    """A stage of which a difference says one thing, and all that was counted another."""
    again = Again(RESET, "again", beyond)
    return MetricFacts("q", START, START - START, canary=alone, stable=Counts(0, 1000), canary_again=again)


def severity(verdict: Verdict) -> int:
    return -WORST_FIRST.index(verdict)


# ---------------------------------------------------------------- one threshold

events = st.integers(0, 5000)
counts = st.builds(lambda bad, good: Counts(bad, bad + good), st.integers(0, 300), events)
buckets = st.builds(lambda slow, fast: Buckets({0.2: fast}, slow + fast), st.integers(0, 300), events)
lives = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2000)), min_size=1, max_size=5)
"""Of one pod, bad and good answers from each start to the next."""


@given(st.lists(lives, min_size=1, max_size=4))
def test_restarts_never_turn_a_fail_into_a_pass(pods: list[list[tuple[int, int]]]) -> None:
    """The same answers, once by pods that never restart, once by pods of which a difference has the last life alone."""
    every = [life for pod in pods for life in pod]
    whole = Counts(sum(bad for bad, _ in every), sum(bad + good for bad, good in every))
    left = Counts(sum(pod[-1][0] for pod in pods), sum(sum(pod[-1]) for pod in pods))
    never = judge_threshold(ERRORS, HTTP, whole).verdict
    restarted = judge_facts(ERRORS, HTTP, twice(left, whole)).verdict
    assert not (never is Verdict.FAIL and restarted is not Verdict.FAIL)
    assert severity(restarted) >= severity(never)


@given(st.one_of(st.tuples(counts, counts), st.tuples(buckets, buckets)))
def test_the_worse_counting_decides_whichever_it_is(both: tuple[Reading, Reading]) -> None:
    threshold, metric = (ERRORS, HTTP) if isinstance(both[0], Counts) else (SLOW, LATENCY)
    each = [judge_threshold(threshold, metric, reading).verdict for reading in both]
    assert judge_facts(threshold, metric, twice(*both)).verdict is max(each, key=severity)


@pytest.mark.parametrize("alone", [Counts(0, 400), Counts(0, 4000)])
def test_what_cannot_be_counted_again_is_not_passed(alone: Counts) -> None:
    assert judge_facts(ERRORS, HTTP, twice(alone, UNKNOWN)).verdict is Verdict.NO_DATA
    assert judge_facts(ERRORS, HTTP, twice(Counts(300, 400), UNKNOWN)).verdict is Verdict.FAIL


def test_the_sentence_says_which_counts_were_judged_and_what_the_others_are() -> None:
    lost = judge_facts(ERRORS, HTTP, twice(Counts(0, 400), Counts(200, 2400)))
    assert lost.value == "8.33% (200/2400)"
    assert lost.message == (
        "errors: http 8.33% (200/2400), max 0.01; a counter was reset in this time: the difference alone is 0% (0/400)"
    )
    left = judge_facts(ERRORS, HTTP, twice(Counts(40, 400), Counts(0, 9000)))
    assert left.value == "10% (40/400)"
    assert left.message.endswith(
        "a counter was reset in this time: this is the difference alone, with what that lost it is 0% (0/9000)"
    )
    both = judge_facts(ERRORS, HTTP, twice(Counts(0, 400), Counts(1, 2400)))
    assert both.value == "0.0417% (1/2400)", "where both pass, the one that lost less is told"


# ---------------------------------------------------------------- a run


def recounted(beyond: Reading) -> World:
    """A run whose canary is well at every look, and in whose stages pods restarted."""
    world = World(over_stage=Counts(0, 400), counted_again=(Again(RESET, "again", beyond), None))
    world.run_for(900, until=Phase.ROLLED_BACK)
    return world


def test_a_canary_whose_pods_die_in_turn_does_not_pass_its_gate() -> None:
    world = recounted(Counts(200, 2400))
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.rollback is not None and "8.33% (200/2400)" in world.status.rollback.message
    assert max(world.weights) == 1, "it never got beyond the first stage"


def test_a_canary_that_restarts_and_is_well_passes() -> None:
    world = recounted(Counts(0, 2400))
    assert world.status.phase is not Phase.ROLLED_BACK
    assert max(world.weights) > 1


def test_evidence_has_both_countings_and_bears_the_decision_out() -> None:
    world = recounted(Counts(200, 2400))
    [failed] = [entry for entry in world.stored() if entry.kind == Reason.GATE_FAILED.value]
    readings = failed.data["readings"]
    assert isinstance(readings, dict)
    assert readings["errors"]["canary"] == {"bad": 0.0, "total": 400.0}
    assert readings["errors"]["canaryAgain"] == {"why": RESET, "query": "again", "bad": 200.0, "total": 2400.0}
    assert replay(world.stored()).difference is None


@pytest.mark.parametrize(("again", "shared"), [(Counts(40, 1000), True), (Counts(5, 9000), False)])
def test_stable_suffers_too_only_where_both_of_its_countings_say_so(again: Counts, *, shared: bool) -> None:
    stable = Again(RESET, "again", again)
    world = World(over_stage=Counts(90, 1000), stable_reading=Counts(40, 1000), counted_again=(None, stable))
    world.run_for(200)
    anew = any(entry.kind == Reason.SHARED_INCIDENT.value for entry in world.stored())
    assert (anew, world.status.phase is Phase.ROLLED_BACK) == (shared, not shared)
