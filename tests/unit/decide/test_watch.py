"""The watch at the last weight: checks at a pace, criteria over the whole of it, and a rollback one flip away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Missing, Value
from sparkrelease.decide.notices import topic_of
from sparkrelease.decide.replay import replay
from unit.decide.watch_world import BURN, METRICS, THRESHOLDS, WATCH, burning, to_check, watched
from unit.decide.world import FP2, World, spec


def test_after_the_last_gate_the_last_weight_is_watched_and_nothing_is_promoted_yet() -> None:
    world = watched()
    assert world.route.canary_weight == 100
    assert world.status.run is not None and world.status.run.promoted_at is None
    assert world.condition(ConditionType.PROMOTED) is None
    assert world.condition(ConditionType.READY) == "False"
    assert world.condition(ConditionType.RECONCILING) == "True"
    assert world.status.stage_text == "watch 0/5"
    assert world.status.watch is not None and (world.status.watch.check, world.status.watch.of) == (0, 5)
    assert Reason.WATCH_STARTED in world.kinds()


def test_a_quiet_watch_makes_every_check_tells_of_each_and_promotes_at_its_end() -> None:
    world = watched()
    began = world.now
    world.run_for(900, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED, world.why()
    assert timedelta(minutes=10) <= world.now - began <= timedelta(minutes=10) + 4 * world.tick
    checks = [entry for entry in world.entries if entry.kind is Reason.WATCH_CHECKED]
    assert [entry.data["check"] for entry in checks] == [1, 2, 3, 4, 5]
    assert checks[0].data["criteria"] == {"errors": "Pass", "dead-letters": "Pass"}
    assert checks[0].data["verdicts"] == {"errors": "Pass"}
    assert len([e for e in world.events if e.reason is Reason.WATCH_CHECKED]) == 5
    assert world.status.watch is None
    assert world.condition(ConditionType.PROMOTED) == "True"


def test_a_check_asks_for_the_time_since_the_last_one_and_for_the_whole_watch() -> None:
    world = watched()
    to_check(world, 3)
    spans = {ask.name: ask.over for ask in world.asked_spans[-3:]}
    assert spans["interval/errors"] == timedelta(minutes=2)
    assert spans["watch/errors"] >= timedelta(minutes=6)
    assert "interval/dead-letters" not in spans
    assert [ask.whole for ask in world.asked_spans[-3:]] == [False, True, True]


def test_the_status_says_where_the_watch_is() -> None:
    world = watched()
    to_check(world, 2)
    status = world.status.watch
    assert status is not None
    assert (status.check, status.of, status.checked_at) == (2, 5, world.now)
    assert (world.status.stage_text, world.status.gate_text) == ("watch 2/5", "2/2")
    assert world.status.next is not None and world.status.next.what == "check 3/5"


def test_a_threshold_that_fails_at_a_check_rolls_back() -> None:
    world = watched()
    world.spans["interval/errors"] = (Counts(30, 1000), Counts(0, 1000))
    to_check(world, 1)
    world.run_for(30, until="RolledBack")
    assert world.status.phase is Phase.ROLLED_BACK, world.why()
    assert world.route.canary_weight == 0
    record = world.status.rollback
    assert record is not None and (record.reason, record.stage) == ("WatchFailed", "watch")
    assert world.kinds().count(Reason.WATCH_CHECKED) == 1
    assert [refused.version for refused in world.status.refused] == ["v2"]


def test_a_trigger_goes_back_at_once_during_the_watch() -> None:
    world = watched()
    world.run_for(60)
    world.reading = Counts(200, 1000)
    world.now += world.tick
    assert world.round().urgent
    world.settle_rounds()
    assert world.route.canary_weight == 0
    assert world.status.watch is None
    assert world.status.history[0].outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize("canary", [Value(2), Value(7)])
def test_a_criterion_that_is_not_met_at_the_end_is_no_success(canary: Value) -> None:
    world = watched()
    world.spans["watch/dead-letters"] = (canary, Value(0))
    to_check(world, 4)
    assert world.status.phase is Phase.WATCHING, "before the end a box that is not ticked is only told of"
    world.run_for(180, until="RolledBack")
    assert world.status.phase is Phase.ROLLED_BACK, world.why()
    assert world.status.rollback is not None and world.status.rollback.reason == "CriteriaNotMet"
    assert Reason.PROMOTED not in world.kinds()


def test_a_criterion_nothing_is_known_of_holds_after_the_end_until_it_is_ticked() -> None:
    world = watched()
    world.spans["watch/dead-letters"] = (Missing(Reason.NO_DATA, "no series"), Value(0))
    world.run_for(900, until="Succeeded")
    assert world.status.phase is Phase.WATCHING
    assert world.route.canary_weight == 100
    assert world.reason() == "WatchInconclusive"
    assert world.condition(ConditionType.STALLED) == "True"
    world.spans.clear()
    world.run_for(180, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED, world.why()


def test_too_little_traffic_at_a_check_is_told_and_does_not_end_the_watch() -> None:
    world = watched()
    world.spans["interval/errors"] = (Counts(0, 12), Counts(0, 1000))
    to_check(world, 1)
    assert world.status.phase is Phase.WATCHING
    told = [e for e in world.events if e.reason is Reason.WATCH_CHECKED]
    assert "fewer than 300 requests" in told[0].message


def test_whoever_is_told_of_gates_is_told_of_every_check_of_the_watch() -> None:
    world = watched()
    to_check(world, 3)
    told = [event for event in world.events if topic_of(event) is Topic.GATE and event.reason is Reason.WATCH_CHECKED]
    assert len(told) == 3
    assert "check 3 of 5" in told[-1].message


def test_a_threshold_of_the_gates_alone_is_no_criterion() -> None:
    world = watched(thresholds=[{"name": "errors", "metric": "http", "max": 0.01, "at": "gates"}])
    to_check(world, 1)
    assert [ask.name for ask in world.asked_spans] == ["interval/errors"]
    world.run_for(900, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED, world.why()


def test_a_threshold_of_the_watch_alone_keeps_no_gate_shut() -> None:
    world = World(spec=spec(watch=WATCH, metrics=METRICS, thresholds=THRESHOLDS))
    world.readings["dlq"] = (Missing(Reason.NO_DATA, "no series"), Value(50))
    world.run_for(400, until="Watching")
    assert world.status.phase is Phase.WATCHING, world.why()


# ---------------------------------------------------------------- burn rates


def test_a_budget_that_burns_too_fast_over_both_windows_rolls_back() -> None:
    world = watched(watch=BURN)
    burning(world, Counts(200, 1000), Counts(20, 100))
    to_check(world, 1)
    world.run_for(30, until="RolledBack")
    assert world.status.rollback is not None and world.status.rollback.reason == "WatchFailed"
    assert "burn rate 1h" in world.status.rollback.message


@pytest.mark.parametrize(
    ("long", "short"),
    [(Counts(200, 1000), Counts(1, 100)), (Counts(4, 20), Counts(4, 20)), (Counts(200, 1000), Counts(0, 0))],
)
def test_a_fire_that_is_out_or_too_small_to_tell_is_no_rollback(long: Counts, short: Counts) -> None:
    world = watched(watch=BURN)
    burning(world, long, short)
    to_check(world, 2)
    assert world.status.phase is Phase.WATCHING


# ---------------------------------------------------------------- the clock, and what comes between


def test_only_time_with_fresh_data_counts_and_a_blind_server_never_ends_a_watch() -> None:
    world = watched()
    world.run_for(60)
    seen = world.status.stage.observed if world.status.stage else None
    reading = world.reading
    world.blind()
    world.run_for(25 * 60)
    assert world.status.phase is Phase.WATCHING, world.why()
    assert world.route.canary_weight == 100
    assert world.status.stage is not None and world.status.stage.observed == seen
    world.reading = world.stable_reading = reading
    world.run_for(900, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED, world.why()


def test_data_of_its_own_that_is_missing_too_long_goes_back() -> None:
    world = watched()
    world.blind(Reason.NO_DATA, server=False)
    world.run_for(400, until="RolledBack")
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_pause_stops_the_clock_and_a_rollback_by_command_still_works() -> None:
    world = watched()
    world.run_for(60)
    world.say(Verb.PAUSE)
    world.run_for(3600)
    assert world.status.watch is not None and world.status.watch.check == 0
    world.say(Verb.ROLLBACK)
    world.run_for(10, until="RolledBack")
    assert world.route.canary_weight == 0


def test_a_new_version_takes_the_place_of_a_watched_one() -> None:
    world = watched()
    world.spec = spec(version="v3", watch=WATCH)
    world.run_for(30)
    assert world.status.history[0].outcome is Outcome.SUPERSEDED
    assert world.status.watch is None
    assert world.route.canary_weight == 0


def test_deleting_a_watched_release_restores_stable() -> None:
    world = watched()
    world.deleting = True
    world.run_for(30)
    assert world.route.canary_weight == 0
    assert not world.finalizer


def test_a_step_back_ends_the_watch_and_the_way_up_leads_to_a_new_one() -> None:
    trigger = {"name": "slow", "all": [{"metric": "dlq", "value": 5}], "action": "stepBack", "stage": "one"}
    world = watched(triggers=[trigger])
    to_check(world, 2)
    world.readings["dlq"] = (Value(9), Value(0))
    world.run_for(10)
    assert world.route.canary_weight == 1
    assert world.status.watch is None
    assert world.status.phase is Phase.PROGRESSING
    world.readings["dlq"] = (Value(0), Value(0))
    world.run_for(600, until="Watching")
    assert world.status.watch is not None and world.status.watch.check == 0


def test_a_restart_goes_on_where_the_watch_was() -> None:
    world = watched()
    to_check(world, 2)
    observed = world.status.stage.observed if world.status.stage else timedelta(0)
    world.now += timedelta(hours=2)
    world.epoch += 1
    world.run_for(5)
    assert world.status.watch is not None and world.status.watch.check == 2
    assert world.status.stage is not None and world.status.stage.observed <= observed + 2 * world.tick
    world.run_for(900, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED


def test_canary_pods_that_are_not_ready_put_the_promotion_off() -> None:
    world = watched()
    to_check(world, 4)
    world.canary = replace(world.canary, not_ready=1)
    world.run_for(300)
    assert world.status.phase is Phase.WATCHING
    assert world.kinds().count(Reason.WATCH_CHECKED) == 4
    world.canary = replace(world.canary, not_ready=0)
    world.run_for(60, until="Succeeded")
    assert world.status.phase is Phase.SUCCEEDED


def test_promote_skips_a_gate_into_the_watch_and_then_the_watch() -> None:
    world = World(spec=spec(watch=WATCH))
    world.reach(100)
    world.say(Verb.PROMOTE)
    world.run_for(5)
    assert world.status.phase is Phase.WATCHING
    world.say(Verb.PROMOTE)
    world.run_for(5)
    assert world.status.phase is Phase.SUCCEEDED
    assert "the watch skipped" in [e.message for e in world.entries if e.kind is Reason.GATE_SKIPPED][-1]


def test_promote_full_skips_the_watch_too() -> None:
    world = World(spec=spec(watch=WATCH))
    world.reach(25)
    world.say(Verb.PROMOTE, full=True)
    world.run_for(10)
    assert world.status.phase is Phase.SUCCEEDED


def test_the_whole_run_can_be_replayed() -> None:
    world = watched(watch=BURN)
    world.run_for(900, until="Succeeded")
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(60)
    told = replay(world.stored())
    assert told.difference is None
    assert told.entries == len(world.chain)
