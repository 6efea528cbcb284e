"""A rollback by command carries what a person said with it into status and evidence, and nothing waits for it."""

from __future__ import annotations

import json

import pytest

from sparkrelease.api.command import Verb, parse_command
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.replay import replay
from unit.decide.world import World

POINT = "pitr 2026-01-05T11:59:00Z, orders-db"


def taken_back(**said: object) -> World:
    world = World()
    world.reach(25)
    world.say(Verb.ROLLBACK, **said)
    world.run_for(30)
    assert world.status.phase is Phase.ROLLED_BACK
    return world


def test_the_restore_point_is_in_the_record_and_in_the_evidence() -> None:
    world = taken_back(restore_point=POINT, stage="quarter")
    assert world.status.rollback is not None
    assert world.status.rollback.message == f"asked by jane: because; database restore point: {POINT}"
    taken = next(entry for entry in world.stored() if entry.kind == Reason.COMMAND_TAKEN.value)
    assert (taken.data["restorePoint"], taken.data["stage"]) == (POINT, "quarter")
    assert replay(world.stored()).difference is None


def test_what_was_not_said_is_not_recorded() -> None:
    world = taken_back()
    taken = next(entry for entry in world.stored() if entry.kind == Reason.COMMAND_TAKEN.value)
    assert not {"restorePoint", "stage"} & set(taken.data)


def test_a_stage_that_is_not_the_present_one_does_not_stop_a_rollback() -> None:
    assert taken_back(stage="of another release").status.weight.desired == 0


@pytest.mark.parametrize(("field", "most"), [("restorePoint", 256), ("stage", 80)])
def test_a_text_too_long_to_record_is_refused_by_its_field(field: str, most: int) -> None:
    body = {"user": "jane", "verb": "rollback", "nonce": "0123456789", field: "x" * (most + 1)}
    found = parse_command(json.dumps(body))
    assert isinstance(found, str) and found.startswith(f"{field}: ")
    assert not isinstance(parse_command(json.dumps(body | {field: "x" * most})), str)
