"""Who may write, and what stops a process that no longer may."""

from __future__ import annotations

import asyncio

from fakes.measuring import BAD
from fakes.rig import Rig
from sparkrelease.decide.facts import RouteMark, Side


async def test_without_leadership_caches_are_warm_and_nothing_is_written() -> None:
    rig = Rig()
    key = rig.release()
    rig.leadership.left = 0
    for kind, event, body in rig.cluster.watch:
        rig.engine.intake.see(kind, event, body)
    rig.engine.scheduler.open()
    rig.engine.scheduler.wake(key)
    await rig.seconds(5)
    assert rig.engine.store.get(key) is not None
    assert rig.cluster.calls == []


async def test_a_process_whose_lease_ended_writes_nothing_more_not_even_a_rollback() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.calls.clear()
    rig.leadership.left = 0
    rig.measuring.canary[key] = BAD
    await rig.seconds(5)
    assert rig.cluster.calls == []


async def test_a_lease_with_a_short_deadline_still_lets_weights_rise() -> None:
    rig = Rig(lease={"renew": "500ms", "deadline": "2s", "duration": "3s"})
    rig.release()
    rig.leadership.left = 1.6
    await rig.start()
    rig.leadership.left = 1.6
    await rig.seconds(2)
    assert rig.route().weight == 10


async def test_a_leadership_about_to_end_raises_nothing_and_still_goes_back() -> None:
    rig = Rig(lease={"renew": "2s", "deadline": "10s", "duration": "15s"})
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.leadership.left = 4.9
    await rig.seconds(8)
    assert rig.route().weight == 10
    rig.measuring.canary[key] = BAD
    await rig.seconds(1)
    assert rig.route().weight == 0


async def test_a_new_leader_stamps_an_active_route_before_it_decides() -> None:
    rig = Rig()
    rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.calls.clear()
    await rig.restart()
    assert rig.cluster.calls[0].kind == "stamp"
    mark = rig.route().mark
    assert mark is not None
    assert mark.epoch == rig.epoch


async def test_a_route_that_cannot_be_stamped_is_not_decided_about_until_it_can() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.fault = lambda call: "fail" if call.kind == "stamp" else None
    rig.cluster.calls.clear()
    await rig.restart()
    rig.measuring.canary[key] = BAD
    await rig.seconds(5)
    assert {call.kind for call in rig.cluster.calls} == {"stamp"}
    rig.cluster.fault = lambda _: None
    await rig.seconds(4)
    assert rig.route().weight == 0


async def test_a_leader_that_was_frozen_moves_nothing_once_a_newer_one_has_stamped() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    mark = rig.route().mark
    assert mark is not None
    rig.route().mark = RouteMark(mark.run, rig.epoch + 1, mark.weight, mark.rollback)
    rig.leadership.taken = True
    rig.measuring.canary[key] = BAD
    await rig.seconds(1)
    assert rig.route().weight == 10
    assert rig.fenced


async def test_a_status_of_a_newer_leader_stops_this_one() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(1)
    body = rig.cluster.releases[key]
    body["status"]["epoch"] = rig.epoch + 1
    rig.cluster.annotate(key, note="x")
    await rig.settle()
    assert rig.fenced


async def test_a_status_write_that_meets_a_newer_object_is_built_on_it() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(1)
    rig.cluster.annotate(key, note="x")
    rig.cluster.watch.clear()
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.status(key).rollback is not None
    assert "sparkrelease.dev/note" in rig.cluster.releases[key]["metadata"]["annotations"]


async def test_taking_over_is_told_to_nobody_by_a_status_write() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.calls.clear()
    await rig.restart()
    await rig.settle()
    assert [call.kind for call in rig.cluster.calls] == ["stamp"]
    assert rig.status(key).epoch == rig.epoch - 1


async def test_an_epoch_that_no_leader_ever_had_stops_no_process_and_no_rollback() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    mark = rig.route().mark
    assert mark is not None
    rig.route().mark = RouteMark(mark.run, 999_999_999_999, mark.weight, mark.rollback)
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.route().weight == 0
    assert rig.fenced == []


async def test_a_new_leader_fences_every_route_under_way_before_it_waits_for_the_pods_of_any() -> None:
    rig = Rig(concurrent_writes=1)  # four rounds at a time
    names = [f"web-{number}" for number in range(10)]
    for name in names:
        rig.release(name)
    await rig.start()
    await rig.seconds(2)
    assert {rig.route(name).weight for name in names} == {10}
    await rig.engine.scheduler.stop()
    rig.engine = rig.build()
    fenced: list[int] = []

    async def slow(namespace: str, service: str) -> Side:
        fenced.append(sum(_stamped(rig, name) is not None for name in names))
        await asyncio.sleep(0)
        return rig.cluster.sides[namespace, service]

    rig.workloads.side = slow  # type: ignore[method-assign]
    await rig.start()
    await rig.seconds(2)
    assert fenced, "the pods are looked at in the end"
    assert fenced[0] == len(names)


def _stamped(rig: Rig, name: str) -> RouteMark | None:
    """The mark of a route, if it bears the epoch of the present leader."""
    mark = rig.route(name).mark
    return mark if mark is not None and mark.epoch == rig.epoch else None
