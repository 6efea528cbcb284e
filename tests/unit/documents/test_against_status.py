"""What documents tell of a run is what the status of the release said of it: engine, evidence and pages together."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig
from sparkrelease.api.base import format_time
from sparkrelease.api.conditions import ConditionType, is_true
from sparkrelease.api.status import Outcome
from sparkrelease.decide.evidence import parse_entry, verify
from sparkrelease.documents.files import documents
from sparkrelease.documents.record import Chain
from sparkrelease.ports.cluster import ObjectKey


async def begun() -> tuple[Rig, ObjectKey]:
    """A release whose canary has 10 %."""
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.status(key).weight.observed == 10)
    return rig, key


def told(rig: Rig, key: ObjectKey) -> dict[str, Any]:
    """The run for programs, made of what is stored; the chain ends in the head the status knows."""
    known = rig.status(key).evidence
    lines = [line for name in known.config_maps for line in rig.cluster.config_maps[NAMESPACE, name]]
    assert verify(lines, head=known.head, entries=known.entries) is None
    entries = [entry for entry in map(parse_entry, lines) if entry is not None]
    body: dict[str, Any] = json.loads(documents(lines, entries, Chain(known.head, known.entries))["run.json"])
    return body


async def test_a_rollback_is_told_with_the_figures_of_the_status() -> None:
    rig, key = await begun()
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: any(one.outcome is Outcome.ROLLED_BACK for one in rig.status(key).history))
    record, body = rig.status(key).rollback, told(rig, key)["rollback"]
    assert record is not None and record.traffic_at is not None
    assert (body["rule"], body["reason"], body["message"]) == (record.trigger, record.reason, record.message)
    assert (body["stage"], body["fromWeight"], body["seconds"]) == (record.stage, record.from_weight, record.seconds)
    assert (body["decidedAt"], body["trafficAt"]) == (format_time(record.decided_at), format_time(record.traffic_at))


async def test_a_promoted_run_is_told_with_the_figures_of_the_status() -> None:
    rig, key = await begun()
    await rig.until(lambda: is_true(rig.status(key).conditions, ConditionType.PROMOTED))
    rig.cluster.roll_out(NAMESPACE, "web-stable", "fp2")
    await rig.until(lambda: any(one.outcome is Outcome.SETTLED for one in rig.status(key).history))
    status, body = rig.status(key), told(rig, key)
    run = status.run
    assert run is not None and run.promoted_at is not None
    assert (body["run"], body["version"], body["stagesPassed"]) == (run.id, run.version, run.gates_passed)
    assert (body["startedAt"], body["promotedAt"]) == (format_time(run.started_at), format_time(run.promoted_at))
    assert body["endedAt"] == format_time(status.history[0].ended_at)
    assert [one["canary"] for one in body["weights"]] == [10, 50, 0]
    for stage in body["stages"]:
        spent = datetime.fromisoformat(stage["leftAt"]) - datetime.fromisoformat(stage["enteredAt"])
        assert 0 <= stage["observedSeconds"] <= spent.total_seconds()
