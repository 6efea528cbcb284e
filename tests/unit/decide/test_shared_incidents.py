"""The one softening of a declared trigger, its limit, and each of its exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Ask, Buckets, Counts, Missing, Reading, Value
from unit.decide.world import World, spec

METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "pool", "bad": "refused_total", "total": "asked_total", "attribution": "shared"},
    {"name": "lag", "value": "max by ($by)(lag_seconds{$sel})"},
    {"name": "latency", "buckets": "latency_bucket", "quantile": 0.9},
]
BAD, GOOD = Counts(100, 1000), Counts(0, 1000)
LIMIT = timedelta(minutes=5)


def world(*legs: dict[str, object], **more: object) -> World:
    rule = {"name": "rule", "all": list(legs) or [{"metric": "http", "value": 0.05}], "for": "0s"} | more
    made = World(spec=spec(metrics=METRICS, thresholds=[], triggers=[rule], sharedRollbackAfter=f"{LIMIT.seconds}s"))
    made.readings |= {"lag": (Value(1), Value(1)), "latency": (Buckets({0.4: 1000}, 1000),) * 2, "pool": (GOOD, GOOD)}
    return made


def both(made: World, canary: Reading, stable: Reading, metric: str = "http") -> None:
    made.readings[metric] = (canary, stable)


def told(made: World) -> list[str]:
    return [e.message for e in made.entries if e.kind is Reason.SHARED_INCIDENT]


def test_what_stable_suffers_too_steps_back_and_is_held_instead_of_rolled_back() -> None:
    made = world()
    made.reach(25)
    both(made, BAD, BAD)
    made.now += made.tick
    plan = made.round()
    assert made.route.canary_weight == 1
    assert plan.urgent
    assert made.status.incident is not None
    assert (made.status.incident.trigger, made.status.incident.from_stage) == ("rule", "quarter")
    made.run_for(120)
    assert made.route.canary_weight == 1
    assert made.reason() == Reason.SHARED_INCIDENT
    assert len(told(made)) == 1
    (said,) = made.status.verdicts
    assert said.shared_since == made.status.incident.since


def test_at_the_first_stage_it_steps_back_to_nothing() -> None:
    made = world()
    made.reach(1)
    both(made, BAD, BAD)
    made.run_for(5)
    assert made.route.canary_weight == 0
    assert made.status.phase is Phase.PROGRESSING


def test_an_incident_that_lasts_is_rolled_back_after_its_limit() -> None:
    made = world()
    made.reach(25)
    both(made, BAD, BAD)
    made.run_for(LIMIT.seconds - 10)
    assert made.status.phase is Phase.PROGRESSING
    made.run_for(20)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None and made.status.rollback.reason == Reason.SHARED_INCIDENT


def test_an_incident_without_canary_traffic_lasts_as_long_as_stable_breaches() -> None:
    made = world()
    made.reach(1)
    both(made, BAD, BAD)
    made.run_for(10)
    both(made, Missing(Reason.NO_DATA, "no request"), BAD)
    made.run_for(LIMIT.seconds - 20)
    assert made.status.incident is not None
    made.run_for(30)
    assert made.status.phase is Phase.ROLLED_BACK


def test_when_stable_is_well_again_the_release_goes_on_from_the_lower_weight() -> None:
    made = world()
    made.reach(25)
    both(made, BAD, BAD)
    made.run_for(60)
    both(made, GOOD, GOOD)
    made.run_for(10)
    assert made.status.incident is None
    assert "over" in told(made)[-1]
    made.reach(25)


def test_what_canary_alone_suffers_once_the_incident_has_left_the_window_is_its_own_and_rolled_back() -> None:
    made = world()
    made.reach(25)
    both(made, BAD, BAD)
    made.run_for(60)
    both(made, BAD, GOOD)
    made.run_for(60)
    assert made.status.phase is Phase.PROGRESSING
    made.run_for(15)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None and made.status.rollback.reason == Reason.TRIGGER_FIRED


def test_requests_of_the_incident_that_are_still_in_canary_s_window_are_not_held_against_it() -> None:
    made = world()
    made.reach(25)
    both(made, BAD, BAD)
    made.run_for(120)
    both(made, BAD, GOOD)
    made.run_for(40)
    both(made, GOOD, GOOD)
    made.reach(25)
    assert made.status.incident is None


def test_a_rule_of_several_windows_waits_for_the_longest_to_be_free_of_the_incident() -> None:
    quick = {"name": "quick", "bad": "bad_total", "total": "all_total", "window": "10s"}
    made = world({"metric": "http", "value": 0.05}, {"metric": "quick", "value": 0.05})
    made.spec = spec(metrics=[*METRICS, quick], thresholds=[], triggers=made.spec.triggers, sharedRollbackAfter="5m")
    both(made, GOOD, GOOD, "quick")
    made.reach(25)
    for metric in ("http", "quick"):
        both(made, BAD, BAD, metric)
    made.run_for(60)
    for metric in ("http", "quick"):
        both(made, BAD, GOOD, metric)
    made.run_for(50)
    assert made.status.rollback is None, "the minute of http still holds requests of the incident"
    made.run_for(25)
    assert made.status.phase is Phase.ROLLED_BACK


def test_without_traffic_nothing_is_held_against_canary() -> None:
    made = world()
    made.reach(1)
    both(made, BAD, BAD)
    made.run_for(10)
    both(made, BAD, GOOD)
    made.run_for(LIMIT.seconds - 30)
    assert made.status.phase is Phase.PROGRESSING
    both(made, Missing(Reason.NO_DATA, "no request"), GOOD)
    made.run_for(60)
    both(made, GOOD, GOOD)
    made.reach(25)


def test_what_is_not_known_of_stable_ends_no_incident() -> None:
    made = world()
    made.reach(1)
    both(made, BAD, BAD)
    made.run_for(10)
    both(made, Missing(Reason.NO_DATA, "no request"), Counts(0, 0))
    made.run_for(60)
    assert made.status.incident is not None


def test_a_canary_that_exhausts_what_both_use_is_rolled_back() -> None:
    """It makes stable fail as well; at the weight before, both go on failing."""
    made = world()
    made.reach(100)
    both(made, BAD, BAD)
    made.run_for(LIMIT.seconds + 20)
    assert made.status.phase is Phase.ROLLED_BACK


def test_a_clock_that_goes_back_makes_no_incident_longer() -> None:
    made = world()
    made.reach(25)
    both(made, BAD, BAD)
    made.run_for(60)
    made.now -= timedelta(hours=1)
    made.run_for(LIMIT.seconds + 20)
    assert made.status.phase is Phase.ROLLED_BACK


def test_what_stable_suffered_since_the_trigger_became_true_softens_it_though_a_small_control_is_well_right_now() -> (
    None
):
    made = world({"metric": "http", "value": 0.05}, **{"for": "1m"})
    made.reach(25)
    both(made, BAD, Counts(2, 30))
    made.run_for(30)
    both(made, BAD, Counts(0, 30))
    made.run_for(40)
    assert made.status.phase is Phase.PROGRESSING
    assert made.status.incident is not None
    assert made.route.canary_weight == 1


def test_what_stable_suffered_before_the_breach_softens_nothing() -> None:
    made = world({"metric": "http", "value": 0.05}, **{"for": "1m"})
    made.reach(25)
    both(made, GOOD, BAD)
    made.run_for(20)
    both(made, BAD, GOOD)
    made.run_for(70)
    assert made.status.phase is Phase.ROLLED_BACK
    assert not told(made)


# ---------------------------------------------------------------- never softened


def rolled_back_at_once(made: World) -> bool:
    made.run_for(5)
    return made.status.phase is Phase.ROLLED_BACK and not told(made)


def test_scope_shared_acts_as_declared() -> None:
    made = world(scope="shared")
    made.reach(25)
    both(made, BAD, BAD)
    assert rolled_back_at_once(made)


def test_a_gauge_acts_as_declared() -> None:
    made = world({"metric": "lag", "value": 30})
    made.reach(25)
    both(made, Value(31), Value(31), "lag")
    assert rolled_back_at_once(made)


def test_a_gauge_beside_counts_acts_as_declared() -> None:
    made = world({"metric": "lag", "value": 30}, {"metric": "http", "value": 0.05})
    made.reach(25)
    both(made, Value(31), Value(31), "lag")
    both(made, BAD, BAD)
    assert rolled_back_at_once(made)


def test_any_event_acts_as_declared() -> None:
    made = world({"metric": "http", "value": 0})
    made.reach(25)
    both(made, Counts(1, 1000), BAD)
    assert rolled_back_at_once(made)


def test_a_series_that_counts_for_both_roles_acts_as_declared() -> None:
    made = world({"metric": "pool", "value": 0.05})
    made.reach(25)
    both(made, BAD, BAD, "pool")
    assert rolled_back_at_once(made)


def test_worse_than_stable_is_never_shared() -> None:
    made = world({"metric": "http", "kind": "vsStable", "factor": 2})
    made.reach(25)
    both(made, Counts(400, 1000), Counts(100, 1000))
    assert rolled_back_at_once(made)


@pytest.mark.parametrize("stable", [GOOD, Counts(0, 0), Missing(Reason.NO_DATA, "gone"), Counts(2, 4)])
def test_a_stable_that_does_not_surely_breach_softens_nothing(stable: Reading) -> None:
    made = world({"metric": "http", "value": 0.05, "minEvents": 5})
    made.reach(25)
    both(made, BAD, stable)
    assert rolled_back_at_once(made)


def test_all_legs_must_be_stable_s_too() -> None:
    made = world({"metric": "http", "value": 0.05}, {"metric": "latency", "value": 0.4})
    made.reach(25)
    both(made, BAD, BAD)
    both(made, Buckets({0.4: 1}, 1000), Buckets({0.4: 1000}, 1000), "latency")
    assert rolled_back_at_once(made)


# ---------------------------------------------------------------- softened, too


def test_buckets_of_both_roles_are_counts() -> None:
    made = world({"metric": "latency", "value": 0.4})
    made.reach(25)
    slow = Buckets({0.4: 1}, 1000)
    both(made, slow, slow, "latency")
    made.run_for(5)
    assert made.route.canary_weight == 1


def test_a_burn_rate_of_both_roles_is_shared() -> None:
    made = world({"metric": "http", "kind": "burnRate", "objective": 0.999})
    pairs = [Ask("http", timedelta(minutes=m)) for m in (60, 5, 360, 30)]
    made.asked = dict.fromkeys(pairs, (GOOD, GOOD))
    made.reach(25)
    made.asked = dict.fromkeys(pairs, (BAD, BAD))
    made.run_for(5)
    assert made.route.canary_weight == 1
    assert made.status.incident is not None


def test_another_trigger_that_blames_canary_alone_wins() -> None:
    made = world()
    rules = [*made.spec.triggers]
    extra = spec(metrics=METRICS, thresholds=[], triggers=[{"name": "own", "all": [{"metric": "lag", "value": 30}]}])
    made.spec = made.spec.model_copy(update={"triggers": (*rules, *extra.triggers)})
    made.reach(25)
    both(made, BAD, BAD)
    both(made, Value(31), Value(1), "lag")
    made.run_for(5)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None and made.status.rollback.trigger == "own"


# ---------------------------------------------------------------- the first sign


SCRAPES, WINDOW, ONSET = 15.0, 60.0, 200.0


@dataclass
class Side:
    """A role that is scraped at its own moments: what a query of a minute sees of it."""

    phase: float
    failing: float
    rate: float = 20.0

    def at(self, now: float) -> Counts:
        last, first = (self._scrape(end) for end in (now, now - WINDOW))
        return Counts(self.rate * self.failing * max(0.0, last - max(first, ONSET)), self.rate * (last - first))

    def _scrape(self, until: float) -> float:
        return (until - self.phase) // SCRAPES * SCRAPES + self.phase


def from_the_onset_on(made: World, canary: Side, stable: Side, seconds: float) -> None:
    """Turns the clock from just before the onset, both roles seen as their own scrapes show them."""
    made.reach(25)
    began = made.now
    for step in range(int(seconds / 5)):
        now = ONSET - 20 + 5 * step
        made.now = began + timedelta(seconds=5 * step + 5)
        both(made, canary.at(now), stable.at(now))
        made.settle_rounds()


def test_a_trigger_that_waits_for_nothing_blames_the_canary_that_was_scraped_first() -> None:
    """Stable was last seen before the incident began, and what is not known softens nothing."""
    made = world({"metric": "http", "value": 0.2})
    from_the_onset_on(made, Side(phase=6, failing=0.9), Side(phase=2, failing=0.9), 60)
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.rollback is not None and made.status.rollback.reason == Reason.TRIGGER_FIRED


@pytest.mark.slow
@given(st.integers(0, 14), st.integers(0, 14), st.floats(0.3, 1.0))
@settings(max_examples=20, deadline=None)
def test_a_trigger_that_waits_for_one_scrape_sees_stable_s_part_whoever_is_scraped_first(
    canary: int, stable: int, failing: float
) -> None:
    made = world({"metric": "http", "value": 0.2}, **{"for": "15s"})
    from_the_onset_on(made, Side(canary, failing), Side(stable, failing), 120)
    assert made.status.phase is Phase.PROGRESSING
    assert made.status.incident is not None


@given(st.integers(0, 14), st.integers(0, 14), st.floats(0.3, 1.0))
@settings(max_examples=20, deadline=None)
def test_what_canary_alone_suffers_is_delayed_by_no_scrape_of_stable_s(
    canary: int, stable: int, failing: float
) -> None:
    made = world({"metric": "http", "value": 0.2}, **{"for": "0s"})
    side = Side(canary, failing)
    first = next(now for now in range(180, 400, 5) if side.at(now).bad > 0.2 * side.at(now).total)
    from_the_onset_on(made, side, Side(stable, 0.0), first - (ONSET - 20) + 5)
    assert made.status.phase is Phase.ROLLED_BACK
    assert not told(made)
