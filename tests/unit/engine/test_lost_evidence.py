"""Evidence that is gone or changed in the middle of a run: nothing rises on it, and nothing that goes down waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.status import Outcome
from sparkrelease.decide.evidence import parse_entry, verify
from sparkrelease.decide.replay import replay

if TYPE_CHECKING:
    from sparkrelease.ports.cluster import ObjectKey

STAGES = [
    {"name": "ten", "weight": 10, "duration": "3s"},
    {"name": "half", "weight": 50, "duration": "3s"},
    {"name": "full", "weight": 100, "duration": "3s"},
]


async def at_half(rig: Rig) -> ObjectKey:
    """A run at the second of three stages, with two ConfigMaps of evidence."""
    key = rig.release(stages=STAGES)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    assert len(rig.status(key).evidence.config_maps) >= 2
    return key


def second(rig: Rig, key: ObjectKey) -> tuple[str, str]:
    return NAMESPACE, rig.status(key).evidence.config_maps[1]


def said(rig: Rig, key: ObjectKey, kind: ConditionType) -> tuple[str, str]:
    found = find(rig.status(key).conditions, kind)
    return (found.status, found.reason) if found is not None else ("", "")


async def test_a_deleted_config_map_of_evidence_keeps_the_weight_where_it_is() -> None:
    rig = Rig()
    key = await at_half(rig)
    del rig.cluster.config_maps[second(rig, key)]
    await rig.seconds(20)
    assert rig.route().weight == 50
    assert said(rig, key, ConditionType.EVIDENCE_COMPLETE) == ("False", "EvidenceMissing")
    assert said(rig, key, ConditionType.STALLED) == ("True", "EvidenceMissing")


async def test_evidence_that_was_replaced_by_another_text_keeps_the_weight_where_it_is() -> None:
    rig = Rig()
    key = await at_half(rig)
    place = second(rig, key)
    lines = rig.cluster.config_maps[place]
    rig.cluster.config_maps[place] = [line.replace("stage half", "stage hall") for line in lines]
    await rig.seconds(20)
    assert rig.route().weight == 50
    assert said(rig, key, ConditionType.EVIDENCE_COMPLETE) == ("False", "EvidenceDiffers")


async def test_a_run_whose_evidence_is_put_back_goes_on() -> None:
    rig = Rig()
    key = await at_half(rig)
    place = second(rig, key)
    kept = rig.cluster.config_maps.pop(place)
    await rig.seconds(10)
    rig.cluster.config_maps[place] = kept
    await rig.until(lambda: rig.route().weight == 100)
    assert said(rig, key, ConditionType.EVIDENCE_COMPLETE) == ("True", "EvidenceStored")
    status = rig.status(key)
    lines = [line for name in status.evidence.config_maps for line in rig.cluster.config_maps[(NAMESPACE, name)]]
    assert verify(lines, head=status.evidence.head, entries=status.evidence.entries) is None
    assert replay([entry for entry in map(parse_entry, lines) if entry is not None]).difference is None


async def test_a_run_whose_evidence_is_gone_is_still_rolled_back_at_once() -> None:
    rig = Rig()
    key = await at_half(rig)
    del rig.cluster.config_maps[second(rig, key)]
    await rig.seconds(10)
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.route().weight == 0
    assert rig.status(key).history[0].outcome is Outcome.ROLLED_BACK


async def test_a_person_may_promote_a_run_whose_evidence_is_gone() -> None:
    rig = Rig()
    key = await at_half(rig)
    del rig.cluster.config_maps[second(rig, key)]
    await rig.seconds(10)
    command = Command(user="jane", verb=Verb.PROMOTE, nonce="nonce-0001", reason="lost by accident")
    rig.cluster.annotate(key, command=format_command(command))
    await rig.seconds(2)
    assert rig.route().weight == 100


async def test_the_next_process_still_says_that_evidence_is_gone() -> None:
    rig = Rig()
    key = await at_half(rig)
    del rig.cluster.config_maps[second(rig, key)]
    await rig.seconds(10)
    await rig.restart()
    await rig.seconds(2)
    assert said(rig, key, ConditionType.EVIDENCE_COMPLETE) == ("False", "EvidenceMissing")
    assert rig.route().weight == 50


async def test_a_promoted_run_walks_back_to_stable_whatever_became_of_its_evidence() -> None:
    rig = Rig()
    key = await at_half(rig)
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    del rig.cluster.config_maps[second(rig, key)]
    rig.cluster.roll_out(NAMESPACE, "web-stable", "fp2")
    await rig.until(lambda: rig.status(key).settled is not None)
    assert rig.route().weight == 0


async def test_a_checkpoint_finds_that_evidence_is_gone() -> None:
    rig = Rig()
    key = rig.release(stages=[{"name": "ten", "weight": 10, "duration": "1h"}])
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    names = rig.status(key).evidence.config_maps
    rig.cluster.config_maps.pop((NAMESPACE, names[0]))
    await rig.seconds(620)
    assert said(rig, key, ConditionType.EVIDENCE_COMPLETE) == ("False", "EvidenceMissing")


@pytest.mark.parametrize("times", [1, 3])
async def test_evidence_that_cannot_be_read_for_a_moment_costs_a_moment(times: int) -> None:
    rig = Rig()
    await at_half(rig)
    rig.cluster.unreadable = times
    await rig.until(lambda: rig.route().weight == 100, within=30)
