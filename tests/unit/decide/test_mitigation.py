"""What a trigger changes instead of giving the release up: once a breach, told of, undone on a rollback."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.command import Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts, Value
from sparkrelease.decide.mitigation import Recorded, read_record, records_of
from sparkrelease.decide.replay import replay
from unit.decide.world import START, World, spec

METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "lag", "value": "max by ($by)(lag_seconds{$sel})"},
]
BURST = {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "0s"}
FLAGS = {"configMap": "flags", "set": {"FLOOR": "0.65", "POLL": "90"}, "undoOnRollback": True, "cooldown": "10m"}


def world(action: str = "mitigate", mitigation: dict[str, object] | None = None, **trigger: object) -> World:
    lagging = {"name": "slow", "all": [{"metric": "lag", "value": 30}], "for": "0s", "action": action}
    rules = [lagging | {"mitigation": mitigation or FLAGS} | trigger, BURST]
    made = World(spec=spec(metrics=METRICS, triggers=rules, thresholds=[]))
    made.settings["flags"] = {"FLOOR": "0.5", "OTHER": "x"}
    lag(made, 1)
    return made


def lag(made: World, seconds: float) -> None:
    made.readings["lag"] = (Value(seconds), Value(1))


def said(made: World, reason: Reason) -> list[dict[str, object]]:
    return [dict(entry.data) for entry in made.entries if entry.kind is reason]


def slow_at_a_quarter(**more: object) -> World:
    made = world(**more)  # type: ignore[arg-type]
    made.reach(25)
    lag(made, 31)
    made.run_for(5)
    return made


def test_a_breach_sets_the_keys_and_leaves_the_others() -> None:
    made = slow_at_a_quarter()
    assert made.settings["flags"] == {"FLOOR": "0.65", "POLL": "90", "OTHER": "x"}
    (before,) = said(made, Reason.MITIGATING)
    assert before["before"] == {"FLOOR": "0.5", "POLL": None}
    (after,) = said(made, Reason.MITIGATED)
    assert after["values"] == {"FLOOR": "0.65", "POLL": "90"}
    assert [one.state for one in records_of(made.status)] == ["done"]


def test_evidence_with_the_old_values_comes_before_the_change() -> None:
    made = world()
    made.reach(25)
    made.settings_work = False
    lag(made, 31)
    made.run_for(30)
    assert made.settings["flags"]["FLOOR"] == "0.5"
    assert len(said(made, Reason.MITIGATING)) == 1
    assert said(made, Reason.MITIGATED) == []
    made.settings_work = True
    made.run_for(5)
    assert made.settings["flags"]["FLOOR"] == "0.65"
    assert len(said(made, Reason.MITIGATING)) == 1, "what was decided is carried out, not decided again"


def test_the_weight_stays_while_the_trigger_is_true_and_rises_after_it() -> None:
    made = slow_at_a_quarter()
    made.run_for(300)
    assert made.route.canary_weight == 25
    assert made.reason() == "TriggerHolds"
    lag(made, 1)
    made.reach(100)


def test_one_breach_is_mitigated_once() -> None:
    made = slow_at_a_quarter()
    made.settings["flags"]["FLOOR"] = "0.1"
    made.run_for(3600)
    assert made.settings["flags"]["FLOOR"] == "0.1", "the next breach may set it again, this one has"
    assert len(said(made, Reason.MITIGATING)) == 1


def test_a_flapping_trigger_does_nothing_until_the_cooldown_is_over() -> None:
    made = slow_at_a_quarter()
    began = made.now
    for _ in range(6):
        lag(made, 1)
        made.run_for(10)
        lag(made, 31)
        made.settings["flags"]["FLOOR"] = "0.5"
        made.run_for(10)
    assert made.now - began < timedelta(minutes=10)
    assert made.settings["flags"]["FLOOR"] == "0.5"
    made.run_for(600)
    assert made.settings["flags"]["FLOOR"] == "0.65"
    assert len(said(made, Reason.MITIGATING)) == 2


def test_a_rollback_undoes_what_was_set_and_nothing_else() -> None:
    made = slow_at_a_quarter()
    made.settings["flags"]["OTHER"] = "y"
    made.reading = Counts(200, 1000)
    made.run_for(30, until="RolledBack")
    assert made.route.canary_weight == 0
    made.run_for(20)
    made.settle_rounds()
    assert made.settings["flags"] == {"FLOOR": "0.5", "OTHER": "y"}
    assert len(said(made, Reason.MITIGATION_UNDOING)) == len(said(made, Reason.MITIGATION_UNDONE)) == 1
    assert made.status.mitigations == ()
    assert made.status.phase is Phase.ROLLED_BACK


def test_the_rollback_comes_first_and_waits_for_no_undoing() -> None:
    made = slow_at_a_quarter()
    made.settings_work = False
    made.reading = Counts(200, 1000)
    made.now += made.tick
    plan = made.round()
    assert plan.urgent
    assert plan.change is None
    assert made.route.canary_weight == 0


def test_what_somebody_changed_since_stays_theirs() -> None:
    made = slow_at_a_quarter()
    made.settings["flags"]["FLOOR"] = "0.9"
    made.say(Verb.ROLLBACK)
    made.run_for(30)
    assert made.settings["flags"]["FLOOR"] == "0.9"
    assert len(said(made, Reason.MITIGATION_KEPT)) == 1
    assert made.status.mitigations == ()


def test_without_undo_on_rollback_the_values_stay() -> None:
    made = slow_at_a_quarter(mitigation=FLAGS | {"undoOnRollback": False})
    made.say(Verb.ROLLBACK)
    made.run_for(30)
    assert made.settings["flags"]["FLOOR"] == "0.65"
    assert made.status.mitigations == ()


def test_an_undoing_that_cannot_be_done_keeps_no_new_version_up() -> None:
    made = slow_at_a_quarter()
    made.say(Verb.ROLLBACK)
    del made.settings["flags"]
    made.run_for(10)
    assert [e for e in made.events if e.reason is Reason.MITIGATION_FAILED]
    made.spec = spec(version="v3")
    made.canary = made.canary.__class__(exists=True, ready=2, fingerprints=frozenset({"fp3"}))
    made.run_for(200, until="Progressing")
    assert made.status.run is not None and made.status.run.version == "v3"


def test_a_config_map_that_is_not_there_is_told_and_the_release_is_held() -> None:
    made = world()
    made.reach(25)
    del made.settings["flags"]
    lag(made, 31)
    made.run_for(60)
    assert [e for e in made.events if e.reason is Reason.MITIGATION_FAILED]
    assert made.status.mitigations == ()
    assert made.route.canary_weight == 25


def test_a_paused_release_changes_nothing() -> None:
    made = world()
    made.reach(25)
    made.say(Verb.PAUSE)
    made.run_for(5)
    lag(made, 31)
    made.run_for(60)
    assert made.settings["flags"]["FLOOR"] == "0.5"


def test_a_dry_run_tells_and_changes_nothing() -> None:
    made = world()
    made.spec = made.spec.model_copy(update={"dry_run": True})
    made.run_for(20)
    lag(made, 31)
    made.run_for(60)
    assert made.settings["flags"]["FLOOR"] == "0.5"
    assert len(said(made, Reason.MITIGATING)) == 1


def test_a_restart_is_asked_for_once_by_a_token_that_does_not_change() -> None:
    made = world(mitigation=FLAGS | {"restart": "worker"})
    made.reach(25)
    made.settings_work = False
    lag(made, 31)
    made.run_for(20)
    tokens = set()
    for _ in range(3):
        made.now += made.tick
        change = made.round().change
        assert change is not None
        tokens.add((change.restart, change.token))
    assert len(tokens) == 1
    made.settings_work = True
    made.run_for(10)
    assert made.token == tokens.pop()[1]
    assert records_of(made.status)[0].state == "done"


def test_a_trigger_can_step_back_to_a_named_stage_and_set_keys() -> None:
    made = world(action="stepBack", stage="one")
    made.reach(100)
    lag(made, 31)
    made.run_for(10)
    assert made.route.canary_weight == 1
    assert made.status.stage is not None and made.status.stage.name == "one"
    assert made.status.stage.observed == timedelta(0)
    assert made.settings["flags"]["FLOOR"] == "0.65"


def test_a_trigger_that_notifies_can_set_keys_and_the_release_goes_on() -> None:
    made = slow_at_a_quarter(action="notify")
    assert made.settings["flags"] == {"FLOOR": "0.65", "POLL": "90", "OTHER": "x"}
    assert [kind for kind in made.kinds() if kind in {Reason.NOTIFIED, Reason.MITIGATING}] == [
        Reason.NOTIFIED,
        Reason.MITIGATING,
    ]
    made.reach(100)
    assert len(said(made, Reason.MITIGATING)) == len(said(made, Reason.NOTIFIED)) == 1, "once a breach"


def test_a_dry_run_of_a_trigger_that_notifies_tells_what_it_would_set_once() -> None:
    made = world(action="notify")
    made.spec = made.spec.model_copy(update={"dry_run": True})
    made.run_for(20)
    lag(made, 31)
    made.run_for(60)
    assert made.settings["flags"]["FLOOR"] == "0.5"
    assert len(said(made, Reason.MITIGATING)) == 1


def test_a_step_back_waits_for_no_config_map_that_is_not_there() -> None:
    made = world(action="stepBack", stage="one")
    made.reach(100)
    del made.settings["flags"]
    lag(made, 31)
    made.run_for(10)
    assert made.route.canary_weight == 1
    assert [e for e in made.events if e.reason is Reason.MITIGATION_FAILED]


def test_a_step_back_to_the_stage_under_way_holds_there() -> None:
    made = world(action="stepBack", stage="quarter")
    made.reach(25)
    lag(made, 31)
    made.run_for(300)
    assert made.route.canary_weight == 25
    assert Reason.STEPPED_BACK not in made.kinds()


def test_every_decision_of_it_can_be_replayed() -> None:
    made = slow_at_a_quarter()
    made.say(Verb.ROLLBACK)
    made.run_for(60)
    told = replay(made.stored())
    assert told.difference is None
    assert told.entries == len(made.chain)


@given(
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(st.text(), st.none() | st.text()),
    st.text(),
    st.booleans(),
)
def test_a_record_reads_back_as_it_was_written(
    wanted: dict[str, str], before: dict[str, str | None], name: str, undo: bool
) -> None:
    record = Recorded(name, START, "done", name, wanted, before, name, undo)
    assert read_record(record.text()) == record


@given(st.text() | st.sampled_from(["{}", "[]", '{"configMap":"a"}', "1"]))
def test_what_is_no_record_is_none(text: str) -> None:
    found = read_record(text)
    assert found is None or isinstance(found, Recorded)
