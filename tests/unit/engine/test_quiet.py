"""When nothing changes nothing is written, and one broken release disturbs no other."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import sparkrelease.engine.round
from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.status import Phase
from sparkrelease.decide.lifecycle import decide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from sparkrelease.api.status import SparkReleaseStatus
    from sparkrelease.decide.facts import Facts, MetricFacts
    from sparkrelease.decide.plan import Plan
    from sparkrelease.decide.resolve import ResolvedSpec
    from sparkrelease.ports.cluster import ObjectKey


async def finished(rig: Rig, name: str = "web") -> ObjectKey:
    key = rig.release(name)
    await rig.start()
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    rig.cluster.roll_out(NAMESPACE, f"{name}-stable", "fp2")
    await rig.until(lambda: rig.status(key).settled is not None)
    await rig.seconds(3)
    return key


async def test_a_finished_release_causes_no_write_no_query_and_no_look_at_pods() -> None:
    rig = Rig()
    await finished(rig)
    rig.cluster.calls.clear()
    looks = rig.workloads.looks
    await rig.seconds(600)
    assert rig.cluster.calls == []
    assert rig.measuring.followed == {}
    rig.cluster.show_slice(NAMESPACE, "web-canary")
    await rig.seconds(2)
    assert (rig.cluster.calls, rig.workloads.looks) == ([], looks)


async def test_a_finished_release_needs_no_round_after_a_restart() -> None:
    rig = Rig()
    await finished(rig)
    rig.cluster.calls.clear()
    await rig.restart()
    await rig.seconds(10)
    assert rig.cluster.calls == []
    assert rig.workloads.looks == 0


async def test_pods_that_come_after_their_version_start_its_run_even_where_both_sides_ran_the_same() -> None:
    rig = Rig()
    rig.serve("web", stable="fp1", canary="fp1")
    key = rig.cluster.create(NAMESPACE, "web", spec("web", version="v2"))
    await rig.start()
    await rig.seconds(3)
    assert rig.status(key).phase is Phase.SUCCEEDED
    await rig.restart()
    rig.cluster.roll_out(NAMESPACE, "web-canary", "fp2")
    await rig.until(lambda: rig.route().weight == 10)


async def test_an_active_release_with_nothing_new_is_written_once_a_minute() -> None:
    rig = Rig()
    rig.serve()
    key = rig.cluster.create(NAMESPACE, "web", rig_spec(duration="1h"))
    await rig.start()
    await rig.seconds(5)
    rig.cluster.calls.clear()
    await rig.seconds(600)
    kinds = Counter(call.kind for call in rig.cluster.calls)
    assert set(kinds) == {"status", "evidence"}
    assert 7 <= kinds["status"] <= 11
    assert kinds["evidence"] == 1, "one checkpoint in ten minutes"
    assert rig.status(key).phase is Phase.PROGRESSING


def rig_spec(duration: str) -> dict[str, Any]:
    return spec(stages=[{"name": "ten", "weight": 10, "duration": duration}])


async def test_an_own_status_write_wakes_nothing() -> None:
    rig = Rig()
    key = await finished(rig)
    before = rig.engine.world.metrics.rounds.labels("done")._value.get()
    body = json.loads(json.dumps(rig.cluster.releases[key]))
    body["metadata"]["resourceVersion"] = "99999"
    rig.engine.intake.see("SparkRelease", "MODIFIED", body)
    await rig.settle()
    assert rig.engine.world.metrics.rounds.labels("done")._value.get() == before


async def test_a_release_that_breaks_the_decision_is_told_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    poisoned = rig.release("poison")
    well = rig.release("web")

    def break_one(spec: ResolvedSpec | None, status: SparkReleaseStatus, facts: Facts, now: datetime) -> Plan:
        if facts.name == "poison" and status.run is not None:
            raise RuntimeError("no such state")
        return decide(spec, status, facts, now)

    monkeypatch.setattr(sparkrelease.engine.round, "decide", break_one)
    await rig.start()
    await rig.until(lambda: rig.route("web").weight == 50)
    assert any(key == poisoned and event.reason.value == "InternalError" for key, event in rig.cluster.events)
    conditions = {c.type: (c.status, c.reason) for c in rig.status(poisoned).conditions}
    assert conditions["Stalled"] == ("True", "InternalError")
    rig.measuring.canary[well] = BAD
    await rig.seconds(2)
    assert rig.route("web").weight == 0
    monkeypatch.setattr(sparkrelease.engine.round, "decide", decide)
    await rig.until(lambda: rig.route("poison").weight == 50, within=90)
    assert "Stalled" not in {c.type for c in rig.status(poisoned).conditions}


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"namespace": "shop", "name": "odd", "uid": "1", "resourceVersion": "7", "generation": "x"}},
        {"metadata": {"namespace": "shop", "name": "odd", "uid": "1", "annotations": 5}, "spec": []},
        {"metadata": None},
        {},
    ],
)
async def test_a_malformed_object_is_taken_in_and_stops_no_other(body: dict[str, Any]) -> None:
    rig = Rig()
    rig.release()
    await rig.start()
    rig.engine.intake.see("SparkRelease", "ADDED", body)
    rig.engine.intake.see("HTTPRoute", "ADDED", body)
    rig.engine.intake.see("EndpointSlice", "ADDED", body)
    await rig.until(lambda: rig.route().weight == 50)


async def test_objects_that_vanished_unseen_are_dropped_by_the_next_list() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    del rig.cluster.releases[key]
    rig.engine.intake.listed("SparkRelease", [])
    assert rig.engine.store.get(key) is None
    assert rig.measuring.followed == {}
    await rig.seconds(2)
    rig.cluster.calls.clear()
    await rig.seconds(5)
    assert rig.cluster.calls == []


async def test_a_release_made_again_under_its_name_starts_afresh() -> None:
    rig = Rig()
    key = await finished(rig)
    uid = rig.engine.store.get(key).uid  # type: ignore[union-attr]
    rig.cluster.delete(key)
    rig.release("web", version="v9")
    await rig.seconds(2)
    release = rig.engine.store.get(key)
    assert release is not None
    assert release.uid != uid
    assert rig.status(key).run is not None
    assert rig.status(key).run.version == "v9"  # type: ignore[union-attr]


async def test_late_ticks_are_left_out_not_made_up_for() -> None:
    rig = Rig()
    rig.release()
    await rig.start()
    ticks = rig.measuring.ticks
    rig.clock.advance(60)
    await rig.engine.ticker.tick()
    assert rig.measuring.ticks == ticks + 1


async def test_weights_that_somebody_else_wrote_are_set_again_at_once_and_counted() -> None:
    rig = Rig()
    rig.serve()
    rig.cluster.create(NAMESPACE, "web", rig_spec(duration="1h"))
    await rig.start()
    await rig.seconds(2)
    rig.cluster.revert(NAMESPACE, "web", 100)
    await rig.settle()
    assert rig.route().weight == 10
    assert rig.engine.world.metrics.reverts._value.get() == 1


async def test_a_release_that_goes_while_its_round_is_under_way_is_asked_for_no_longer() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(1)
    assert key in rig.measuring.followed
    gate = rig.measuring.gate

    async def gone_meanwhile(
        asking: ObjectKey, spec: ResolvedSpec, over: timedelta, now: datetime
    ) -> Mapping[str, MetricFacts]:
        body = rig.cluster.releases.pop(key, None)
        if body is not None:
            rig.engine.intake.see("SparkRelease", "DELETED", body)
        return await gate(asking, spec, over, now)

    rig.measuring.gate = gone_meanwhile  # type: ignore[method-assign]
    await rig.seconds(10)
    assert len(rig.engine.store) == 0
    assert rig.measuring.followed == {}
    assert rig.route().weight == 0


async def test_every_run_that_ended_lets_old_evidence_go_however_many_are_to_be_kept() -> None:
    rig = Rig()
    key = rig.release(evidence={"retainRuns": 40})
    await rig.start()
    await rig.seconds(2)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.seconds(3)
    run = rig.status(key).run
    assert run is not None
    assert rig.cluster.pruned == [(key, 40, run.id)]


async def test_what_a_canary_still_holds_after_its_rollback_is_told_and_then_nothing_more() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    assert rig.measuring.drained == [key]
    rig.measuring.open[key] = 3
    await rig.seconds(2)
    record = rig.status(key).rollback
    assert record is not None
    assert record.connections == 3
    rig.cluster.calls.clear()
    await rig.seconds(20)
    assert rig.cluster.calls == []
    rig.measuring.open[key] = 0
    await rig.seconds(2)
    assert [call.kind for call in rig.cluster.calls] == ["status"]
    record = rig.status(key).rollback
    assert record is not None
    assert record.connections == 0
    rig.measuring.open.clear()
    rig.cluster.calls.clear()
    await rig.seconds(600)
    assert {call.kind for call in rig.cluster.calls} == {"evidence", "status"}, "what stable is then is measured once"
    rig.cluster.calls.clear()
    await rig.seconds(600)
    assert rig.cluster.calls == []
    assert not rig.engine.store.get(key).active  # type: ignore[union-attr]
