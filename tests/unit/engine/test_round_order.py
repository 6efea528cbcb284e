"""The order of effects, and what may hold up what."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from fakes.measuring import BAD
from fakes.rig import Rig, order
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.evidence import parse_entry, verify
from sparkrelease.decide.facts import Missing, Side
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.decide.replay import replay
from sparkrelease.engine.record import Recorder
from unit.engine.test_crashes import assert_whole_evidence, chain_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakes.cluster import Call
    from sparkrelease.decide.evidence import Entry
    from sparkrelease.decide.facts import Problem
    from sparkrelease.decide.plan import RouteAction
    from sparkrelease.ports.cluster import ObjectKey
    from sparkrelease.ports.traffic import Applied, Target


def entries_of(rig: Rig, key: ObjectKey) -> list[Entry]:
    return [entry for entry in map(parse_entry, chain_of(rig, key)) if entry is not None]


async def test_a_good_version_walks_up_is_promoted_and_settles() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.status(key).run is not None and rig.status(key).run.promoted_at is not None)
    assert rig.route().weight == 50
    rig.cluster.roll_out("shop", "web-stable", "fp2")
    await rig.until(lambda: rig.status(key).settled is not None)
    await rig.seconds(2)
    status = rig.status(key)
    assert (status.phase, status.history[0].outcome, rig.route().weight) == (Phase.SUCCEEDED, Outcome.SETTLED, 0)
    assert rig.route().mark is None
    assert rig.cluster.releases[key]["metadata"]["finalizers"] == []


async def test_evidence_finalizer_and_status_come_before_the_first_raise() -> None:
    rig = Rig()
    rig.release()
    await rig.start()
    kinds = [call.kind for call in rig.cluster.writes()]
    assert kinds.index("route") > kinds.index("finalizer") > kinds.index("evidence")
    before = [call.kind for call in rig.cluster.writes()[: kinds.index("route")]]
    assert before[-1] == "status"


async def test_a_breach_is_on_the_route_before_anything_is_told() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.measuring.canary[key] = BAD
    rig.cluster.calls.clear()
    await rig.seconds(1)
    done = order(rig.cluster.writes())
    assert done[0] == ("route", 0.0)
    told = [kind for kind, _ in done if kind != "route"]
    assert told[:2] == ["evidence", "status"]
    status = rig.status(key)
    assert status.phase is Phase.ROLLED_BACK
    assert status.rollback is not None
    assert status.rollback.traffic_at is not None


async def test_a_rollback_does_not_wait_for_evidence_status_or_finalizer_that_fail() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    assert rig.route().weight == 10
    rig.measuring.canary[key] = BAD
    rig.cluster.fault = lambda call: None if call.kind == "route" else "fail"
    await rig.seconds(1)
    assert rig.route().weight == 0
    assert rig.engine.store.get(key).chain.pending  # type: ignore[union-attr]
    rig.cluster.fault = lambda _: None
    await rig.seconds(40)
    status = rig.status(key)
    assert status.phase is Phase.ROLLED_BACK
    assert status.pending_evidence == ()
    complete = find(status.conditions, ConditionType.EVIDENCE_COMPLETE)
    assert complete is not None
    assert complete.status == "True"


async def test_no_raise_while_evidence_cannot_be_stored_and_a_raise_once_it_can() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.fault = lambda call: "fail" if call.kind == "evidence" else None
    await rig.seconds(20)
    assert rig.route().weight == 10
    complete = find(rig.status(key).conditions, ConditionType.EVIDENCE_COMPLETE)
    assert complete is not None
    assert complete.status == "False"
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: rig.route().weight == 50)


async def test_no_raise_while_the_status_cannot_be_written() -> None:
    rig = Rig()
    rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.fault = lambda call: "fail" if call.kind == "status" else None
    await rig.seconds(20)
    assert rig.route().weight == 10
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: rig.route().weight == 50, within=120)


@pytest.mark.parametrize("kind", ["status", "finalizer"])
async def test_what_evidence_tells_stands_whether_or_not_the_next_write_succeeds(kind: str) -> None:
    """Nothing is decided from what was before it: a gate that passed has passed, although canary is blind by then."""
    rig = Rig()
    key = rig.release()
    rig.cluster.fault = lambda call: "fail" if call.kind == kind and call.number >= fails_from else None
    fails_from = 0 if kind == "finalizer" else 10**9
    await rig.start()
    if kind == "status":
        await rig.until(lambda: rig.route().weight == 10)
        fails_from = rig.cluster.calls[-1].number + 1
        await rig.seconds(5)
        assert [entry.kind for entry in entries_of(rig, key)][-2:] == ["GatePassed", "StageEntered"]
    assert rig.route().weight == (10 if kind == "status" else 0)
    if kind == "finalizer":
        rig.cluster.roll_out("shop", "web-canary", "fp2", ready=0)
    rig.measuring.canary[key] = Missing(Reason.NO_DATA, "gone")
    await rig.seconds(4)
    rig.cluster.fault = lambda _: None
    rig.cluster.roll_out("shop", "web-canary", "fp2")
    await rig.seconds(4)
    del rig.measuring.canary[key]
    await rig.until(lambda: rig.status(key).run is not None and rig.status(key).run.promoted_at is not None, within=180)
    told = [entry.kind for entry in entries_of(rig, key)]
    assert (told.count("RunStarted"), told.count("StageEntered"), told.count("GatePassed")) == (1, 2, 2)
    await rig.seconds(40)
    lines = chain_of(rig, key)
    replayed = replay(entries_of(rig, key))
    assert (replayed.difference, replayed.entries) == (None, len(lines))


async def test_a_decision_that_was_stored_unheard_is_not_stored_again_before_the_next_one() -> None:
    """Its round was cut short before the answer came; by the time evidence is stored again another decision is due."""
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    release, recorder = rig.engine.store.get(key), Recorder(rig.engine.world)
    assert release is not None
    run, one, other = release.chain.run, EntryDraft(Reason.PAUSED, "one"), EntryDraft(Reason.CHECKPOINT, "other")
    recorder.keep(release, run, [one], rig.clock.now())
    place = (key.namespace, f"{key.name}-{run}-evidence-{len(release.chain.stored.config_maps):03d}")
    rig.cluster.config_maps[place], release.chain.pending = list(release.chain.pending), ()
    later = rig.clock.now() + timedelta(seconds=1)
    for draft in (one, other):
        recorder.keep(release, run, [draft], later)
    await recorder.flush(release)
    assert [entry.message for entry in entries_of(rig, key)][-2:] == ["one", "other"]
    assert [entry.message for entry in entries_of(rig, key)].count("one") == 1
    assert verify(chain_of(rig, key), head=release.chain.stored.head, entries=release.chain.stored.entries) is None


async def test_a_raise_that_was_stored_unheard_and_never_made_leaves_evidence_that_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rollback cuts the round of the raise short between its evidence and its status."""
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    evidence, hung = rig.engine.world.evidence, asyncio.Event()
    store = evidence.store

    async def unheard(key: ObjectKey, run: str, index: int, entries: Sequence[str]) -> Problem | tuple[str, ...]:
        answer = await store(key, run, index, entries)
        if not hung.is_set() and any('"GatePassed"' in one for one in entries):
            hung.set()
            await asyncio.Event().wait()
        return answer

    monkeypatch.setattr(evidence, "store", unheard)
    waiting = asyncio.create_task(rig.until(hung.is_set))
    await hung.wait()
    waiting.cancel()
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.route().weight == 0)
    await rig.seconds(3)
    told = [entry.kind for entry in entries_of(rig, key)]
    assert told[told.index("GatePassed") :] == ["GatePassed", "StageEntered", "TriggerFired", "RolledBack"]
    run = rig.status(key).run
    assert run is not None
    assert run.gates_passed == 0
    replayed = replay(entries_of(rig, key))
    assert (replayed.difference, replayed.entries) == (None, len(told))


async def test_a_way_back_that_was_stored_unheard_and_not_taken_leaves_evidence_that_can_be_replayed() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.status(key).run is not None and rig.status(key).run.promoted_at is not None)
    lost = []

    def unheard(call: Call) -> str | None:
        if call.kind == "evidence" and "Settling" in call.detail and not lost:
            lost.append(call.number)
            rig.measuring.canary[key] = BAD
            return "unheard"
        return None

    rig.cluster.fault = unheard
    rig.cluster.roll_out("shop", "web-stable", "fp2")
    await rig.seconds(30)
    assert lost
    entries = entries_of(rig, key)
    assert [entry.kind for entry in entries].count("Settling") == 1
    replayed = replay(entries)
    assert (replayed.difference, replayed.entries) == (None, len(entries))


async def test_a_route_that_refuses_is_tried_for_ever_and_loudly() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.measuring.canary[key] = BAD
    rig.cluster.fault = lambda call: "fail" if call.kind == "route" else None
    await rig.seconds(5)
    assert rig.status(key).phase is Phase.ROLLING_BACK
    assert any(event.reason.value == "RouteWriteFailed" for _, event in rig.cluster.events)
    tried = len([call for call in rig.cluster.calls if call.kind == "route"])
    assert tried > 8
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: rig.route().weight == 0, within=4)
    await rig.seconds(1)
    assert rig.status(key).phase is Phase.ROLLED_BACK


async def test_no_raise_when_the_lease_is_about_to_end_but_a_rollback_still_goes() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.leadership.left = 3.0
    await rig.seconds(10)
    assert rig.route().weight == 10
    rig.measuring.canary[key] = BAD
    await rig.seconds(1)
    assert rig.route().weight == 0


async def test_weight_never_rises_before_its_evidence_is_stored() -> None:
    rig = Rig()
    key = rig.release()
    seen: list[tuple[float, int]] = []

    def look(call: Call) -> None:
        if call.kind == "route":
            seen.append((call.detail, rig.status(key).evidence.entries))

    rig.cluster.after_write.append(look)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    assert [entries for _, entries in seen] == sorted({entries for _, entries in seen})


async def test_a_rollback_that_cuts_a_round_short_loses_none_of_its_evidence_and_events() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    traffic, hung = rig.engine.world.traffic, asyncio.Event()
    apply = traffic.apply

    async def slow(target: Target, action: RouteAction, epoch: int) -> Applied:
        if not hung.is_set():
            hung.set()
            await asyncio.Event().wait()
        return await apply(target, action, epoch)

    traffic.apply = slow  # type: ignore[method-assign]
    command = Command(user="jane", verb=Verb.ROLLBACK, nonce="nonce-0001", reason="looks odd")
    rig.cluster.annotate(key, command=format_command(command))
    for kind, event, body in rig.cluster.watch:
        rig.engine.intake.see(kind, event, body)
    rig.cluster.watch.clear()
    rig.engine.scheduler.start_due()
    await hung.wait()
    await rig.seconds(3)
    assert rig.route().weight == 0
    kinds = [entry.kind for line in chain_of(rig, key) if (entry := parse_entry(line))]
    assert kinds[-3:] == ["RollbackRequested", "CommandTaken", "RolledBack"]
    assert_whole_evidence(rig, key)
    assert "CommandTaken" in [event.reason.value for _, event in rig.cluster.events]


async def test_a_retry_is_in_evidence_before_its_run_starts() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    rig.measuring.canary.pop(key)
    await rig.seconds(70)
    command = Command(user="jane", verb=Verb.RETRY, nonce="nonce-0001", reason="the database was down")
    rig.cluster.annotate(key, command=format_command(command))
    await rig.until(lambda: rig.route().weight == 10)
    ended = rig.status(key).history[0]
    stored = [line for name in ended.evidence.config_maps for line in rig.cluster.config_maps[("shop", name)]]
    kinds = [entry.kind for line in stored if (entry := parse_entry(line))]
    assert kinds[-1] == "CommandTaken"
    assert verify(stored, head=ended.evidence.head, entries=ended.evidence.entries) is None
    assert "CommandTaken" in [event.reason.value for _, event in rig.cluster.events]


async def test_a_rollback_taken_over_waits_for_no_look_at_the_pods() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.fault = lambda call: "fail" if call.kind == "route" else None
    rig.measuring.canary[key] = BAD
    await rig.seconds(3)
    assert rig.status(key).phase is Phase.ROLLING_BACK
    rig.cluster.fault = lambda _: None
    await rig.engine.scheduler.stop()
    rig.engine = rig.build()

    async def hang(_: str, __: str) -> Side:
        await asyncio.Event().wait()
        return Side()

    rig.workloads.side = hang  # type: ignore[method-assign]
    starting = asyncio.create_task(rig.start())
    for _ in range(1000):
        await asyncio.sleep(0)
    starting.cancel()
    assert rig.route().weight == 0
    await rig.engine.scheduler.stop()


async def test_a_release_that_is_deleted_while_its_raise_is_told_is_raised_no_more() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)

    def delete_in_between(call: Call) -> None:
        if call.kind == "status" and rig.status(key).weight.desired == 50 and not rig.engine.store.get(key).deleting:  # type: ignore[union-attr]
            rig.cluster.delete(key)
            for kind, event, body in rig.cluster.watch:
                rig.engine.intake.see(kind, event, body)

    rig.cluster.after_write.append(delete_in_between)
    await rig.until(lambda: key not in rig.cluster.releases)
    assert 50 not in [call.detail for call in rig.cluster.writes("route")]
    assert rig.route().weight == 0
