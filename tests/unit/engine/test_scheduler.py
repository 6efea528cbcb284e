"""One round per release at a time, rollbacks first, and errors that stay where they are."""

from __future__ import annotations

import asyncio

from fakes.clock import FakeClock
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.engine.scheduler import Again, Scheduler
from sparkrelease.ports.cluster import ObjectKey

A, B, C = ObjectKey("x", "a"), ObjectKey("x", "b"), ObjectKey("x", "c")


class Work:
    """Rounds that wait until they are let go."""

    def __init__(self, slots: int = 1) -> None:
        self.clock = FakeClock()
        self.started: list[tuple[ObjectKey, bool]] = []
        self.gates: dict[ObjectKey, asyncio.Event] = {}
        self.answers: dict[ObjectKey, Again] = {}
        self.errors: list[ObjectKey] = []
        self.cut: list[ObjectKey] = []
        self.scheduler = Scheduler(
            self.round, self.clock, OperatorMetrics(), slots, lambda key, _: self.errors.append(key)
        )
        self.scheduler.open()

    async def round(self, key: ObjectKey, urgent: bool) -> Again:
        self.started.append((key, urgent))
        gate = self.gates.get(key)
        if gate is not None and not urgent:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                self.cut.append(key)
                raise
        answer = self.answers.get(key, Again())
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pump(self) -> None:
        for _ in range(5):
            self.scheduler.start_due()
            await asyncio.sleep(0)


async def test_a_release_has_one_round_at_a_time_and_a_wake_meanwhile_brings_another() -> None:
    work = Work(slots=4)
    work.gates[A] = asyncio.Event()
    work.scheduler.wake(A)
    await work.pump()
    work.scheduler.wake(A)
    work.scheduler.wake(A)
    await work.pump()
    assert work.started == [(A, False)]
    work.gates.pop(A).set()
    await work.scheduler.settle()
    assert work.started == [(A, False), (A, False)]


async def test_ordinary_rounds_share_slots_and_a_rollback_takes_none() -> None:
    work = Work(slots=1)
    work.gates[A] = asyncio.Event()
    work.scheduler.wake(A)
    work.scheduler.wake(B)
    await work.pump()
    assert work.started == [(A, False)]
    work.scheduler.wake(C, urgent=True)
    await work.pump()
    assert work.started == [(A, False), (C, True)]
    work.gates[A].set()
    await work.scheduler.settle()
    assert work.started[-1] == (B, False)


async def test_a_round_that_waits_is_cut_short_for_a_rollback_of_the_same_release() -> None:
    work = Work()
    work.gates[A] = asyncio.Event()
    work.scheduler.wake(A)
    await work.pump()
    work.scheduler.preempt(A)
    await work.pump()
    await work.scheduler.settle()
    assert work.cut == [A]
    assert work.started == [(A, False), (A, True)]


async def test_an_error_is_told_backed_off_ever_longer_and_stops_no_other() -> None:
    work = Work(slots=2)
    work.answers[A] = RuntimeError("bug")  # type: ignore[assignment]
    work.scheduler.wake(A)
    work.scheduler.wake(B)
    await work.scheduler.settle()
    assert work.errors == [A]
    assert (B, False) in work.started
    for seconds, tries in ((0.9, 1), (0.2, 2), (1.5, 2), (0.6, 3)):
        work.clock.advance(seconds)
        await work.scheduler.settle()
        assert len(work.errors) == tries
    work.answers.pop(A)
    work.clock.advance(60)
    await work.scheduler.settle()
    assert len(work.errors) == 3


async def test_due_times_are_kept_and_an_earlier_wish_wins() -> None:
    work = Work()
    work.answers[A] = Again(30.0)
    work.scheduler.wake(A)
    await work.scheduler.settle()
    work.scheduler.wake(A, after=5)
    work.clock.advance(4)
    await work.scheduler.settle()
    assert len(work.started) == 1
    work.clock.advance(1)
    await work.scheduler.settle()
    assert len(work.started) == 2


async def test_nothing_starts_before_it_is_open_and_what_was_forgotten_never_does() -> None:
    work = Work()
    work.scheduler._open = False
    work.scheduler.wake(A)
    work.scheduler.wake(B)
    await work.pump()
    assert work.started == []
    work.scheduler.forget(B)
    work.scheduler.open()
    await work.scheduler.settle()
    assert work.started == [(A, False)]


async def test_two_hundred_thousand_wakes_leave_one_entry_each() -> None:
    work = Work(slots=16)
    for _ in range(2000):
        for number in range(100):
            work.scheduler.wake(ObjectKey("x", str(number)))
    await work.scheduler.settle()
    assert len(work.started) == 100
    assert work.scheduler.next_due() is None


async def test_a_rollback_that_comes_before_an_ordinary_round_took_its_first_step_is_carried_out() -> None:
    work = Work(slots=1)
    work.gates[A] = asyncio.Event()
    work.scheduler.wake(A)
    work.scheduler.start_due()
    assert work.scheduler.running(A)
    work.scheduler.preempt(A)
    await work.pump()
    assert work.started == [(A, True)]
    assert not work.scheduler.running(A)
    work.scheduler.wake(B)
    await work.pump()
    assert work.started == [(A, True), (B, False)], "the slot of the round is free again"
