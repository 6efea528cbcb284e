"""Signatures arrive by a watch like everything else, and wake the release they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fakes.cluster import FakeObjects
from fakes.rig import Rig
from fakes.signing import sign, unsign
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.engine.intake import KINDS
from sparkrelease.engine.resync import Resync

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fakes.cluster import Call
    from sparkrelease.ports.cluster import ObjectKey

CHECKLIST = [{"name": "backups"}, {"name": "decimals", "required": 2}]
STAGES = [
    {"name": "ten", "weight": 10, "duration": "3s"},
    {"name": "half", "weight": 50, "duration": "3s", "approval": {}},
]


async def waiting(**more: object) -> tuple[Rig, ObjectKey]:
    """A release that waits for its go/no-go, with nothing left to do."""
    rig = Rig()
    key = rig.release(**{"checklist": CHECKLIST, **more})
    await rig.start()
    await rig.until(lambda: rig.status(key).phase is Phase.AWAITING_APPROVAL)
    await rig.seconds(3)
    return rig, key


def why(rig: Rig, key: ObjectKey) -> str:
    ready = find(rig.status(key).conditions, ConditionType.READY)
    return f"{ready.reason}: {ready.message}" if ready else ""


async def test_a_release_that_waits_causes_no_write_no_query_and_no_round() -> None:
    rig, key = await waiting()
    rig.cluster.calls.clear()
    looks = rig.workloads.looks
    await rig.seconds(7200)
    assert (rig.cluster.calls, rig.measuring.followed, rig.workloads.looks) == ([], {}, looks)
    assert rig.cluster.releases[key]["metadata"].get("finalizers", []) == []


async def test_each_signature_is_in_the_status_at_once_and_the_last_one_gives_the_first_weight() -> None:
    rig, key = await waiting()
    sign(rig.cluster, key, "jane")
    await rig.settle()
    assert (rig.status(key).gate_text, rig.route().weight) == ("1/2", 0)
    sign(rig.cluster, key, "bob")
    await rig.seconds(2)
    assert rig.route().weight == 10
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)


async def test_a_signature_for_another_release_wakes_nobody_else() -> None:
    rig, key = await waiting()
    rig.cluster.calls.clear()
    body = sign(rig.cluster, key, "jane", release={"name": "other", "uid": "u"})
    await rig.seconds(2)
    assert rig.cluster.calls == []
    unsign(rig.cluster, body)
    await rig.seconds(2)
    assert rig.cluster.calls == []


async def test_a_signature_that_is_deleted_before_the_go_counts_no_more() -> None:
    rig, key = await waiting()
    body = sign(rig.cluster, key, "jane")
    await rig.settle()
    unsign(rig.cluster, body)
    await rig.settle()
    assert rig.status(key).gate_text == "0/2"
    sign(rig.cluster, key, "bob")
    await rig.seconds(5)
    assert rig.route().weight == 0


async def test_one_that_cannot_be_read_counts_for_nothing_and_disturbs_nobody() -> None:
    rig, key = await waiting()
    sign(rig.cluster, key, "jane", decision="PERHAPS")
    await rig.seconds(2)
    assert rig.status(key).gate_text == "0/2"
    sign(rig.cluster, key, "jane")
    await rig.seconds(2)
    assert rig.status(key).gate_text == "1/2"


async def test_a_new_process_knows_what_was_signed_before_it() -> None:
    rig, key = await waiting()
    sign(rig.cluster, key, "jane")
    await rig.settle()
    run = rig.status(key).run
    await rig.restart()
    sign(rig.cluster, key, "bob")
    await rig.until(lambda: rig.route().weight == 10)
    assert run and (now := rig.status(key).run) and now.id == run.id


async def test_a_signature_runs_out_without_anybody_waking_the_release() -> None:
    rig, key = await waiting(approvalExpires="1m")
    sign(rig.cluster, key, "jane")
    await rig.settle()
    assert rig.status(key).gate_text == "1/2"
    await rig.seconds(62)
    assert rig.status(key).gate_text == "0/2"
    assert "not counted: jane" in why(rig, key)


async def test_a_no_go_ends_the_run_and_leaves_the_route_as_it_was() -> None:
    rig, key = await waiting()
    generation = rig.route().generation
    sign(rig.cluster, key, "bob", "NO-GO", comment="orders are lost")
    await rig.seconds(5)
    assert rig.status(key).phase is Phase.BLOCKED
    assert rig.route().generation == generation
    rig.cluster.calls.clear()
    await rig.seconds(600)
    assert rig.cluster.calls == []
    await rig.restart()
    await rig.seconds(10)
    assert rig.cluster.calls == []
    assert rig.status(key).phase is Phase.BLOCKED


async def test_a_stage_s_signature_lets_the_next_weight_through() -> None:
    rig = Rig()
    key = rig.release(stages=STAGES)
    await rig.start()
    await rig.until(lambda: rig.status(key).phase is Phase.AWAITING_APPROVAL)
    await rig.seconds(60)
    assert rig.route().weight == 10
    assert rig.measuring.followed, "triggers act while people are waited for"
    sign(rig.cluster, key, "cto", stage="half")
    await rig.until(lambda: rig.route().weight == 50, within=5)


async def test_each_signature_for_a_stage_is_in_the_status_without_waiting_for_its_heartbeat() -> None:
    rig = Rig(heartbeat="10m")
    key = rig.release(stages=[STAGES[0], {**STAGES[1], "approval": {"required": 2}}])
    await rig.start()
    await rig.until(lambda: rig.status(key).gate_text == "0/2")
    sign(rig.cluster, key, "cto", stage="half")
    await rig.seconds(3)
    assert rig.status(key).gate_text == "1/2"


async def test_a_stage_that_waits_asks_no_gate_query_and_writes_no_more_than_its_heartbeat() -> None:
    rig = Rig(heartbeat="60s")
    key = rig.release(stages=STAGES)
    await rig.start()
    await rig.until(lambda: rig.status(key).phase is Phase.AWAITING_APPROVAL)
    await rig.seconds(2)
    rig.cluster.calls.clear()
    gates = rig.measuring.asked
    await rig.seconds(600)
    assert rig.measuring.asked == gates
    assert len(rig.cluster.writes()) <= 10


# ---------------------------------------------------------------- an installation that lacks them


class Lists(FakeObjects):
    """Lists of a cluster that does not give approvals, for a reason."""

    def __init__(self, rig: Rig, reason: Reason) -> None:
        super().__init__(rig.cluster)
        self.reason: Reason | None = reason

    async def list_objects(self, kind: str, take: Callable[[Sequence[Mapping[str, object]]], None]) -> Problem | str:
        if kind == "ReleaseApproval" and self.reason is not None:
            return Problem(self.reason, "not given")
        return await super().list_objects(kind, take)


@pytest.mark.parametrize("reason", [Reason.ROUTE_API_MISSING, Reason.FORBIDDEN])
async def test_where_approvals_cannot_be_read_what_needs_one_waits_and_others_run(reason: Reason) -> None:
    rig = Rig()
    lists = Lists(rig, reason)
    engine = rig.engine
    lister = Resync(lists, engine.intake, 300.0, missing=engine.store.missing, api_appeared=engine._api_appeared)
    for kind in KINDS:
        await lister._once(kind)
    assert lister.done
    other = rig.release("other")
    rig.serve("web")
    key = rig.release("web", checklist=CHECKLIST)
    await rig.start()
    rig.engine.store.missing.add("ReleaseApproval")
    await rig.until(lambda: (run := rig.status(other).run) is not None and run.promoted_at is not None)
    assert why(rig, key).startswith("ApprovalsUnreadable: ")
    assert rig.route("web").weight == 0
    lists.reason = None
    await lister._once("ReleaseApproval")
    await rig.seconds(2)
    assert why(rig, key).startswith("AwaitingApproval: ")
    sign(rig.cluster, key, "jane")
    sign(rig.cluster, key, "bob")
    await rig.until(lambda: rig.route("web").weight == 10)


# ---------------------------------------------------------------- a process that dies


@pytest.mark.parametrize("when", ["crash-before", "crash-after"])
@pytest.mark.parametrize("number", range(1, 12))
async def test_a_process_that_dies_anywhere_in_the_go_leaves_one_go_and_one_run(number: int, when: str) -> None:
    rig, key = await waiting()
    run = rig.status(key).run
    sign(rig.cluster, key, "jane")
    sign(rig.cluster, key, "bob")
    first = len(rig.cluster.calls)

    def fault(call: Call) -> str | None:
        return when if call.number == first + number else None

    rig.cluster.fault = fault
    await rig.until(lambda: rig.route().weight == 50, within=30)
    assert run and (now := rig.status(key).run) and now.id == run.id
    kinds = [json.loads(line)["kind"] for lines in rig.cluster.config_maps.values() for line in lines]
    assert (kinds.count("RunStarted"), kinds.count("Approved")) == (1, 1)
