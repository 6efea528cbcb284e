"""A spec that cannot be resolved any more, or not be found again, keeps no traffic on a canary."""

from __future__ import annotations

import pytest

from fakes.cluster import FakeRoute
from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.status import Outcome
from sparkrelease.ports.cluster import ObjectKey

STAGES = [{"name": "ten", "weight": 10, "duration": "3s"}, {"name": "half", "weight": 50, "duration": "1m"}]


def with_policy(rig: Rig) -> ObjectKey:
    """A release whose stages, thresholds and triggers come from a policy."""
    whole = spec("web", stages=STAGES)
    shared = {name: whole.pop(name) for name in ("stages", "thresholds", "triggers", "metrics", "settle")}
    rig.serve("web")
    rig.cluster.policies["shared"] = {
        "metadata": {"name": "shared", "uid": "uid-policy", "resourceVersion": "7"},
        "spec": shared,
    }
    return rig.cluster.create(NAMESPACE, "web", whole | {"policyRef": {"name": "shared"}})


async def half_way(rig: Rig) -> ObjectKey:
    """The release with half of the traffic on its canary, and its policy deleted."""
    key = with_policy(rig)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    policy = rig.cluster.policies.pop("shared")
    rig.engine.intake.see("ReleasePolicy", "DELETED", policy)
    await rig.seconds(1)
    return key


async def test_a_run_whose_policy_was_deleted_is_still_rolled_back() -> None:
    rig = Rig()
    key = await half_way(rig)
    rig.measuring.canary[key] = BAD
    await rig.seconds(2)
    assert rig.route().weight == 0
    assert rig.status(key).history[0].outcome is Outcome.ROLLED_BACK


async def test_other_pods_behind_a_canary_whose_policy_was_deleted_lose_their_traffic() -> None:
    rig = Rig()
    key = await half_way(rig)
    rig.cluster.roll_out(NAMESPACE, "web-canary", "fp3")
    await rig.seconds(2)
    assert rig.status(key).history[0].outcome is Outcome.SUPERSEDED
    assert rig.route().weight == 0


async def test_a_run_that_ended_is_brought_home_by_the_next_process_though_its_spec_is_lost() -> None:
    rig = Rig()
    key = await half_way(rig)
    rig.cluster.fault = lambda call: "fail" if call.kind == "route" else None
    rig.cluster.roll_out(NAMESPACE, "web-canary", "fp3")
    await rig.seconds(2)
    assert rig.route().weight == 50
    rig.cluster.fault = lambda _: None
    await rig.restart()
    await rig.seconds(3)
    assert rig.route().weight == 0
    ready = find(rig.status(key).conditions, ConditionType.READY)
    assert ready is not None
    assert ready.reason == "PolicyNotFound"


async def test_a_release_without_a_spec_is_deleted_and_leaves_its_traffic_on_stable() -> None:
    rig = Rig()
    key = await half_way(rig)
    rig.cluster.delete(key)
    await rig.seconds(3)
    assert rig.route().weight == 0
    assert key not in rig.cluster.releases


async def test_a_release_that_names_another_route_by_now_still_brings_home_the_one_its_run_was_on() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.routes[(NAMESPACE, "other")] = FakeRoute()
    traffic = spec()["traffic"] | {"gatewayAPI": {"route": {"name": "other"}}}
    rig.cluster.edit(key, version="v3", traffic=traffic)
    await rig.seconds(2)
    assert rig.status(key).history[0].outcome is Outcome.SUPERSEDED
    assert (rig.route().weight, rig.route().mark) == (0, None)
    rig.cluster.roll_out(NAMESPACE, "web-canary", "fp3")
    await rig.until(lambda: rig.route("other").weight == 10)
    assert rig.route().weight == 0


# ---------------------------------------------------------------- the spec of a run, and its evidence gone


async def forgotten(*, policy: bool) -> tuple[Rig, ObjectKey]:
    """A run at ten percent whose spec was edited, whose evidence is gone, and whose operator was started anew."""
    rig = Rig()
    key = with_policy(rig)
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    if not policy:
        gone = rig.cluster.policies.pop("shared")
        rig.engine.intake.see("ReleasePolicy", "DELETED", gone)
    rig.cluster.edit(key, stages=[{"name": "all", "weight": 90, "duration": "3s"}])
    if not policy:
        rig.cluster.edit(key, stages=[])
    await rig.settle()
    rig.cluster.config_maps.clear()
    await rig.restart()
    return rig, key


async def test_a_run_whose_own_spec_is_lost_rises_no_further_and_says_why() -> None:
    rig, key = await forgotten(policy=True)
    await rig.seconds(30)
    assert rig.route().weight == 10
    assert rig.status(key).history == ()
    progressing = find(rig.status(key).conditions, ConditionType.PROGRESSING)
    assert progressing is not None
    assert progressing.reason == "EvidenceMissing"


async def test_a_run_whose_own_spec_is_lost_is_promoted_by_no_command() -> None:
    rig, key = await forgotten(policy=True)
    rig.cluster.annotate(key, command=format_command(Command(user="jane", verb=Verb.PROMOTE, nonce="nonce-0001")))
    await rig.seconds(3)
    assert rig.route().weight == 10
    command = rig.status(key).command
    assert command is not None
    assert command.result.startswith("refused")


@pytest.mark.parametrize("policy", [True, False])
async def test_a_run_whose_own_spec_is_lost_still_goes_back(policy: bool) -> None:
    rig, key = await forgotten(policy=policy)
    rig.cluster.annotate(key, command=format_command(Command(user="jane", verb=Verb.ROLLBACK, nonce="nonce-0001")))
    await rig.seconds(3)
    assert rig.route().weight == 0
    assert rig.status(key).history[0].outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize("policy", [True, False])
async def test_a_run_whose_own_spec_is_lost_can_be_deleted(policy: bool) -> None:
    rig, key = await forgotten(policy=policy)
    rig.cluster.delete(key)
    await rig.seconds(3)
    assert rig.route().weight == 0
    assert key not in rig.cluster.releases
