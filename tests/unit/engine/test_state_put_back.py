"""A status from a backup, or a cluster that came back older: nothing rises on it, and what was over stays over."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.evidence import parse_entry, verify
from sparkrelease.decide.replay import replay

if TYPE_CHECKING:
    from typing import Any

    from sparkrelease.ports.cluster import ObjectKey

STAGES = [
    {"name": "ten", "weight": 10, "duration": "3s"},
    {"name": "quarter", "weight": 25, "duration": "3s"},
    {"name": "half", "weight": 50, "duration": "3s"},
    {"name": "full", "weight": 100, "duration": "10m"},
]


async def begun(rig: Rig, weight: float) -> tuple[ObjectKey, dict[str, Any]]:
    """A run at the weight, and the status it had there."""
    key = rig.release(stages=STAGES)
    await rig.start()
    await rig.until(lambda: rig.route().weight == weight)
    await rig.seconds(1)
    return key, copy.deepcopy(rig.cluster.releases[key]["status"])


async def put_back(rig: Rig, key: ObjectKey, status: dict[str, Any]) -> list[float]:
    """The old status comes back while no operator runs, and one starts. Weights of the route from then on."""
    await rig.engine.scheduler.stop()
    rig.cluster.releases[key]["status"] = copy.deepcopy(status)
    rig.cluster._changed(key)
    weights: list[float] = []
    rig.cluster.after_write.append(lambda call: weights.append(rig.route().weight) if call.kind == "route" else None)
    await rig.restart()
    return weights


def why(rig: Rig, key: ObjectKey, kind: ConditionType = ConditionType.STALLED) -> tuple[str, str]:
    found = find(rig.status(key).conditions, kind)
    return (found.status, found.reason) if found is not None else ("", "")


def assert_whole(rig: Rig, key: ObjectKey) -> None:
    status = rig.status(key)
    lines = [line for name in status.evidence.config_maps for line in rig.cluster.config_maps[(NAMESPACE, name)]]
    assert verify(lines, head=status.evidence.head, entries=status.evidence.entries) is None
    assert replay([entry for entry in map(parse_entry, lines) if entry is not None]).difference is None


def ask(rig: Rig, key: ObjectKey, verb: Verb) -> None:
    command = Command(user="jane", verb=verb, nonce=f"nonce-{verb.value}", reason="looked at it")
    rig.cluster.annotate(key, command=format_command(command))


async def held(rig: Rig) -> ObjectKey:
    """A run at 50 % whose status came back as it was at 10 %, and that says so."""
    key, old = await begun(rig, 10)
    await rig.until(lambda: rig.route().weight == 50)
    await put_back(rig, key, old)
    await rig.until(lambda: why(rig, key) == ("True", "StateRegressed"))
    return key


async def test_a_status_older_than_its_evidence_holds_at_the_last_safe_weight() -> None:
    rig = Rig()
    key, old = await begun(rig, 10)
    await rig.until(lambda: rig.route().weight == 50)
    weights = await put_back(rig, key, old)
    await rig.seconds(30)
    assert rig.route().weight == 10
    assert max(weights) <= 10, "nothing rose"
    assert why(rig, key) == ("True", "StateRegressed")
    assert_whole(rig, key)


async def test_a_person_who_says_resume_lets_the_run_go_on_from_there() -> None:
    rig = Rig()
    key = await held(rig)
    ask(rig, key, Verb.RESUME)
    await rig.until(lambda: rig.route().weight == 100)
    assert_whole(rig, key)


async def test_it_is_still_held_by_the_next_process() -> None:
    rig = Rig()
    key = await held(rig)
    await rig.restart()
    await rig.seconds(20)
    assert rig.route().weight == 10
    assert why(rig, key) == ("True", "StateRegressed")


async def test_a_bad_canary_is_taken_back_while_the_run_is_held() -> None:
    rig = Rig()
    key = await held(rig)
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.route().weight == 0
    assert rig.status(key).history[0].outcome is Outcome.ROLLED_BACK


async def test_a_run_that_was_rolled_back_after_the_backup_gets_no_weight_again() -> None:
    rig = Rig()
    key, old = await begun(rig, 25)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.seconds(3)
    assert rig.route().mark is None
    del rig.measuring.canary[key]
    weights = await put_back(rig, key, old)
    await rig.seconds(30)
    assert {*weights} <= {0}
    assert rig.route().weight == 0
    status = rig.status(key)
    assert [refused.version for refused in status.refused] == ["v2"]
    assert status.rollback is not None
    assert status.rollback.reason == "StateRegressed"


async def test_a_version_whose_whole_run_the_status_has_forgotten_is_refused_as_it_was() -> None:
    rig = Rig()
    key = rig.release(stages=STAGES)
    rig.cluster.edit(key, paused=True)
    await rig.start()
    await rig.seconds(2)
    old = copy.deepcopy(rig.cluster.releases[key]["status"])
    rig.cluster.edit(key, paused=False)
    await rig.until(lambda: rig.route().weight == 25)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    await rig.seconds(3)
    del rig.measuring.canary[key]
    weights = await put_back(rig, key, old)
    await rig.seconds(20)
    assert {*weights} <= {0}
    assert why(rig, key) == ("True", "VersionRefused")
    ask(rig, key, Verb.RETRY)
    await rig.until(lambda: rig.route().weight == 100)
    assert_whole(rig, key)


async def test_a_forgotten_run_that_was_not_over_begins_anew_under_another_name() -> None:
    rig = Rig()
    key = rig.release(stages=STAGES)
    rig.cluster.edit(key, paused=True)
    await rig.start()
    await rig.seconds(2)
    old = copy.deepcopy(rig.cluster.releases[key]["status"])
    rig.cluster.edit(key, paused=False)
    await rig.until(lambda: rig.route().weight == 50)
    run = rig.status(key).run
    assert run is not None
    rig.cluster.revert(NAMESPACE, "web", 0)
    rig.route().mark = None
    weights = await put_back(rig, key, old)
    await rig.until(lambda: rig.route().weight == 100)
    assert list(dict.fromkeys(weights)) == [10, 25, 50, 100]
    now = rig.status(key).run
    assert now is not None
    assert now.id != run.id
    assert_whole(rig, key)


async def test_a_crash_between_evidence_and_status_is_no_older_state() -> None:
    rig = Rig()
    key, _ = await begun(rig, 10)
    stored = len(rig.cluster.config_maps)
    rig.cluster.fault = lambda call: "crash-before" if call.kind == "status" else None
    await rig.until(lambda: len(rig.cluster.config_maps) > stored)
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: rig.route().weight == 100)
    assert_whole(rig, key)


async def test_a_cluster_that_came_back_older_under_a_running_operator_is_held() -> None:
    rig = Rig()
    key, _ = await begun(rig, 10)
    backup = copy.deepcopy((rig.cluster.releases, rig.cluster.config_maps, rig.cluster.routes, rig.cluster._version))
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.releases, rig.cluster.config_maps, rig.cluster.routes, rig.cluster._version = backup
    await rig.seconds(70)
    assert rig.route().weight <= 10
    assert why(rig, key) == ("True", "StateRegressed")
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.route().weight == 0
