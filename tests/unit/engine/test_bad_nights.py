"""Nights on which calls fail, are carried out unheard, and the process dies, while people and pods do what they like.

Whatever happens, evidence stays one chain that can be replayed, and no weight rises before what allows it.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from fakes.cluster import FakeSettings
from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import BreakKind, parse_entry, verify
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.replay import replay
from unit.engine.test_crashes import Watcher, chain_of

if TYPE_CHECKING:
    from fakes.cluster import Call

WRONG = (
    ("fail",),
    ("unheard",),
    ("fail", "unheard"),
    ("crash-before", "crash-after"),
    ("fail", "unheard", "crash-before", "crash-after"),
)
VERBS = (Verb.ROLLBACK, Verb.PAUSE, Verb.RESUME, Verb.RETRY)
TWO_STAGES = [{"name": "a", "weight": 5, "duration": "4s"}, {"name": "b", "weight": 60, "duration": "3s"}]
ONE_STAGE = [{"name": "all", "weight": 90, "duration": "3s"}]

_HIGH = [{"metric": "http", "op": ">", "value": 0.03}]
_MITIGATION = {"configMap": "flags", "set": {"FLOOR": "0.65"}, "undoOnRollback": True, "restart": "worker"}
RELEASES: dict[str, dict[str, object]] = {
    "plain": {},
    "mitigated": {
        "thresholds": [],
        "triggers": [
            {"name": "slow", "all": _HIGH, "action": "mitigate", "mitigation": _MITIGATION},
            {"name": "gone", "all": _HIGH, "for": "4s"},
        ],
    },
    "stepped back": {
        "triggers": [
            {"name": "bad", "all": _HIGH, "action": "stepBack"},
            {"name": "gone", "all": _HIGH, "for": "9s"},
        ]
    },
    "in the shadow first": {
        "stages": [
            {"name": "shadow", "weight": 0, "mirror": 100, "duration": "3s"},
            {"name": "ten", "weight": 10, "duration": "3s"},
            {"name": "half", "weight": 50, "duration": "3s"},
        ]
    },
    "dry": {"dryRun": True},
}

FOUND = [
    *(("plain", seed) for seed in (1189, 1330, 2182, 2277, 2538, 2551, 3482)),
    *(("mitigated", seed) for seed in (716, 821, 6113)),
]
"""Nights that found something: entries stored twice or in part, a broken chain, a spec recorded and not followed."""


class Night:
    """One night, the same for the same seed."""

    def __init__(self, release: str, seed: int) -> None:
        self.chance = Random(seed)
        self.rig = Rig()
        self.rig.cluster.settings[(NAMESPACE, "flags")] = FakeSettings({"FLOOR": "0.5"})
        self.key = self.rig.release(**RELEASES[release])
        self.watcher = Watcher(self.rig, self.key)
        self.share = self.chance.choice([0.05, 0.15, 0.3])
        self.kinds = self.chance.choice(WRONG)
        self.length = self.chance.randint(10, 60)
        self.over = False
        self.commands = 0
        self.rig.cluster.fault = self._wrong

    def _wrong(self, _: Call) -> str | None:
        hit = not self.over and self.chance.random() < self.share
        return self.chance.choice(self.kinds) if hit else None

    async def pass_by(self) -> None:
        """From dusk to dawn, and a quiet minute after it."""
        await self.rig.start()
        await self._alive()
        for _ in range(self.length):
            self._something()
            await self.rig.seconds(self.chance.choice([1, 1, 2, 5]))
            await self._alive()
        self.over = True
        self.rig.measuring.canary.pop(self.key, None)
        self.rig.cluster.roll_out(NAMESPACE, "web-canary", "fp2")
        await self.rig.seconds(60)

    async def _alive(self) -> None:
        while self.rig.cluster.dead:
            await self.rig.restart()

    def _something(self) -> None:
        chance, cluster, key, canary = self.chance, self.rig.cluster, self.key, self.rig.measuring.canary
        match int(100 * chance.random()):
            case n if n < 6:
                canary[key] = BAD
            case n if n < 12:
                canary[key] = Missing(Reason.NO_DATA, "gone")
            case n if n < 25:
                canary.pop(key, None)
            case n if n < 29:
                self.commands += 1
                command = Command(
                    user="jane", verb=chance.choice(VERBS), nonce=f"nonce-{self.commands:04d}", reason="odd"
                )
                cluster.annotate(key, command=format_command(command))
            case n if n < 32:
                cluster.roll_out(NAMESPACE, "web-canary", "fp2", ready=chance.choice([0, 1, 2]))
            case n if n < 34:
                cluster.dead = True
            case n if n < 36:
                cluster.revert(NAMESPACE, "web", chance.choice([0.0, 10.0, 50.0, 77.0]))
            case n if n < 40:
                cluster.edit(key, paused=chance.random() < 0.5)
            case n if n < 43:
                cluster.edit(key, stages=chance.choice([TWO_STAGES, ONE_STAGE]))
            case n if n < 47:
                version = chance.choice([2, 3, 4])
                cluster.edit(key, version=f"v{version}")
                if chance.random() < 0.8:
                    cluster.roll_out(NAMESPACE, "web-canary", f"fp{version}")
            case n if n < 49:
                cluster.roll_out(NAMESPACE, "web-stable", chance.choice(["fp1", "fp2", "fp3"]))
            case 49:
                cluster.unreadable = 2

    def chains(self) -> dict[str, list[str]]:
        """The lines stored of every run."""
        found: dict[str, list[str]] = {}
        for (_, name), lines in sorted(self.rig.cluster.config_maps.items()):
            found.setdefault(name.rpartition("-evidence-")[0], []).extend(lines)
        return found


async def assert_survived(release: str, seed: int) -> int:
    """Answers how many runs there were; in some nights there is none."""
    night = Night(release, seed)
    await night.pass_by()
    assert night.watcher.broken == [], f"night {seed}"
    status = night.rig.status(night.key)
    chains = night.chains()
    for name, lines in chains.items():
        entries = [entry for entry in map(parse_entry, lines) if entry is not None]
        replayed = replay(entries)
        assert (replayed.difference, replayed.entries) == (None, len(lines)), f"night {seed}, {name}"
        if status.run is not None and name.endswith(status.run.id):
            broken = verify(lines, head=status.evidence.head, entries=status.evidence.entries)
            # What a crash left is taken in with the next entry.
            assert broken is None or broken.kind is BreakKind.HEAD_MISMATCH, f"night {seed}, {name}: {broken}"
    return len(chains)


@pytest.mark.parametrize(("release", "seed"), FOUND)
async def test_what_such_nights_found_is_not_so_any_more(release: str, seed: int) -> None:
    assert await assert_survived(release, seed) > 0


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("first", range(0, 100, 25))
async def test_evidence_stays_one_chain_that_can_be_replayed(release: str, first: int) -> None:
    runs = [await assert_survived(release, seed) for seed in range(first, first + 25)]
    assert sum(runs) >= len(runs)


async def test_what_is_pending_is_linked_behind_what_a_crash_left() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    calls: list[str | None] = ["crash-after", None, None, "fail", "fail"]
    rig.cluster.fault = lambda call: calls.pop(0) if call.kind == "evidence" and calls else None
    rig.measuring.canary[key] = BAD
    rig.cluster.unreadable = 1
    await rig.until(lambda: calls == ["fail"])
    status = rig.status(key)
    assert status.pending_evidence
    first = parse_entry(status.pending_evidence[0])
    assert first is not None
    assert (first.previous, first.number) == (status.evidence.head, status.evidence.entries + 1)
    await rig.seconds(30)
    status = rig.status(key)
    assert status.pending_evidence == ()
    assert verify(chain_of(rig, key), head=status.evidence.head, entries=status.evidence.entries) is None
