"""The engine measures once after a rollback, keeps it as evidence of that run, and is quiet again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.measuring import BAD
from fakes.rig import Rig, order
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from unit.engine.test_crashes import assert_whole_evidence

if TYPE_CHECKING:
    from sparkrelease.ports.cluster import ObjectKey

WINDOW = 60
METRICS = [{"name": "http", "bad": "errors", "total": "requests", "window": f"{WINDOW}s"}]


async def rolled_back() -> tuple[Rig, ObjectKey]:
    rig = Rig()
    key = rig.release(metrics=METRICS)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    return rig, key


def measured(rig: Rig) -> int:
    stored = [kinds for kind, kinds in order(rig.cluster.calls) if kind == "evidence"]
    return sum(Reason.ROLLBACK_MEASURED.value in kinds for kinds in stored)


async def test_it_asks_once_when_a_whole_window_lies_behind_the_rollback() -> None:
    rig, key = await rolled_back()
    record = rig.status(key).rollback
    assert record is not None and record.traffic_at is not None
    await rig.seconds(WINDOW - 5)
    assert (rig.measuring.asked_after, measured(rig)) == ([], 0)
    await rig.seconds(30)
    ((asked, at),) = rig.measuring.asked_after
    assert asked == key and (at - record.traffic_at).total_seconds() >= WINDOW
    assert measured(rig) == 1
    assert rig.status(key).rollback.measured_at is not None  # type: ignore[union-attr]
    assert_whole_evidence(rig, key)
    rig.cluster.calls.clear()
    await rig.seconds(900)
    assert (rig.cluster.calls, len(rig.measuring.asked_after)) == ([], 1)


async def test_a_process_that_takes_over_makes_the_measurement_that_is_due() -> None:
    rig, key = await rolled_back()
    await rig.restart()
    await rig.until(lambda: measured(rig) == 1, within=WINDOW + 30)
    assert_whole_evidence(rig, key)


async def test_evidence_that_cannot_be_stored_then_is_kept_and_stored_later_and_asked_for_once() -> None:
    rig, key = await rolled_back()
    rig.cluster.fault = lambda call: "fail" if call.kind == "evidence" else None
    await rig.seconds(WINDOW + 30)
    assert measured(rig) == 0 or rig.status(key).pending_evidence
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: not rig.status(key).pending_evidence)
    assert len(rig.measuring.asked_after) == 1
    assert_whole_evidence(rig, key)
