"""After a rollback the metrics are measured once, over windows that lie behind it; nothing waits for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import Counts, Missing, Route, Verification
from sparkrelease.decide.inputs import KEY
from sparkrelease.decide.replay import replay
from unit.decide.world import FP1, FP3, World, spec

WINDOW = timedelta(minutes=1)


def rolled_back() -> World:
    """v2 turned bad at 25 %, and traffic is back on stable."""
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(10, until=Phase.ROLLED_BACK)
    assert world.status.phase is Phase.ROLLED_BACK
    world.reading, world.stable_reading = Missing(Reason.NO_DATA, "no series"), Counts(3, 1000)
    world.tick = timedelta(seconds=5)
    return world


def measured(world: World) -> list[Entry]:
    return [entry for entry in world.stored() if entry.kind == Reason.ROLLBACK_MEASURED.value]


def test_stable_is_measured_once_over_a_window_behind_the_rollback() -> None:
    world = rolled_back()
    record = world.status.rollback
    assert record is not None and record.verified_at is not None and record.measured_at is None
    world.run_for(55)
    assert not measured(world)
    world.run_for(600)
    (entry,) = measured(world)
    seen = world.status.rollback
    assert seen is not None and seen.measured_at is not None
    assert seen.measured_at - WINDOW >= record.verified_at
    assert "http 0.3% (3/1000)" in entry.message
    assert world.status.phase is Phase.ROLLED_BACK and world.reason() == Reason.ROLLED_BACK


def test_a_release_that_was_measured_is_at_rest_again() -> None:
    world = rolled_back()
    world.run_for(120)
    before = world.status
    plan = world.round()
    assert (plan.wake_at, plan.wants.anything, plan.entries) == (None, False, ())
    assert world.status == before


def test_it_wakes_when_the_window_is_over_and_not_before() -> None:
    world = rolled_back()
    plan, record = world.round(), world.status.rollback
    assert record is not None and record.verified_at is not None and not plan.wants.anything
    assert plan.wake_at is not None
    assert timedelta(0) < plan.wake_at - (record.verified_at + WINDOW) <= 2 * world.tick


def test_the_window_begins_when_the_gateway_follows() -> None:
    world = rolled_back()
    before = world.status.rollback
    assert before is not None
    world.status = world.status.model_copy(update={"rollback": before.model_copy(update={"verified_at": None})})
    world.route = replace(world.route, verification=Verification.PENDING)
    world.run_for(90)
    assert not measured(world)
    world.route = replace(world.route, verification=Verification.VERIFIED)
    accepted = world.now
    world.run_for(120)
    record = world.status.rollback
    assert record is not None and record.measured_at is not None and record.measured_at - accepted >= WINDOW


def test_a_gateway_that_never_answers_is_waited_for_ten_minutes_at_most() -> None:
    world = rolled_back()
    before = world.status.rollback
    assert before is not None
    world.status = world.status.model_copy(update={"rollback": before.model_copy(update={"verified_at": None})})
    world.route = replace(world.route, verification=Verification.PENDING)
    world.tick = timedelta(seconds=7)
    world.run_for(900)
    (entry,) = measured(world)
    assert entry.data["verifiedAt"] is None


def test_where_nobody_can_say_it_is_measured_as_soon_and_not_called_verified() -> None:
    world = rolled_back()
    before = world.status.rollback
    assert before is not None
    world.status = world.status.model_copy(update={"rollback": before.model_copy(update={"verified_at": None})})
    world.route = replace(world.route, verification=Verification.UNSUPPORTED)
    world.run_for(120)
    (entry,) = measured(world)
    assert entry.data["verifiedAt"] is None


def test_a_route_that_is_gone_keeps_nobody_waiting() -> None:
    world = rolled_back()
    world.route = Route()
    world.run_for(120)
    assert len(measured(world)) == 1


def test_a_blind_server_is_asked_again_and_what_it_lacks_is_told_in_the_end() -> None:
    world = rolled_back()
    world.blind()
    world.run_for(300)
    assert not measured(world)
    world.stable_reading = Counts(2, 1000)
    world.run_for(30)
    assert "0.2% (2/1000)" in measured(world)[0].message
    blind = rolled_back()
    blind.blind()
    blind.tick = timedelta(seconds=7)
    blind.run_for(1200)
    assert [Reason.PROMETHEUS_UNREACHABLE.value in entry.message for entry in measured(blind)] == [True]


def test_nobody_looks_for_what_came_after_a_rollback_of_long_ago() -> None:
    world = rolled_back()
    world.now += timedelta(hours=1)
    plan = world.round()
    assert (plan.wake_at, plan.wants.anything) == (None, False)
    world.run_for(60)
    assert not measured(world)


def test_a_next_version_is_not_judged_by_what_the_one_before_did_and_the_measurement_is_in_the_old_evidence() -> None:
    """Prometheus answers the samples of pods that are gone until it has noticed."""
    world = rolled_back()
    back = world.now
    world.reading = Counts(500, 1000)
    world.spec = spec(version="v3")
    world.canary = replace(world.canary, fingerprints=FP3)
    kinds = len(world.kinds())
    world.run_for(30)
    assert (world.reason(), world.kinds()[kinds:]) == (Reason.EARLIER_REQUESTS, [])
    assert "are within the window of a metric until" in world.why()
    world.run_for(25)
    world.reading = world.stable_reading = Counts(0, 1000)  # a minute later the window holds v3's alone
    world.run_for(20)
    assert world.kinds()[kinds:][:2] == [Reason.ROLLBACK_MEASURED, Reason.RUN_STARTED]
    run = world.status.run
    assert run is not None and run.version == "v3" and run.end is None
    assert run.started_at >= back + WINDOW


def test_a_retry_of_the_same_pods_begins_after_its_window_with_the_measurement_made() -> None:
    world = rolled_back()
    world.run_for(10)
    world.say(Verb.RETRY)
    world.reading = Counts(0, 1000)
    world.run_for(120)
    told = world.kinds()
    assert told.index(Reason.ROLLBACK_MEASURED) < len(told) - 1 - told[::-1].index(Reason.RUN_STARTED)


def test_a_dry_run_and_a_release_without_metrics_have_nothing_to_measure() -> None:
    dry = World(spec=spec(dryRun=True))
    dry.run_for(90)
    dry.reading = Counts(500, 1000)
    dry.run_for(300)
    assert dry.status.run is not None and dry.status.run.end is not None
    assert not measured(dry)
    bare = World(spec=spec(metrics=[], thresholds=[], triggers=[]))
    bare.reach(25)
    bare.say(Verb.ROLLBACK)
    bare.run_for(90)
    assert bare.status.phase is Phase.ROLLED_BACK and not measured(bare)


def test_a_rollback_waits_for_no_measurement() -> None:
    world = World()
    world.reach(25)
    world.blind()
    world.say(Verb.ROLLBACK)
    world.round()
    assert world.route.canary_weight == 0


@pytest.mark.parametrize("restored", [True, False])
def test_a_run_whose_version_git_took_back_is_measured_all_the_same(restored: bool) -> None:
    world = rolled_back()
    world.spec = spec(version="v1")
    if restored:
        world.canary = replace(world.canary, fingerprints=FP1)
    world.run_for(120)
    assert len(measured(world)) == 1


def test_replay_bears_the_measurement_out() -> None:
    world = rolled_back()
    world.run_for(120)
    entries = world.stored()
    done = replay(entries)
    assert done.difference is None and done.entries == len(entries)
    assert KEY in measured(world)[0].data
