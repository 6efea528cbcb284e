"""What a trigger does once it is true for its time: the worst action wins, and each acts once where once is enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.api.triggers import ActiveWhen
from sparkrelease.decide.actions import PAUSE
from sparkrelease.decide.facts import Counts, Missing, Value
from sparkrelease.decide.schedule import active
from unit.decide.world import START, World, spec

METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "lag", "value": "max by ($by)(lag_seconds{$sel})"},
]
LAGGING = [{"metric": "lag", "value": 30}]


def trigger(name: str = "rule", **more: object) -> dict[str, object]:
    return {"name": name, "all": LAGGING, "for": "0s"} | more


def world(*triggers: dict[str, object], **changes: object) -> World:
    made = World(spec=spec(metrics=METRICS, triggers=list(triggers), **changes))
    made.readings["lag"] = (Value(1), Value(1))
    return made


def kinds(made: World, reason: Reason) -> list[str]:
    return [entry.message for entry in made.entries if entry.kind is reason]


def lag(made: World, seconds: float) -> None:
    made.readings["lag"] = (Value(seconds), Value(1))


# ---------------------------------------------------------------- step back


def test_a_step_back_goes_to_the_weight_of_the_stage_before_at_once() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(25)
    lag(made, 31)
    made.now += made.tick
    plan = made.round()
    assert made.route.canary_weight == 1
    assert plan.urgent
    assert made.status.stage is not None and made.status.stage.name == "one"
    assert made.status.stage.observed == timedelta(0)
    assert made.status.run is not None and made.status.run.gates_passed == 0
    (told,) = [e for e in made.entries if e.kind is Reason.STEPPED_BACK]
    assert (told.data["trigger"], told.data["weight"], told.data["fromWeight"]) == ("rule", 1.0, 25.0)
    assert [e for e in made.events if e.reason is Reason.STEPPED_BACK]


def test_a_step_back_does_not_wait_for_evidence() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(25)
    made.evidence_works = False
    lag(made, 31)
    made.run_for(5)
    assert made.route.canary_weight == 1


def test_while_the_breach_lasts_the_lower_weight_is_held_and_no_further_step_is_taken() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(100)
    lag(made, 31)
    made.run_for(600)
    assert made.route.canary_weight == 25
    assert len(kinds(made, Reason.STEPPED_BACK)) == 1
    assert made.status.stage is not None and made.status.stage.observed == timedelta(0)


def test_a_blind_moment_does_not_make_the_same_breach_a_new_one() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(100)
    lag(made, 31)
    made.run_for(30)
    made.readings["lag"] = (Missing(Reason.NO_DATA, "gone"), Value(1))
    made.run_for(30)
    lag(made, 31)
    made.run_for(30)
    assert made.route.canary_weight == 25


def test_once_it_is_quiet_the_stage_runs_its_whole_time_again_and_goes_on() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(25)
    lag(made, 31)
    made.run_for(30)
    lag(made, 1)
    quiet = made.now
    made.reach(25)
    assert made.now - quiet >= timedelta(minutes=1)
    assert made.status.phase is Phase.PROGRESSING


def test_a_new_breach_steps_back_again() -> None:
    made = world(trigger(action="stepBack"))
    for _ in range(2):
        lag(made, 1)
        made.reach(25)
        lag(made, 31)
        made.run_for(10)
        assert made.route.canary_weight == 1
    assert len(kinds(made, Reason.STEPPED_BACK)) == 2


def test_below_the_first_stage_canary_rests_without_traffic_and_comes_back_after_a_quiet_stage() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(1)
    lag(made, 31)
    made.run_for(120)
    assert made.route.canary_weight == 0
    assert made.status.phase is Phase.PROGRESSING
    assert len(kinds(made, Reason.STEPPED_BACK)) == 1
    lag(made, 1)
    made.readings["http"] = (Missing(Reason.NO_DATA, "no request"), Counts(0, 1000))
    quiet = made.now
    made.reach(1)
    assert made.now - quiet >= timedelta(minutes=1)
    made.readings.pop("http")
    made.reach(25)


def test_a_blind_server_ends_no_rest() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(1)
    lag(made, 31)
    made.run_for(10)
    made.readings.clear()
    made.blind()
    made.run_for(600)
    assert made.route.canary_weight == 0


def test_stages_of_one_weight_are_stepped_over() -> None:
    stages = [
        {"name": "one", "weight": 1, "duration": "1m"},
        {"name": "first", "weight": 50, "duration": "1m"},
        {"name": "again", "weight": 50, "duration": "1m"},
    ]
    made = world(trigger(action="stepBack"), stages=stages)
    made.reach(50)
    made.run_for(90)
    assert made.status.stage is not None and made.status.stage.name == "again"
    lag(made, 31)
    made.run_for(5)
    assert made.route.canary_weight == 1


def test_paused_weights_do_not_step_back() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(25)
    made.spec = made.spec.model_copy(update={"paused": True})
    lag(made, 31)
    made.run_for(30)
    assert made.route.canary_weight == 25
    made.spec = made.spec.model_copy(update={"paused": False})
    made.run_for(5)
    assert made.route.canary_weight == 1


# ---------------------------------------------------------------- notify, hold, and the worst


def test_notify_tells_once_a_breach_and_the_release_goes_on() -> None:
    made = world(trigger(action="notify"))
    made.reach(1)
    lag(made, 31)
    made.reach(25)
    assert len(kinds(made, Reason.NOTIFIED)) == 1
    assert len([e for e in made.events if e.reason is Reason.NOTIFIED]) == 1
    lag(made, 1)
    made.run_for(PAUSE.total_seconds())
    lag(made, 31)
    made.run_for(10)
    assert len(kinds(made, Reason.NOTIFIED)) == 2


def flap(made: World, seconds: float) -> None:
    """The value is over its limit at every other look."""
    for place in range(int(seconds / made.tick.total_seconds())):
        lag(made, 31 if place % 2 else 1)
        made.run_for(made.tick.total_seconds())


LONG = [{"name": name, "weight": weight, "duration": "2h"} for name, weight in (("half", 50), ("full", 100))]


def test_a_value_that_comes_and_goes_at_its_limit_is_told_once_a_pause() -> None:
    made = world(trigger(action="notify"), stages=LONG)
    made.reach(50)
    flap(made, 150)
    assert len(kinds(made, Reason.NOTIFIED)) == len([e for e in made.events if e.reason is Reason.NOTIFIED]) == 1
    flap(made, 2 * PAUSE.total_seconds())
    assert len(kinds(made, Reason.NOTIFIED)) == 3


def test_a_breach_that_began_within_the_pause_and_lasts_is_told_when_the_pause_is_over() -> None:
    made = world(trigger(action="notify"), stages=LONG)
    made.reach(50)
    flap(made, 20)
    lag(made, 31)
    made.run_for(60)
    assert len(kinds(made, Reason.NOTIFIED)) == 1
    made.run_for(PAUSE.total_seconds())
    assert len(kinds(made, Reason.NOTIFIED)) == 2, "and no more, however long it lasts"


def test_a_value_that_comes_and_goes_at_its_limit_steps_back_once_while_its_stage_lasts() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(25)
    flap(made, 40)
    assert made.route.canary_weight == 1
    assert len([e for e in made.events if e.reason is Reason.STEPPED_BACK]) == 1
    assert made.status.phase is Phase.PROGRESSING
    flap(made, 60)
    assert made.route.canary_weight == 0, "after as long as the stage lasts it steps further back"


def test_a_step_back_within_the_pause_holds_the_weight_it_went_to() -> None:
    made = world(trigger(action="stepBack"))
    made.reach(25)
    flap(made, 10)
    lag(made, 1)
    made.run_for(10)
    lag(made, 31)
    made.run_for(10)
    assert made.route.canary_weight == 1
    assert made.reason(ConditionType.PROGRESSING) == "SteppedBack"


def test_a_breach_at_a_weight_that_was_risen_to_since_steps_back_at_once() -> None:
    stages = [
        {"name": "one", "weight": 1, "duration": "1m"},
        {"name": "half", "weight": 50, "duration": "2h"},
        {"name": "full", "weight": 100, "duration": "2h"},
    ]
    made = world(trigger(action="stepBack"), stages=stages)
    for _ in range(2):
        made.reach(50)
        lag(made, 31)
        made.run_for(5)
        assert made.route.canary_weight == 1
        lag(made, 1)


def test_notify_waits_for_its_time() -> None:
    made = world(trigger(action="notify", **{"for": "20s"}))
    made.reach(1)
    lag(made, 31)
    made.run_for(15)
    assert not kinds(made, Reason.NOTIFIED)
    made.run_for(10)
    assert kinds(made, Reason.NOTIFIED)


ACTIONS = ["notify", "hold", "stepBack", "rollback"]


@pytest.mark.parametrize("worst", range(4))
@pytest.mark.parametrize("last_first", [False, True])
def test_the_worst_action_wins_in_any_order(worst: int, last_first: bool) -> None:
    rules = [trigger(f"rule-{action.lower()}", action=action) for action in ACTIONS[: worst + 1]]
    made = world(*(rules[::-1] if last_first else rules))
    made.reach(25)
    lag(made, 31)
    made.run_for(10)
    expected = {"notify": 25, "hold": 25, "stepBack": 1, "rollback": 0}[ACTIONS[worst]]
    assert made.route.canary_weight == expected
    assert (made.status.phase is Phase.ROLLED_BACK) == (ACTIONS[worst] == "rollback")
    assert kinds(made, Reason.NOTIFIED)


def test_a_step_back_on_the_way_back_to_stable_gives_traffic_to_canary() -> None:
    made = world(trigger(action="stepBack"))
    made.run_for(400)
    assert made.status.run is not None and made.status.run.promoted_at is not None
    made.stable = made.canary
    made.reach(50)
    made.readings["lag"] = (Value(1), Value(31))
    made.run_for(10)
    assert made.route.canary_weight == 100
    assert made.reason(ConditionType.SETTLED) == Reason.SETTLE_BREACHED


# ---------------------------------------------------------------- legs together


def test_each_leg_s_own_word_is_in_evidence_also_when_the_trigger_is_not_true() -> None:
    both = {"name": "both", "all": [{"metric": "lag", "value": 30}, {"metric": "http", "value": 0.05}], "for": "0s"}
    made = world(both, trigger("lagging"))
    made.reach(25)
    lag(made, 31)
    made.run_for(5)
    (told,) = [e for e in made.entries if e.kind is Reason.TRIGGER_FIRED]
    legs = told.data["legs"]
    assert isinstance(legs, dict)
    assert [(leg["verdict"], leg["value"]) for leg in legs["both"]] == [("Fail", "31"), ("Pass", "0% (0/1000)")]


def test_a_leg_that_surely_passes_ends_the_breach_of_a_blind_other_one() -> None:
    both = {"name": "both", "all": [{"metric": "lag", "value": 30}, {"metric": "http", "value": 0.05}], "for": "30s"}
    made = world(both)
    made.reach(25)
    made.readings["lag"] = (Value(31), Value(1))
    made.readings["http"] = (Counts(100, 1000), Counts(0, 1000))
    made.run_for(20)
    made.readings["lag"] = (Missing(Reason.NO_DATA, "gone"), Value(1))
    made.readings["http"] = (Counts(0, 1000), Counts(0, 1000))
    made.run_for(20)
    made.readings["lag"] = (Value(31), Value(1))
    made.readings["http"] = (Counts(100, 1000), Counts(0, 1000))
    made.run_for(20)
    assert made.status.phase is Phase.PROGRESSING
    made.run_for(20)
    assert made.status.phase is Phase.ROLLED_BACK


# ---------------------------------------------------------------- activeWhen

HOURS = ActiveWhen.model_validate({"schedule": "0 10 * * 1-5", "duration": "8h", "timeZone": "Europe/Istanbul"})


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-01-05T06:59:59", False),
        ("2026-01-05T07:00:00", True),
        ("2026-01-05T14:59:59", True),
        ("2026-01-05T15:00:00", False),
        ("2026-01-10T08:00:00", False),  # a Saturday
    ],
)
def test_a_trigger_is_looked_at_from_each_start_for_the_duration_in_its_zone(at: str, inside: bool) -> None:
    assert active(HOURS, datetime.fromisoformat(at).replace(tzinfo=UTC)) is inside


@pytest.mark.parametrize(
    ("schedule", "at", "inside"),
    [
        # New York, 8 March 2026: 02:00 becomes 03:00, that is 07:00 UTC.
        ("0 0 * * *", "2026-03-08T04:59:59", False),
        ("0 0 * * *", "2026-03-08T05:00:00", True),
        ("0 0 * * *", "2026-03-08T12:59:59", True),
        ("0 0 * * *", "2026-03-08T13:00:00", False),
        ("30 2 * * *", "2026-03-08T06:59:59", False),
        ("30 2 * * *", "2026-03-08T07:30:00", True),  # the hour that is skipped
        # 1 November 2026: 02:00 becomes 01:00, that is 06:00 UTC.
        ("0 0 * * *", "2026-11-01T04:00:00", True),
        ("0 0 * * *", "2026-11-01T11:59:59", True),
        ("0 0 * * *", "2026-11-01T12:00:00", False),
        ("30 1 * * *", "2026-11-01T05:30:00", True),  # the hour that comes twice
    ],
)
def test_a_duration_is_as_long_as_it_says_on_the_day_the_clock_changes(schedule: str, at: str, inside: bool) -> None:
    when = ActiveWhen.model_validate({"schedule": schedule, "duration": "8h", "timeZone": "America/New_York"})
    assert active(when, datetime.fromisoformat(at).replace(tzinfo=UTC)) is inside


def test_a_schedule_that_comes_once_in_four_years_is_not_active_in_between() -> None:
    assert not active(ActiveWhen.model_validate({"schedule": "0 0 29 2 *", "duration": "24h"}), START)


def test_outside_its_hours_a_trigger_is_no_breach_and_forgets_the_one_before() -> None:
    hours = {"schedule": "0 12 * * *", "duration": "2m"}
    made = world(trigger(activeWhen=hours, **{"for": "5m"}))
    lag(made, 31)
    made.run_for(60)
    (said,) = [v for v in made.status.verdicts if v.rule == "rule"]
    assert said.verdict is Verdict.FAIL and said.since is not None
    made.run_for(100)
    (said,) = [v for v in made.status.verdicts if v.rule == "rule"]
    assert (said.verdict, said.reason, said.since) == (Verdict.PASS, Reason.NOT_ACTIVE, None)
    made.reach(25)


def test_patience_goes_on_over_stages_and_restarts() -> None:
    made = world(trigger(action="rollback", **{"for": "3m"}), trigger("late", action="hold"))
    made.reach(1)
    made.run_for(40)
    lag(made, 31)
    made.run_for(170)
    assert made.status.phase is Phase.PROGRESSING
    made.run_for(15)
    assert made.status.phase is Phase.ROLLED_BACK
