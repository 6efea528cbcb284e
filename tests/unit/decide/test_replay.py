"""A run's evidence bears its decisions out, and says where it does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.continuity import Stood, leap_of
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import Counts, Value, Window
from sparkrelease.decide.inputs import Inputs, pack, status_data, unpack
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.replay import Difference, replay
from sparkrelease.decide.resolve import ResolvedSpec
from unit.decide.world import FP2, START, World, settled, spec


def good() -> list[Entry]:
    return settled().stored()


def bad() -> list[Entry]:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    assert world.status.phase is Phase.ROLLED_BACK
    return world.stored()


def at(entries: list[Entry], kind: Reason) -> int:
    return next(place for place, entry in enumerate(entries) if entry.kind == kind.value)


def changed(entries: list[Entry], place: int, **changes: object) -> list[Entry]:
    other = dataclasses.replace(entries[place], **changes)  # type: ignore[arg-type]  # fields of Entry
    return [*entries[:place], other, *entries[place + 1 :]]


@pytest.mark.parametrize("run", [good, bad])
def test_every_decision_of_a_run_is_reproduced(run: Callable[[], list[Entry]]) -> None:
    entries = run()
    found = replay(entries)
    assert (found.difference, found.entries) == (None, len(entries))
    assert 3 <= found.decisions < found.entries


def test_holds_commands_and_checkpoints_are_reproduced_too() -> None:
    stages = [{"name": "long", "weight": 25, "duration": "30m"}]
    world = World(spec=spec(stages=stages, deletionPolicy="Orphan"))
    world.reach(25)
    world.run_for(700)
    world.blind()
    world.run_for(20)
    world.reading = world.stable_reading = Counts(0, 1000)
    world.say(Verb.PAUSE)
    world.run_for(20)
    world.say(Verb.ROLLBACK)
    world.run_for(20)
    kinds = {entry.kind for entry in world.stored()}
    assert {"Checkpoint", "PrometheusUnreachable", "CommandTaken", "RollbackRequested", "RolledBack"} <= kinds
    assert replay(world.stored()).difference is None


def test_an_entry_about_an_ended_run_follows_the_spec_of_its_time() -> None:
    """A retry is recorded in the run that was rolled back, when the object may say something else by then."""
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    world.spec = spec(stages=[{"name": "other", "weight": 3, "duration": "1m"}], paused=True)
    world.say(Verb.RETRY)
    world.run_for(5)
    assert world.stored()[-1].kind == Reason.COMMAND_TAKEN.value
    assert replay(world.stored()).difference is None


def first_difference(entries: list[Entry]) -> Difference:
    found = replay(entries)
    assert found.difference is not None
    return found.difference


def test_a_verdict_that_was_turned_round_is_named() -> None:
    entries = bad()
    place = at(entries, Reason.TRIGGER_FIRED)
    difference = first_difference(changed(entries, place, kind=Reason.GATE_PASSED.value))
    assert (difference.entry, difference.field) == (place + 1, "kind")
    assert (difference.stored, difference.recomputed) == ("GatePassed", "TriggerFired")


def test_a_reading_that_was_made_better_is_named() -> None:
    entries = bad()
    place = at(entries, Reason.TRIGGER_FIRED)
    data = json.loads(json.dumps(entries[place].data))
    data["readings"]["http"]["canary"]["bad"] = 5.0
    difference = first_difference(changed(entries, place, data=data))
    assert (difference.entry, difference.field) == (place + 1, "data.readings.http.canary.bad")
    assert (difference.stored, difference.recomputed) == (5.0, 500.0)


def test_a_sentence_that_was_changed_is_named() -> None:
    entries = good()
    place = at(entries, Reason.GATE_PASSED)
    difference = first_difference(changed(entries, place, message="all is well"))
    assert (difference.entry, difference.field, difference.stored) == (place + 1, "message", "all is well")


def test_an_entry_without_its_inputs_is_a_difference() -> None:
    entries = bad()
    place = at(entries, Reason.TRIGGER_FIRED)
    data = {key: value for key, value in entries[place].data.items() if key != "inputs"}
    assert first_difference(changed(entries, place, data=data)).field == "data.inputs"
    assert first_difference(changed(entries, place, data={**data, "inputs": "?"})).field == "data.inputs"


def test_an_entry_that_was_added_or_taken_out_is_a_difference() -> None:
    entries = bad()
    place = at(entries, Reason.TRIGGER_FIRED)
    assert first_difference([*entries[:place], *entries[place + 1 :]]).entry == place + 2
    assert first_difference([*entries[:2], entries[1], *entries[2:]]).field == "data.inputs"


def test_other_inputs_make_another_decision() -> None:
    """Whoever rewrites what a rollback was made from has to rewrite the rollback, too."""
    entries = bad()
    place = at(entries, Reason.TRIGGER_FIRED)
    spec_of_run = ResolvedSpec.model_validate(entries[0].data["spec"])
    inputs = unpack(entries[place].data["inputs"], spec_of_run)
    http = dataclasses.replace(inputs.facts.metrics["http"], canary=Counts(0, 1000))
    facts = dataclasses.replace(inputs.facts, metrics={"http": http})
    data = {**entries[place].data, "inputs": pack(dataclasses.replace(inputs, facts=facts))}
    difference = first_difference(changed(entries, place, data=data))
    assert (difference.entry, difference.field) == (place + 1, "kind")


def two_rules() -> list[Entry]:
    """A run with a trigger on errors and one on lag, which went back for its errors."""
    rules = [
        {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "0s"},
        {"name": "late", "all": [{"metric": "lag", "op": ">", "value": 30}], "for": "0s"},
    ]
    metrics = [{"name": "http", "bad": "bad_total", "total": "all_total"}, {"name": "lag", "value": "lag"}]
    world = World(spec=spec(metrics=metrics, triggers=rules), readings={"lag": (Value(1), Value(1))})
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    assert world.status.rollback is not None and world.status.rollback.trigger == "burst"
    return world.stored()


def test_inputs_by_which_another_rule_would_have_fired_are_named_with_both_rules() -> None:
    """Whoever lays a rollback at another rule's door changes what was measured, and then what the entry tells of it."""
    entries = two_rules()
    place = at(entries, Reason.TRIGGER_FIRED)
    inputs = inputs_at(entries, place)
    measured = {"http": Counts(0, 1000), "lag": Value(90)}
    metrics = {name: dataclasses.replace(inputs.facts.metrics[name], canary=one) for name, one in measured.items()}
    forged = dataclasses.replace(inputs, facts=dataclasses.replace(inputs.facts, metrics=metrics))
    (would_be,) = decide(forged.spec, forged.status, forged.facts, forged.now).entries
    first = first_difference(with_inputs(entries, place, forged))
    assert (first.entry, first.field) == (place + 1, "message")
    assert ": burst: http 50%" in str(first.stored) and ": late: lag 90" in str(first.recomputed)
    data = {**would_be.data, "trigger": "burst"}
    told = changed(entries, place, message=would_be.message, data=data)
    second = first_difference(with_inputs(told, place, forged))
    assert (second.entry, second.field) == (place + 1, "data.trigger")
    assert (second.stored, second.recomputed) == ("burst", "late")


def test_an_entry_that_tells_of_another_rule_than_fired_is_named_with_both_rules() -> None:
    entries = two_rules()
    place = at(entries, Reason.TRIGGER_FIRED)
    difference = first_difference(changed(entries, place, data={**entries[place].data, "trigger": "late"}))
    assert (difference.entry, difference.field) == (place + 1, "data.trigger")
    assert (difference.stored, difference.recomputed) == ("late", "burst")


def test_a_status_that_leaps_between_two_decisions_is_named() -> None:
    entries = good()
    place = at(entries, Reason.GATE_PASSED)
    spec_of_run = ResolvedSpec.model_validate(entries[0].data["spec"])
    inputs = unpack(entries[place].data["inputs"], spec_of_run)
    assert inputs.status.run is not None
    run = inputs.status.run.model_copy(update={"gates_passed": 1})
    status = inputs.status.model_copy(update={"run": run})
    data = {**entries[place].data, "inputs": pack(dataclasses.replace(inputs, status=status))}
    difference = first_difference(changed(entries, place, data=data))
    assert (difference.entry, difference.field) == (place + 1, "data.inputs.status.gatesPassed")


def test_another_spec_than_the_one_recorded_is_named() -> None:
    entries = good()
    data = json.loads(json.dumps(entries[0].data))
    data["spec"]["thresholds"][0]["max"] = 0.5
    assert first_difference(changed(entries, 0, data=data)).field == "data.specDigest"
    assert first_difference(changed(entries, 0, data={**data, "spec": None})).field == "data.spec"
    assert first_difference(entries[1:]).field == "kind"
    assert first_difference([]).entry == 1


def test_the_pods_of_another_run_are_no_part_of_it() -> None:
    world = settled()
    first = world.stored()
    world.canary = dataclasses.replace(world.canary, fingerprints=frozenset({"fp3"}))
    world.stable = dataclasses.replace(world.stable, fingerprints=FP2)
    world.spec = spec(version="v3")
    world.generation += 1
    world.reach(1)
    assert replay(world.stored()).difference is None
    assert first[0].run != world.stored()[0].run


# ---------------------------------------------------------------- what a decision was made from, and what it led to


def inputs_at(entries: list[Entry], place: int) -> Inputs:
    return unpack(entries[place].data["inputs"], ResolvedSpec.model_validate(entries[0].data["spec"]))


def with_inputs(entries: list[Entry], place: int, inputs: Inputs) -> list[Entry]:
    return changed(entries, place, data={**entries[place].data, "inputs": pack(inputs)})


def with_status(entries: list[Entry], place: int, **changes: object) -> list[Entry]:
    inputs = inputs_at(entries, place)
    status = inputs.status.model_copy(update=changes)
    return with_inputs(entries, place, dataclasses.replace(inputs, status=status))


def held() -> list[Entry]:
    """A run with a breach that is on its way to act when a checkpoint is due, and then acts."""
    trigger = {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "12m"}
    stages = [{"name": "long", "weight": 25, "duration": "30m"}]
    comparison = {"tests": [{"metric": "http", "margin": 300}], "warmup": "0s"}
    world = World(spec=spec(stages=stages, triggers=[trigger], comparison=comparison))
    world.reach(25)
    world.reading, world.stable_reading = Counts(60, 1000), Counts(1, 1000)
    for minute in range(14):
        end = world.now + timedelta(seconds=30)
        window = Window(end, timedelta(seconds=15), Counts(1, 1000), Counts(1, 1000))
        world.windows = {"http": (window,)}
        world.run_for(60)
        assert world.status.tests[0].windows == minute + 1 or world.status.phase is Phase.ROLLED_BACK
    assert world.status.phase is Phase.ROLLED_BACK
    return world.stored()


def test_states_follow_one_another_from_decision_to_decision() -> None:
    """What stands after a decision, made again, stands before the next one."""
    entries = held()
    places = [place for place, entry in enumerate(entries) if "inputs" in entry.data]
    assert len(places) >= 4
    for one, other in pairwise(places):
        inputs, following = inputs_at(entries, one), inputs_at(entries, other)
        after = decide(inputs.spec, inputs.status, inputs.facts, inputs.now).status
        assert inputs.after is not None
        assert status_data(inputs.after) == status_data(after)
        stood = Stood(after, inputs.now, inputs.facts.epoch)
        assert leap_of([stood], following.status, following.now, following.facts) is None
    assert replay(entries).difference is None


def test_a_verdict_in_the_middle_that_was_turned_round_is_named_though_no_entry_tells_of_it() -> None:
    entries = held()
    place = at(entries, Reason.CHECKPOINT)
    inputs = inputs_at(entries, place)
    assert inputs.after is not None
    verdicts = inputs.after.verdicts
    assert verdicts[0].verdict is Verdict.FAIL
    turned = (verdicts[0].model_copy(update={"verdict": Verdict.PASS}), *verdicts[1:])
    after = inputs.after.model_copy(update={"verdicts": turned})
    difference = first_difference(with_inputs(entries, place, dataclasses.replace(inputs, after=after)))
    assert (difference.entry, difference.field) == (place + 1, "data.inputs.after.verdicts[0].verdict")
    assert (difference.stored, difference.recomputed) == ("Pass", "Fail")


def test_a_counter_in_the_middle_that_was_changed_is_named_though_the_verdict_stays() -> None:
    entries = held()
    place = at(entries, Reason.CHECKPOINT)
    inputs = inputs_at(entries, place)
    http = dataclasses.replace(inputs.facts.metrics["http"], canary=Counts(61, 1000))
    facts = dataclasses.replace(inputs.facts, metrics={"http": http})
    data = json.loads(json.dumps(entries[place].data))
    data["readings"]["http"]["canary"]["bad"] = 61.0
    data["legs"]["burst"][0] |= {"value": "6.1% (61/1000)", "message": "burst: http 6.1% (61/1000) > 0.05"}
    entries = changed(entries, place, data=data)
    difference = first_difference(with_inputs(entries, place, dataclasses.replace(inputs, facts=facts)))
    assert difference.entry == place + 1
    assert difference.field.startswith("data.inputs.after.")
    assert "6%" in str(difference.stored) and "6.1%" in str(difference.recomputed)


def test_a_breach_said_to_have_begun_before_the_decision_that_did_not_know_it_is_named() -> None:
    entries = held()
    place = at(entries, Reason.TRIGGER_FIRED)
    verdicts = inputs_at(entries, place).status.verdicts
    before = inputs_at(entries, at(entries, Reason.CHECKPOINT)).now
    forged = (verdicts[0].model_copy(update={"since": before - timedelta(minutes=9)}), *verdicts[1:])
    difference = first_difference(with_status(entries, place, verdicts=forged))
    assert (difference.entry, difference.field) == (place + 1, "data.inputs.status.verdicts[burst].since")


@pytest.mark.parametrize("change", [{"windows": 1}, {"e": 0.5}, {"counted_until": START + timedelta(seconds=90)}])
def test_a_test_that_knows_less_than_it_did_is_named(change: dict[str, object]) -> None:
    entries = held()
    place = at(entries, Reason.TRIGGER_FIRED)
    (test,) = inputs_at(entries, place).status.tests
    assert test.windows > 2
    difference = first_difference(with_status(entries, place, tests=(test.model_copy(update=change),)))
    assert difference.entry == place + 1
    assert difference.field.startswith("data.inputs.status.tests[http].")


def test_evidence_of_a_program_that_kept_no_status_after_is_still_replayed() -> None:
    entries = bad()
    for place, entry in enumerate(entries):
        if "inputs" in entry.data:
            entries = with_inputs(entries, place, dataclasses.replace(inputs_at(entries, place), after=None))
    assert replay(entries).difference is None


def test_a_status_that_was_read_back_from_the_cluster_follows_the_one_that_was_written() -> None:
    """Its times are cut to the millisecond."""
    world = World(now=START + timedelta(microseconds=123_987))
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    assert replay(world.stored()).difference is None
