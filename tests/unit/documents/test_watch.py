"""What documents tell of the watch: the criteria it met or not, and how fast the error budget burned."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Counts, Missing, Value
from sparkrelease.documents.files import documents
from unit.decide.watch_world import BURN, METRICS, THRESHOLDS, WATCH, breached, burnt, not_met, to_check, watched
from unit.decide.world import World
from unit.documents import runs


def files(world: World) -> Mapping[str, str]:
    entries = world.stored()
    return documents([], entries, runs.chain_of(entries))


def told(world: World) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(files(world)["run.json"])
    return body


def of_watch(world: World) -> dict[str, Any]:
    found: dict[str, Any] = told(world)["stages"][-1]
    assert found["name"] == "watch"
    return found


def verdicts(stage: Mapping[str, Any]) -> dict[str, str]:
    return {one["objective"]: one["verdict"] for one in stage["results"]}


def passed(**changes: object) -> World:
    world = watched(**changes)
    world.run_for(900, until="Succeeded")
    return world


def test_a_watch_is_a_stage_of_its_own_that_every_criterion_passed() -> None:
    world = passed()
    stage = of_watch(world)
    assert (stage["status"], stage["passing"], stage["objectives"]) == ("Passed", 2, 2)
    assert stage["observedSeconds"] == pytest.approx(600, abs=10)
    assert stage["judgedOverStage"]
    assert verdicts(stage) == {"errors": "Pass", "dead-letters": "Pass"}
    assert told(world)["stagesPassed"] == 3


def test_criteria_that_were_not_met_are_told_over_the_whole_watch() -> None:
    world = not_met()
    stage = of_watch(world)
    assert (stage["status"], stage["passing"], stage["objectives"]) == ("RolledBack", 0, 2)
    assert stage["judgedOverStage"]
    assert {one["objective"]: one["canary"] for one in stage["results"]} == {"errors": 0.04, "dead-letters": 3}
    assert "| rolled back | 0/2 |" in files(world)["release-notes.md"]


def test_what_fails_since_the_last_check_is_told_as_what_that_check_saw() -> None:
    world = breached()
    stage = of_watch(world)
    assert verdicts(stage) == {"errors": "Fail", "dead-letters": "Pass"}
    assert {one["objective"]: one["over"] for one in stage["results"]} == {"errors": "check", "dead-letters": "stage"}
    assert not stage["judgedOverStage"]
    assert "| rolled back | 1/2 (last check) |" in files(world)["release-notes.md"]
    assert "1/2 (last check)" in files(world)["report.html"]


def test_a_watch_left_for_a_trigger_shows_the_last_look() -> None:
    world = watched()
    to_check(world, 1)
    world.run_for(20)
    world.reading = Counts(200, 1000)
    world.run_for(60, until="RolledBack")
    stage = of_watch(world)
    assert {one["over"] for one in stage["results"]} == {"look"}
    assert "1/2 (last look)" in files(world)["release-notes.md"]


def test_a_watch_under_way_is_told_as_of_its_last_check() -> None:
    world = watched()
    world.spans["watch/dead-letters"] = (Value(3), Value(0))
    to_check(world, 2)
    stage = of_watch(world)
    assert (stage["status"], stage["passing"], verdicts(stage)["dead-letters"]) == ("UnderWay", 1, "Fail")


def test_a_criterion_nothing_is_known_of_is_no_pass() -> None:
    world = watched()
    world.spans["watch/dead-letters"] = (Missing(Reason.NO_DATA, "no series"), Value(0))
    to_check(world, 5)
    assert verdicts(of_watch(world))["dead-letters"] == "NoData"


def test_a_threshold_of_the_gates_alone_is_told_as_the_last_check_saw_it() -> None:
    thresholds = [*THRESHOLDS, {"name": "other", "metric": "http", "max": 0.01, "at": "gates"}]
    stage = of_watch(passed(thresholds=thresholds))
    assert {one["objective"]: one["over"] for one in stage["results"]}["other"] == "check"
    assert (stage["passing"], stage["objectives"]) == (3, 3)


def test_burn_rates_have_rows_of_their_own() -> None:
    world = burnt()
    stage = of_watch(world)
    assert (stage["passing"], stage["objectives"]) == (2, 2), "they are no objectives"
    assert [(one["rule"], one["verdict"], one["value"], one["limit"]) for one in stage["burnRates"]] == [
        ("burn rate 1h", "Fail", "20x over 1h and 20x over 5m", "≤ 14.4x"),
        ("burn rate 6h", "Pass", "0x over 6h and 0x over 30m", "≤ 6x"),
    ]
    assert {one["metric"] for one in stage["burnRates"]} == {"http"}
    note, page = files(world)["release-notes.md"], files(world)["report.html"]
    assert "| rolled back | 2/2, burn rates 1/2 |" in note
    assert re.search(r"^. burn rate 1h . ≤ 14.4x (. - ){3}. 20x over 1h and 20x over 5m ✖ .$", note, re.MULTILINE)
    assert "burn rate 1h" in page and "20x over 1h and 20x over 5m" in page


def test_a_release_without_burn_rates_has_no_rows_of_them() -> None:
    world = passed()
    assert of_watch(world)["burnRates"] == []
    assert "burn rate" not in files(world)["release-notes.md"]


def test_burn_rates_are_told_of_a_release_without_objectives() -> None:
    world = passed(watch=BURN, thresholds=[])
    note = files(world)["release-notes.md"]
    assert "| passed | none declared, burn rates 2/2 |" in note
    assert "| burn rate 6h | ≤ 6x |" in note


@pytest.mark.parametrize(
    ("run", "rule", "limit"),
    [
        (not_met, "dead-letters", "at most 1"),
        (burnt, "burn rate 1h", "at most 14.4x"),
        (breached, "errors", "at most 1%"),
    ],
)
def test_a_rollback_tells_which_rules_failed_and_against_which_limit(
    run: Callable[[], World], rule: str, limit: str
) -> None:
    ended = run()
    failed = {one["rule"]: one["limit"] for one in told(ended)["rollback"]["failed"]}
    assert failed[rule] == limit
    found = files(ended)
    (record,) = [text for name, text in found.items() if name.startswith("rollback_")]
    part = record.partition("RULES THAT FAILED\n")[2].partition("\n\n")[0]
    assert re.search(rf"^  {rule} .*{limit}", part, re.MULTILINE)
    assert limit in found["report.html"]


def test_a_rollback_by_a_trigger_lists_no_failed_rules_of_a_watch() -> None:
    entries = runs.rolled_back()
    found = documents([], entries, runs.chain_of(entries))
    assert json.loads(found["run.json"])["rollback"]["failed"] == []
    assert not [name for name, text in found.items() if "RULES THAT FAILED" in text]


# ---------------------------------------------------------------- observations


def rows(world: World) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files(world)["data/observations.csv"])))


def test_every_span_of_every_check_is_an_observation() -> None:
    seen = [row for row in rows(passed(watch=BURN)) if row["role"] == "canary"]
    interval = [row for row in seen if row["source"] == "interval"]
    told = [(row["rule"], row["metric"], row["window_seconds"]) for row in interval]
    assert told == [("errors", "http", "120.0")] * 5
    whole = [row for row in seen if row["source"] == "watch"]
    assert [row["rule"] for row in whole].count("errors") == [row["rule"] for row in whole].count("dead-letters") == 5
    spans = [float(row["window_seconds"]) for row in whole if row["rule"] == "errors"]
    assert spans == sorted(set(spans)) and spans[-1] >= 600
    burn = {row["window_seconds"] for row in seen if row["source"] == "burn"}
    assert burn == {"3600.0", "300.0", "21600.0", "1800.0"}
    assert {row["metric"] for row in seen if row["source"] == "burn"} == {"http"}
    assert {row["stage"] for row in seen if row["source"] in {"interval", "watch", "burn"}} == {"watch"}


def test_the_budget_a_run_began_with_is_an_observation() -> None:
    budget = {"metric": "http", "objective": 0.9, "window": "720h"}
    found = [row for row in rows(passed(watch=WATCH, metrics=METRICS, errorBudget=budget)) if row["source"] == "budget"]
    assert [(row["metric"], row["role"], row["total"], row["window_seconds"]) for row in found] == [
        ("http", "canary", "1000.0", "2592000.0"),
        ("http", "stable", "1000.0", "2592000.0"),
    ]
