"""A mirror is written like a weight: evidence first when canary gets more, the route first when it gets less."""

from __future__ import annotations

from fakes.measuring import BAD
from fakes.rig import Rig
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.ports.cluster import ObjectKey

STAGES = [
    {"name": "shadow", "weight": 0, "mirror": 100, "duration": "3s"},
    {"name": "ten", "weight": 10, "duration": "3s"},
]


async def in_the_shadow(rig: Rig, duration: str = "3s") -> ObjectKey:
    """A release whose requests are mirrored."""
    key = rig.release(stages=[STAGES[0] | {"duration": duration}, STAGES[1]])
    await rig.start()
    await rig.until(lambda: rig.route().mirror == 100)
    return key


async def test_evidence_and_status_are_written_before_requests_are_mirrored() -> None:
    rig = Rig()
    await in_the_shadow(rig)
    kinds = [call.kind for call in rig.cluster.writes()]
    assert kinds.index("evidence") < kinds.index("route")
    assert "status" in kinds[: kinds.index("route")]


async def test_nothing_is_mirrored_while_evidence_cannot_be_stored() -> None:
    rig = Rig()
    rig.release(stages=STAGES)
    rig.cluster.fault = lambda call: "fail" if call.kind == "evidence" else None
    await rig.start()
    await rig.seconds(20)
    assert rig.route().mirror == 0
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: rig.route().mirror == 100)


async def test_a_bad_canary_loses_its_copies_before_anything_else_is_written() -> None:
    rig = Rig()
    key = await in_the_shadow(rig, "1h")
    rig.cluster.calls.clear()
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.route().mirror == 0
    assert next(call.kind for call in rig.cluster.writes() if call.kind != "finalizer") == "route"
    assert rig.status(key).history[0].outcome is Outcome.ROLLED_BACK


async def test_the_next_process_goes_on_with_a_shadow_and_ends_it() -> None:
    rig = Rig()
    key = await in_the_shadow(rig)
    await rig.restart()
    assert rig.route().mirror == 100
    await rig.until(lambda: rig.route().weight == 10)
    assert rig.route().mirror == 0
    assert rig.status(key).weight.mirror is None


async def test_a_shadow_whose_own_spec_is_lost_stays_one_until_a_person_says_otherwise() -> None:
    rig = Rig()
    key = await in_the_shadow(rig, "1h")
    rig.cluster.edit(key, stages=[{"name": "all", "weight": 90, "duration": "3s"}])
    await rig.settle()
    rig.cluster.config_maps.clear()
    await rig.restart()
    await rig.seconds(30)
    assert (rig.route().weight, rig.route().mirror) == (0, 100)
    rig.cluster.annotate(key, command=format_command(Command(user="jane", verb=Verb.ROLLBACK, nonce="nonce-0001")))
    await rig.seconds(3)
    assert (rig.route().mirror, rig.status(key).phase) == (0, Phase.ROLLED_BACK)


async def test_a_shadow_of_a_release_that_is_deleted_goes_with_it() -> None:
    rig = Rig()
    key = await in_the_shadow(rig, "1h")
    rig.cluster.delete(key)
    await rig.seconds(3)
    assert (rig.route().mirror, rig.route().mark) == (0, None)
    assert key not in rig.cluster.releases
