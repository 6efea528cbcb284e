"""Mitigations through the whole engine: what is stored before, what is changed once, whenever the process dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.cluster import FakeSettings
from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig, order
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from unit.engine.test_crashes import assert_whole_evidence

if TYPE_CHECKING:
    from sparkrelease.ports.cluster import ObjectKey

FLAGS = (NAMESPACE, "flags")
MITIGATION = {"configMap": "flags", "set": {"FLOOR": "0.65"}, "undoOnRollback": True, "restart": "worker"}
SLOW = {"name": "slow", "all": [{"metric": "http", "op": ">", "value": 0.03}], "action": "mitigate"}
GONE = {"name": "gone", "all": [{"metric": "http", "op": ">", "value": 0.03}], "for": "4s"}


async def mitigated(rig: Rig, **more: object) -> ObjectKey:
    """A release whose canary is bad: mitigated at once, rolled back after four seconds."""
    rig.cluster.settings[FLAGS] = FakeSettings({"FLOOR": "0.5"})
    rules = [{**SLOW, "mitigation": MITIGATION}, GONE]
    key = rig.release(triggers=rules, thresholds=[], **more)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    rig.measuring.canary[key] = BAD
    return key


async def to_the_end(rig: Rig) -> None:
    key = await mitigated(rig)
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.until(lambda: not rig.status(key).mitigations)
    assert rig.cluster.settings[FLAGS].values == {"FLOOR": "0.5"}
    assert rig.route().weight == 0
    assert_whole_evidence(rig, key)


async def test_the_old_values_are_in_evidence_and_status_before_anything_is_changed() -> None:
    rig = Rig()
    key = await mitigated(rig)
    await rig.until(lambda: rig.cluster.settings[FLAGS].values["FLOOR"] == "0.65")
    calls = order(rig.cluster.calls)
    changed = next(place for place, (kind, _) in enumerate(calls) if kind == "settings")
    told = [kinds for kind, kinds in calls[:changed] if kind == "evidence"]
    assert any(Reason.MITIGATING.value in kinds for kinds in told)
    assert calls[changed - 1][0] == "status"
    await rig.until(lambda: any('"done"' in one for one in rig.status(key).mitigations))
    assert rig.cluster.tokens[NAMESPACE, "worker"]


async def test_a_rollback_sets_it_back_afterwards() -> None:
    rig = Rig()
    await to_the_end(rig)
    kinds = [kind for kind, _ in order(rig.cluster.calls)]
    zero = next(place for place, call in enumerate(rig.cluster.calls) if (call.kind, call.detail) == ("route", 0.0))
    assert kinds.count("settings") == 2
    assert zero < len(kinds) - 1 - kinds[::-1].index("settings"), "traffic first"


async def test_without_evidence_nothing_is_changed() -> None:
    rig = Rig()
    await mitigated(rig)
    rig.cluster.fault = lambda call: "fail" if call.kind == "evidence" else None
    await rig.seconds(3)
    assert rig.cluster.settings[FLAGS].values == {"FLOOR": "0.5"}


async def test_a_change_that_is_forbidden_is_told_and_not_tried_at_every_tick() -> None:
    rig = Rig()
    rig.cluster.fault = lambda call: "fail" if call.kind == "settings" else None
    await mitigated(rig)
    await rig.seconds(3)
    assert sum(call.kind == "settings" for call in rig.cluster.calls) == 1
    assert any(event.reason is Reason.MITIGATION_FAILED for _, event in rig.cluster.events)
    await rig.seconds(4)
    assert rig.route().weight == 0, "a rollback waits for none of it"


@pytest.mark.parametrize("moment", ["crash-before", "crash-after", "fail"])
@pytest.mark.slow
async def test_the_end_is_the_same_whichever_call_the_process_dies_at(moment: str) -> None:
    clean = Rig()
    await to_the_end(clean)
    for number in range(1, len(clean.cluster.calls) + 1):
        rig = Rig()
        rig.cluster.fault = lambda call, number=number: moment if call.number == number else None
        try:
            await to_the_end(rig)
        except AssertionError as problem:
            where = next((call.kind for call in rig.cluster.calls if call.number == number), "never made")
            raise AssertionError(f"{moment} at call {number} ({where}): {problem}") from problem


async def test_a_watch_goes_on_where_it_was_when_the_process_dies_in_it() -> None:
    rig = Rig()
    key = rig.release(watch={"duration": "20s", "every": "5s"})
    await rig.start()
    await rig.until(lambda: (watch := rig.status(key).watch) is not None and watch.check >= 2)
    rig.cluster.dead = True
    await rig.seconds(1)
    watch = rig.status(key).watch
    assert watch is not None and watch.check >= 2
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    told = [event.message for at, event in rig.cluster.events if event.reason is Reason.WATCH_CHECKED]
    assert [text.split(":")[0] for text in dict.fromkeys(told)] == [f"check {n} of 4" for n in (1, 2, 3, 4)]
