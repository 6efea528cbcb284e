"""How often the API server is told: once of what belongs together, and not of what is to be known in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fakes.cluster import Call
from fakes.rig import NAMESPACE, Rig
from fakes.traffic import FakeTraffic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Finding, Side
from sparkrelease.engine import round as rounds
from sparkrelease.engine.effects import HUSH
from sparkrelease.ports.traffic import Target

LONG = [{"name": "ten", "weight": 10, "duration": "1h"}, {"name": "half", "weight": 50, "duration": "1h"}]


def statuses(rig: Rig) -> int:
    return sum(1 for call in rig.cluster.calls if call.kind == "status")


async def test_a_run_that_starts_on_a_prompt_gateway_writes_two_statuses() -> None:
    rig = Rig()
    key = rig.release(stages=LONG)
    await rig.start()
    await rig.seconds(4)
    status = rig.status(key)
    assert status.weight.verified
    assert statuses(rig) == 2


async def test_a_gateway_that_does_not_answer_is_told_of_all_the_same() -> None:
    rig = Rig()
    key = rig.release(stages=LONG)
    await rig.start()
    rig.cluster.accept = lambda: None  # type: ignore[method-assign]
    await rig.seconds(HUSH - 1)
    assert rig.route().weight == 10
    assert statuses(rig) == 1
    await rig.seconds(3)
    said = {condition.type: condition.reason for condition in rig.status(key).conditions}
    assert said["TrafficInSync"] == Reason.ROUTE_PENDING


async def test_a_run_taken_over_is_not_said_to_lack_data_before_it_was_asked_for() -> None:
    rig = Rig(tick="5s")
    key = rig.release(stages=LONG)
    await rig.start()
    await rig.seconds(10)
    before = statuses(rig)
    rig.measuring._at = None
    await rig.restart()
    rig.engine.intake.see("HTTPRoute", "MODIFIED", {"metadata": {"namespace": "shop", "name": "web"}})
    await rig.settle()
    assert statuses(rig) == before
    await rig.seconds(6)
    assert rig.status(key).verdict == "Pass"


async def test_a_run_taken_over_whose_server_stays_silent_is_said_to_lack_data() -> None:
    rig = Rig(tick="1s")
    key = rig.release(stages=LONG)
    await rig.start()
    await rig.seconds(5)
    rig.measuring._at = None
    await rig.restart()

    async def silent(_: object) -> None:
        """Asks, and nothing comes."""

    rig.measuring.tick = silent  # type: ignore[method-assign, assignment]
    await rig.seconds(5)
    said = {condition.type: condition.reason for condition in rig.status(key).conditions}
    assert said["Progressing"] == Reason.NO_DATA


async def test_checks_that_take_long_are_told_of_and_short_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PATIENCE", 0.01)
    rig = Rig()
    key = rig.release(stages=LONG)
    phases: list[str] = []
    told = asyncio.Event()

    def note(call: Call) -> None:
        if call.kind == "status":
            phases.append(call.detail)
            told.set()

    async def slow(self: FakeTraffic, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        await asyncio.wait_for(told.wait(), 5)
        return ()

    rig.cluster.after_write.append(note)
    monkeypatch.setattr(FakeTraffic, "preflight", slow)
    await rig.start()
    assert phases[:2] == [Phase.PREFLIGHT.value, Phase.PROGRESSING.value]
    assert rig.status(key).run is not None


async def test_a_run_taken_over_goes_back_for_what_needs_no_measurement_before_there_is_one() -> None:
    rig = Rig(tick="1s")
    rig.release(stages=LONG)
    await rig.start()
    await rig.seconds(5)
    assert rig.route().weight == 10
    rig.measuring._at = None
    await rig.restart()

    async def silent(_: object) -> None:
        """Asks, and nothing comes."""

    rig.measuring.tick = silent  # type: ignore[method-assign, assignment]
    rig.cluster.sides[(NAMESPACE, "web-canary")] = Side(exists=True)
    rig.cluster.show_slice(NAMESPACE, "web-canary")
    await rig.settle()
    await rig.seconds(1)
    assert rig.route().weight == 0


@pytest.mark.slow
async def test_a_takeover_that_only_shifts_what_comes_next_is_left_to_the_heartbeats() -> None:
    rig = Rig(tick="5s")
    keys = [rig.release(f"r{number}", stages=LONG) for number in range(20)]
    await rig.start()
    await rig.seconds(30)
    before = statuses(rig)
    rig.clock.advance(20)
    rig.measuring._at = None
    await rig.restart()
    told: list[int] = []
    for _ in range(75):
        await rig.seconds(1)
        told.append(statuses(rig) - before)
    assert told[5] < len(keys) / 2, "not all of them write at once"
    assert told[-1] >= len(keys), "every one is told within a heartbeat"
    assert all(rig.status(key).epoch == rig.epoch for key in keys)
