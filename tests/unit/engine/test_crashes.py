"""A process that dies at any call leaves something the next one brings to the same end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.evidence import parse_entry, verify
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.replay import replay

if TYPE_CHECKING:
    from fakes.cluster import Call
    from sparkrelease.ports.cluster import ObjectKey

STAGES = {0.0: 0, 10.0: 1, 50.0: 2}


class Watcher:
    """Looks at every write and holds it to the invariants."""

    def __init__(self, rig: Rig, key: ObjectKey) -> None:
        self.rig, self.key = rig, key
        self.weights: list[float] = []
        self.broken: list[str] = []
        rig.cluster.after_write.append(self.look)

    def look(self, call: Call) -> None:
        """Notes what is wrong: raised here it would be one more failed round, which the engine repeats."""
        if call.kind != "route":
            return
        weight = self.rig.route().weight
        raised = weight > (self.weights[-1] if self.weights else 0.0)
        self.weights.append(weight)
        status = self.rig.status(self.key) if self.key in self.rig.cluster.releases else None
        if raised and status is None:
            self.broken.append(f"{weight}: weight rose of a release that is gone")
        elif raised and status is not None:
            if weight > status.weight.desired:
                self.broken.append(f"{weight}: weight rose before the status said so")
            if status.evidence.entries == 0:
                self.broken.append(f"{weight}: weight rose before its evidence was stored")
            if status.run is None or (status.rollback is not None and status.rollback.run == status.run.id):
                self.broken.append(f"{weight}: weight rose after a rollback of its run, or in none")

    @property
    def climbs(self) -> list[float]:
        """Weights without repetitions."""
        return [w for i, w in enumerate(self.weights) if i == 0 or w != self.weights[i - 1]]


def chain_of(rig: Rig, key: ObjectKey) -> list[str]:
    names = sorted(name for namespace, name in rig.cluster.config_maps if namespace == key.namespace)
    return [line for name in names for line in rig.cluster.config_maps[(key.namespace, name)]]


def assert_whole_evidence(rig: Rig, key: ObjectKey) -> None:
    status = rig.status(key)
    lines = chain_of(rig, key)
    assert verify(lines, head=status.evidence.head, entries=status.evidence.entries) is None
    replayed = replay([entry for entry in map(parse_entry, lines) if entry is not None])
    assert (replayed.difference, replayed.entries) == (None, len(lines))
    assert status.history[0].evidence == status.evidence


async def good_release(rig: Rig) -> ObjectKey:
    key = rig.release()
    watcher = Watcher(rig, key)
    await rig.start()
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    rig.cluster.roll_out(NAMESPACE, "web-stable", "fp2")
    await rig.until(lambda: rig.status(key).settled is not None)
    await rig.seconds(3)
    status = rig.status(key)
    assert status.phase is Phase.SUCCEEDED
    assert [entry.outcome for entry in status.history] == [Outcome.SETTLED]
    assert watcher.broken == []
    assert watcher.climbs == [10, 50, 0]
    assert rig.route().mark is None
    assert rig.cluster.releases[key]["metadata"]["finalizers"] == []
    assert_whole_evidence(rig, key)
    return key


async def bad_release(rig: Rig) -> ObjectKey:
    key = rig.release()
    watcher = Watcher(rig, key)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    await rig.seconds(1)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.seconds(3)
    status = rig.status(key)
    assert [entry.outcome for entry in status.history] == [Outcome.ROLLED_BACK]
    assert [refused.version for refused in status.refused] == ["v2"]
    assert watcher.broken == []
    assert watcher.climbs == [10, 50, 0]
    assert rig.route().mark is None
    assert rig.cluster.releases[key]["metadata"]["finalizers"] == []
    assert_whole_evidence(rig, key)
    return key


async def deleted_release(rig: Rig) -> ObjectKey:
    key = rig.release()
    watcher = Watcher(rig, key)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.delete(key)
    await rig.until(lambda: key not in rig.cluster.releases)
    assert watcher.broken == []
    assert watcher.climbs == [10, 50, 0]
    assert rig.route().mark is None
    return key


Script = Callable[[Rig], Awaitable["ObjectKey"]]
SCRIPTS: list[Script] = [good_release, bad_release, deleted_release]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("moment", ["crash-before", "crash-after", "fail", "unheard"])
async def test_the_end_is_the_same_whichever_call_the_process_dies_at_or_fails(script: Script, moment: str) -> None:
    clean = Rig()
    await script(clean)
    count = len(clean.cluster.calls)
    assert count > 8
    for number in range(1, count + 1):
        rig = Rig()
        rig.cluster.fault = lambda call, number=number: moment if call.number == number else None
        try:
            await script(rig)
        except AssertionError as problem:
            where = next((call.kind for call in rig.cluster.calls if call.number == number), "never made")
            raise AssertionError(f"{moment} at call {number} ({where}): {problem}") from problem


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.slow
async def test_the_end_is_the_same_when_every_seventh_call_kills_the_process(script: Script) -> None:
    for offset in range(7):
        rig = Rig()
        rig.cluster.fault = lambda call, offset=offset: (
            ("crash-after", "crash-before")[call.number // 7 % 2] if (call.number + offset) % 7 == 0 else None
        )
        await script(rig)


async def test_the_frozen_spec_comes_back_from_evidence_after_an_edit_and_a_restart() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    stages = [{"name": "all", "weight": 90, "duration": "3s"}]
    rig.cluster.edit(key, stages=stages)
    await rig.seconds(1)
    await rig.restart()
    watcher = Watcher(rig, key)
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    assert watcher.broken == []
    assert watcher.climbs == [50]


@pytest.mark.parametrize("moment", ["crash-after", "unheard"])
async def test_a_spec_edited_between_the_evidence_of_a_start_and_its_status_is_the_one_recorded(moment: str) -> None:
    rig = Rig()
    key = rig.release()
    stages = [{"name": "all", "weight": 90, "duration": "3s"}]

    def wrong(call: Call) -> str | None:
        if call.kind == "evidence" and not faults:
            faults.append(call.number)
            rig.cluster.edit(key, stages=stages)
            return moment
        return None

    faults: list[int] = []
    rig.cluster.fault = wrong
    await rig.start()
    await rig.seconds(1)
    await rig.until(lambda: rig.route().weight == 90)
    rig.cluster.edit(key, stages=[{"name": "other", "weight": 5, "duration": "3s"}])
    await rig.restart()
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    entries = [entry for entry in map(parse_entry, chain_of(rig, key)) if entry is not None]
    starts = [entry.data["specDigest"] for entry in entries if entry.kind == "RunStarted"]
    assert len(starts) == 2
    run = rig.status(key).run
    assert run is not None
    assert starts[0] != starts[1] == run.spec_digest
    replayed = replay(entries)
    assert (replayed.difference, replayed.entries) == (None, len(entries))


async def test_the_frozen_spec_comes_back_though_a_later_part_of_the_evidence_is_gone() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    names = rig.status(key).evidence.config_maps
    assert len(names) > 1
    rig.cluster.edit(key, stages=[{"name": "all", "weight": 90, "duration": "3s"}])
    rig.cluster.config_maps.pop((NAMESPACE, names[1]))
    await rig.restart()
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    assert rig.route().weight == 50


async def test_time_without_an_operator_is_not_observation() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.seconds(2)
    rig.cluster.dead = True
    rig.clock.advance(1800)
    await rig.restart()
    assert rig.route().weight == 10
    stage = rig.status(key).stage
    assert stage is not None
    assert stage.observed.total_seconds() < 3


async def test_a_new_version_mid_run_goes_through_zero_first() -> None:
    rig = Rig()
    key = rig.release()
    watcher = Watcher(rig, key)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.edit(key, version="v3")
    rig.cluster.roll_out(NAMESPACE, "web-canary", "fp3")
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.version == "v3", within=120)
    await rig.seconds(1)
    assert watcher.broken == []
    assert watcher.climbs == [10, 50, 0, 10]


async def test_a_release_whose_finalizer_was_taken_away_still_brings_its_traffic_home() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    body = rig.cluster.releases.pop(key)
    rig.cluster.watch.append(("SparkRelease", "DELETED", body))
    await rig.seconds(2)
    assert rig.route().weight == 0
    assert rig.route().mark is None


async def test_a_release_that_was_made_anew_inherits_no_traffic_on_its_canary() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.releases.pop(key)
    rig.cluster.create(NAMESPACE, "web", spec("web", paused=True))
    await rig.seconds(3)
    assert rig.route().weight == 0
    assert rig.route().mark is None


async def test_a_release_that_only_seemed_to_vanish_keeps_its_weight() -> None:
    rig = Rig()
    rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    rig.engine.intake.listed("SparkRelease", [])
    await rig.seconds(2)
    assert rig.route().weight == 50


async def test_evidence_goes_on_behind_more_config_maps_than_the_status_has_room_for() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    rig.cluster.edit(key, paused=True)
    for number in range(210):
        command = Command(user="jane", verb=Verb.PAUSE, nonce=f"nonce-{number:04d}")
        rig.cluster.annotate(key, command=format_command(command))
        await rig.settle()
    assert rig.status(key).evidence.entries > 210
    rig.cluster.edit(key, paused=False, stages=[{"name": "all", "weight": 90, "duration": "3s"}])
    rig.cluster.annotate(key, command=format_command(Command(user="jane", verb=Verb.RESUME, nonce="nonce-last")))
    await rig.seconds(1)
    await rig.restart()
    await rig.until(lambda: rig.route().weight == 50)
    status = rig.status(key)
    assert verify(chain_of(rig, key), head=status.evidence.head, entries=status.evidence.entries) is None


async def test_a_process_started_anew_amid_an_outage_of_metrics_knows_that_there_was_one() -> None:
    rig = Rig()
    blind, well = rig.release("web"), rig.release("api")
    await rig.start()
    await rig.until(lambda: rig.route("web").weight == rig.route("api").weight == 10)
    rig.measuring.canary[blind] = Missing(Reason.PROMETHEUS_UNREACHABLE, "gone", server_wide=True)
    await rig.seconds(2)
    assert rig.measuring.blind == []
    await rig.restart()
    assert blind in rig.measuring.blind
    assert well not in rig.measuring.blind
