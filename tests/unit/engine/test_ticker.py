"""In which order a tick looks at releases, and which ones it leaves for later."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from fakes.measuring import BAD, FakeMeasuring
from fakes.rig import Rig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, MetricFacts, Missing, Reading, Value
from sparkrelease.decide.plan import Plan
from sparkrelease.engine.release import Release
from sparkrelease.engine.unrest import unrest

LONG = [{"name": "ten", "weight": 10, "duration": "1h"}, {"name": "half", "weight": 50, "duration": "1h"}]
NAMES = ("a", "b", "c", "d")


class Looked:
    """Releases on trial at a short tick, and the order in which ticks look at them."""

    def __init__(self, tick: str) -> None:
        self.rig = Rig(tick=tick)
        self.keys = [self.rig.release(name, stages=LONG) for name in NAMES]
        self.seen: list[str] = []

    async def begin(self) -> None:
        await self.rig.start()
        await self.rig.seconds(8)
        rounds, look = self.rig.engine.rounds, self.rig.engine.rounds.look

        def noted(release: Release) -> Plan | None:
            self.seen.append(release.key.name)
            return look(release)

        rounds.look = noted  # type: ignore[method-assign]

    async def tick(self, after: float) -> list[str]:
        """One tick so many seconds later; the names of those looked at."""
        self.seen.clear()
        self.rig.clock.advance(after)
        await self.rig.engine.ticker.tick()
        found = list(self.seen)
        await self.rig.settle()
        return found


async def test_a_release_that_turned_bad_is_looked_at_before_all_others() -> None:
    fleet = Looked("1s")
    await fleet.begin()
    assert await fleet.tick(1) == list(NAMES)
    fleet.rig.measuring.canary[fleet.keys[2]] = BAD
    assert (await fleet.tick(1))[0] == "c"
    assert fleet.rig.route("c").weight == 0


async def test_a_release_that_is_well_is_looked_at_once_a_second_however_short_the_tick() -> None:
    fleet = Looked("250ms")
    await fleet.begin()
    counts = [len(await fleet.tick(0.25)) for _ in range(8)]
    assert counts[0] in {0, len(NAMES)}
    assert sum(counts) == 2 * len(NAMES)


async def test_what_was_newly_measured_is_decided_on_at_once() -> None:
    fleet = Looked("250ms")
    await fleet.begin()
    while not await fleet.tick(0.25):
        pass
    fleet.rig.measuring.canary[fleet.keys[1]] = Counts(bad=0, total=1010)
    assert await fleet.tick(0.25) == ["b"]


async def test_a_trigger_that_has_begun_to_be_true_is_looked_at_in_every_tick() -> None:
    fleet = Looked("250ms")
    slow = [{"name": "bad", "all": [{"metric": "http", "op": ">", "value": 0.03}], "for": "1m"}]
    key = fleet.rig.release("slow", stages=LONG, triggers=slow)
    await fleet.begin()
    fleet.rig.measuring.canary[key] = BAD
    for _ in range(4):
        assert "slow" in await fleet.tick(0.25)


async def test_a_beat_of_scrapes_draws_the_next_tick_to_it() -> None:
    """The ticker asks for the beat after each tick, and goes by it."""
    fleet = Looked("1s")
    await fleet.begin()
    ticker, clock = fleet.rig.engine.ticker, fleet.rig.clock

    class Beating(FakeMeasuring):
        def beat(self) -> tuple[datetime, float] | None:
            asked = clock.now()
            return asked, asked.timestamp() // 1 + 0.5 - (asked.timestamp() % 1 < 0.5)

    object.__setattr__(ticker._world, "measuring", Beating())
    for _ in range(5):
        ticker._listen(in_turn=True)
        due = ticker._behind_a_scrape(clock.monotonic(), clock.monotonic() + 1.0)
        clock.advance(due - clock.monotonic())
    phase = clock.now().timestamp() % 1
    assert 0.5 < phase < 0.65


@pytest.mark.parametrize(
    ("before", "now", "least", "most"),
    [
        (Counts(0, 100), Counts(0, 100), 0.0, 0.0),
        (Counts(0, 100), Counts(0, 110), 1e-12, 1e-6),
        (Counts(0, 100), Counts(50, 100), 0.5, 0.5),
        (Counts(0, 0), Counts(0, 0), 0.0, 0.0),
        (Value(1.0), Value(1.0), 0.0, 0.0),
        (Value(1.0), Value(3.0), 0.3, 0.4),
        (Value(0.0), Value(0.0), 0.0, 0.0),
        (Value(1.0), Value(float("inf")), 1.0, 1.0),
        (Buckets({0.1: 90, 1.0: 100}, 100), Buckets({0.1: 40, 1.0: 100}, 100), 0.5, 0.5),
        (Buckets({0.1: 90}, 100), Buckets({0.2: 90}, 100), 1.0, 1.0),
        (Counts(0, 100), Value(1.0), 1.0, 1.0),
    ],
)
def test_unrest_grows_with_the_change_of_what_was_measured(
    before: Reading, now: Reading, least: float, most: float
) -> None:
    assert least <= unrest({"m": facts(before)}, {"m": facts(now)}) <= most


def test_a_metric_that_is_new_or_gone_or_cannot_be_read_any_more_is_all_the_unrest_there_is() -> None:
    one = {"m": facts(Counts(0, 100))}
    assert unrest({}, one) == 1.0
    assert unrest(one, {}) == 1.0
    assert unrest(one, {"m": facts(Missing(Reason.NO_DATA, "gone"))}) == 1.0


def facts(canary: Reading) -> MetricFacts:
    at = datetime.fromisoformat("2026-11-21T12:00:00Z")
    return MetricFacts(query="q", at=at, window=timedelta(minutes=1), canary=canary, stable=Counts(0, 100))


async def test_measuring_is_told_once_a_run_when_canary_gets_its_first_requests() -> None:
    rig = Rig()
    keys = [rig.release("a"), rig.release("b", stages=[LONG[0] | {"weight": 0, "mirror": 10}, LONG[1]])]
    rig.cluster.fault = lambda call: "fail" if call.kind == "evidence" else None
    await rig.start()
    await rig.seconds(20)
    assert rig.measuring.risen == []
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: (run := rig.status(keys[0]).run) is not None and run.promoted_at is not None)
    assert Counter(rig.measuring.risen) == Counter(keys), "a weight or a mirror, and not what follows"
