"""Who is told what, once, with the figures; and that nothing decided waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.ports.notifier import Fate
from unit.engine.test_crashes import assert_whole_evidence

if TYPE_CHECKING:
    from fakes.cluster import Call
    from sparkrelease.ports.cluster import ObjectKey

OPS = [{"target": "ops"}]
EVERYTHING = ["start", "stage", "gate", "command", "blocked", "alert", "warning", "rollback", "promoted", "end"]


async def begun(rig: Rig, **more: Any) -> ObjectKey:  # noqa: ANN401 - any field of a spec
    key = rig.release(notifications=OPS, **more)
    await rig.start()
    await rig.seconds(2)
    return key


async def rolled_back(rig: Rig, key: ObjectKey) -> None:
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.seconds(3)


async def test_a_rolled_back_release_sends_one_message_with_its_figures() -> None:
    rig = Rig()
    key = await begun(rig)
    await rolled_back(rig, key)
    ((target, notice),) = rig.notifier.sent
    status = rig.status(key)
    assert status.rollback is not None and status.run is not None
    assert (target, notice.reason, notice.run, notice.version) == ("ops", Reason.ROLLED_BACK, status.run.id, "v2")
    assert (notice.weight_before, notice.weight, notice.seconds) == (10, 0, status.rollback.seconds)
    (rule,) = notice.rules
    assert (rule.rule, rule.limit) == ("bad", "> 3%")
    assert rule.value in notice.message and rule.value in status.rollback.message
    assert notice.evidence.entries > 0 and notice.evidence.head == status.history[0].evidence.head
    assert notice.command == "kubectl sparkrelease status web -n shop"
    assert status.untold == ()


async def test_a_target_is_told_the_topics_it_was_named_for() -> None:
    rig = Rig()
    rig.notifier.declared = frozenset({"ops", "desk", "all"})
    key = rig.release(
        notifications=[{"target": "ops"}, {"target": "desk", "on": ["gate"]}, {"target": "all", "on": EVERYTHING}]
    )
    await rig.start()
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    rig.cluster.roll_out(NAMESPACE, "web-stable", "fp2")
    await rig.until(lambda: rig.status(key).settled is not None)
    assert rig.notifier.reasons("ops") == ["Promoted", "Settled"]
    assert rig.notifier.reasons("desk") == ["GatePassed", "GatePassed"]
    assert rig.notifier.reasons("all") == [
        "RunStarted", "StageEntered", "GatePassed", "StageEntered", "GatePassed", "Promoted", "Settling", "Settled",
    ]  # fmt: skip


async def test_a_policys_targets_are_told_too_and_a_release_says_otherwise_by_target() -> None:
    rig = Rig()
    rig.notifier.declared = frozenset({"ops", "desk"})
    policy = {"notifications": [{"target": "ops", "on": ["rollback"]}, {"target": "desk", "on": ["gate"]}]}
    rig.cluster.policies["standard"] = {"metadata": {"name": "standard", "resourceVersion": "1"}, "spec": policy}
    key = rig.release(policyRef={"name": "standard"}, notifications=[{"target": "ops", "on": ["start"]}])
    await rig.start()
    await rig.seconds(5)
    assert rig.notifier.reasons("ops") == ["RunStarted"]
    assert rig.notifier.reasons("desk") == ["GatePassed"]
    rig.cluster.edit(key, notifications=[{"target": "ops", "on": ["rollback"]}])
    await rolled_back(rig, key)
    assert rig.notifier.reasons("ops") == ["RunStarted", "RolledBack"], "an edit acts at once, also during a run"


async def test_a_blocked_release_and_a_spec_that_cannot_be_resolved_are_told() -> None:
    rig = Rig()
    rig.serve()
    rig.cluster.create(NAMESPACE, "web", spec(policyRef={"name": "gone"}, notifications=OPS))
    await rig.start()
    await rig.seconds(2)
    assert rig.notifier.reasons() == ["PolicyNotFound"]


async def test_an_undeclared_target_is_told_in_an_event_and_keeps_no_run_from_starting() -> None:
    rig = Rig()
    rig.notifier.declared = frozenset()
    key = await begun(rig)
    assert rig.status(key).phase is Phase.PROGRESSING
    told = [event.message for _, event in rig.cluster.events if event.reason is Reason.NOTIFICATION_TARGET_UNKNOWN]
    assert told == [
        "spec.notifications[ops]: no such target is declared for namespace shop; correct the name or have it declared"
    ]
    assert rig.notifier.sent == []


async def test_a_route_that_refuses_is_told_before_the_rollback_is_done_and_again_when_it_is() -> None:
    rig = Rig()
    key = await begun(rig)
    rig.cluster.fault = lambda call: "fail" if call.kind == "route" else None
    rig.measuring.canary[key] = BAD
    await rig.seconds(5)
    assert rig.notifier.reasons() == ["RouteWriteFailed", "RollingBack"]
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    assert rig.notifier.reasons() == ["RouteWriteFailed", "RollingBack", "RolledBack"]


async def test_a_dead_target_changes_no_write_of_a_rollback_but_the_note_of_what_is_untold() -> None:
    kinds = []
    for stuck in (True, False):
        rig = Rig()
        rig.notifier.stuck = stuck
        key = await begun(rig)
        rig.cluster.calls.clear()
        rig.measuring.canary[key] = BAD
        await rig.seconds(1)
        assert rig.status(key).phase is Phase.ROLLED_BACK and rig.route().weight == 0
        kinds.append([call.kind for call in rig.cluster.writes()][:4])
    assert kinds[0] == kinds[1]
    assert kinds[0][0] == "route"


# ---------------------------------------------------------------- the end of a run, told at least once


async def test_the_end_of_a_run_is_told_after_a_restart_when_it_was_not_before() -> None:
    rig = Rig()
    rig.notifier.stuck = True
    key = await begun(rig)
    await rolled_back(rig, key)
    (first,) = [notice for _, notice in rig.notifier.sent]
    assert rig.status(key).untold == (first.run,), "said in the status until it arrived"
    rig.notifier.forget()
    rig.notifier.stuck = False
    await rig.restart()
    await rig.seconds(2)
    (_, second) = [notice for _, notice in rig.notifier.sent]
    assert (second.id, second.again) == (first.id, True), "a receiver can tell that it is the same"
    assert (second.message, second.rules, second.seconds) == (first.message, first.rules, first.seconds)
    assert rig.status(key).untold == ()
    await rig.restart()
    await rig.seconds(2)
    assert len(rig.notifier.sent) == 2, "what arrived is not told again"


async def test_what_arrived_is_not_told_again_after_a_restart() -> None:
    rig = Rig()
    key = await begun(rig)
    await rolled_back(rig, key)
    await rig.restart()
    await rig.seconds(5)
    assert rig.notifier.reasons() == ["RolledBack"]


async def test_the_end_is_untold_until_every_target_was_told_or_given_up() -> None:
    rig = Rig()
    rig.notifier.declared = frozenset({"ops", "desk"})
    rig.notifier.stuck = True
    key = rig.release(notifications=[{"target": "ops"}, {"target": "desk"}])
    await rig.start()
    await rig.seconds(2)
    await rolled_back(rig, key)
    rig.notifier.settle(only="ops")
    await rig.seconds(1)
    assert len(rig.status(key).untold) == 1
    rig.notifier.settle(Fate.FAILED, "HTTP 500 (7 tries)")
    await rig.seconds(1)
    assert rig.status(key).untold == ()
    lost = [event.message for _, event in rig.cluster.events if event.reason is Reason.NOTIFICATION_LOST]
    run = rig.status(key).history[0].run
    assert lost == [f"notification target desk was not told of RolledBack of run {run}: HTTP 500 (7 tries)"]


async def test_what_makes_way_in_a_full_queue_is_said_once_until_the_target_takes_some_again() -> None:
    rig = Rig()
    rig.notifier.stuck = True
    key = rig.release(notifications=[{"target": "ops", "on": EVERYTHING}])
    await rig.start()
    await rig.seconds(5)
    assert len(rig.notifier.sent) > 2
    rig.notifier.settle(Fate.DROPPED, "100 messages wait already")
    assert sum(event.reason is Reason.NOTIFICATION_LOST for _, event in rig.cluster.events) == 1
    dropped = rig.engine.world.metrics.notifications.labels("ops", "dropped")
    assert dropped._value.get() == len(rig.notifier.sent), "every one is counted"
    await rolled_back(rig, key)
    rig.notifier.settle(Fate.SENT)
    rig.notifier.stuck = False
    assert rig.status(key).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("number", range(1, 30))
@pytest.mark.parametrize("when", ["crash-before", "crash-after"])
async def test_a_crash_at_any_call_loses_no_end_of_a_run(number: int, when: str) -> None:
    rig = Rig()

    def fault(call: Call) -> str | None:
        return when if call.number == number else None

    rig.cluster.fault = fault
    key = rig.release(notifications=OPS)
    await rig.start()
    await rig.seconds(2)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.seconds(3)
    assert rig.status(key).history[0].outcome is Outcome.ROLLED_BACK
    assert_whole_evidence(rig, key)
    ends = [notice for _, notice in rig.notifier.sent if notice.reason is Reason.ROLLED_BACK]
    assert ends, "told at least once"
    assert len({notice.id for notice in ends}) == 1, "and a repetition can be told as one"
    assert rig.status(key).untold == ()
