"""A flag is followed while its release is measured, and is looked at by its gauge."""

from __future__ import annotations

import pytest

from fakes.flags import FakeFlags
from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Problem, Side
from sparkrelease.decide.flagging import FlagSeen, Shown
from sparkrelease.engine import flags
from sparkrelease.ports.cluster import ObjectKey

FLAG = {"configMap": "flags", "key": "FEATURE", "metric": "flag_value"}
SIDES = {side: {"service": f"web-{side}", "port": 8080} for side in ("stable", "canary")}
PODS = frozenset({"web-1", "web-2"})


def begin(rig: Rig) -> ObjectKey:
    rig.serve("web")
    rig.cluster.routes[(NAMESPACE, "flags")] = rig.cluster.routes.pop((NAMESPACE, "web"))
    for side in ("stable", "canary"):
        rig.cluster.sides[(NAMESPACE, f"web-{side}")] = Side(
            exists=True, ready=2, fingerprints=frozenset({"fp2"}), pods=PODS
        )
    return rig.cluster.create(NAMESPACE, "web", spec("web", traffic={**SIDES, "featureFlag": FLAG}))


def show(rig: Rig, key: ObjectKey, share: float, *pods: str) -> None:
    now = rig.clock.now()
    shown = Shown(share, share, now.timestamp())
    rig.measuring.flags[key] = FlagSeen(now, dict.fromkeys(pods or sorted(PODS), shown))


async def test_a_value_counts_as_in_force_only_when_every_ready_pod_shows_it() -> None:
    rig = Rig()
    key = begin(rig)
    await rig.start()
    await rig.until(lambda: rig.route("flags").weight == 10)
    for _ in range(4):
        show(rig, key, 0.1, "web-1")
        await rig.seconds(1)
    status = rig.status(key)
    assert not status.weight.verified
    assert "1 of 2 ready pods show 0.1: web-2 shows nothing" in status.weight.reason
    assert status.stage is not None
    assert status.stage.observed.total_seconds() == 0

    async def pass_on() -> None:
        show(rig, key, rig.route("flags").weight / 100)
        await rig.seconds(1)

    for _ in range(30):
        await pass_on()
    assert rig.status(key).phase is Phase.SUCCEEDED
    assert rig.status(key).settled is not None


async def test_a_flag_is_followed_while_its_release_is_measured_and_no_longer() -> None:
    rig = Rig()
    key = begin(rig)
    await rig.start()
    await rig.until(lambda: rig.route("flags").weight == 10)
    await rig.seconds(1)
    assert rig.named.followed.keys() == {(NAMESPACE, "flags")}
    rig.cluster.annotate(key)
    for _ in range(40):
        show(rig, key, rig.route("flags").weight / 100)
        await rig.seconds(1)
    assert rig.status(key).phase is Phase.SUCCEEDED
    assert rig.named.followed == {}
    assert rig.named.begun == 1


async def test_a_watch_that_ended_is_begun_again_and_one_that_is_refused_is_read_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    monkeypatch.setattr(flags, "AGAIN", 0.0)
    monkeypatch.setattr(flags, "POLL", 0.0)
    rig.named.problem = Problem(Reason.FORBIDDEN, "no watch")
    begin(rig)
    await rig.start()
    await rig.until(lambda: rig.named.followed)
    rig.named.end.set()
    await rig.until(lambda: rig.named.begun >= 3)
    await rig.engine.flags.stop()


# ---------------------------------------------------------------- a flag that cannot be read


async def half(rig: Rig) -> ObjectKey:
    """A run with half of the users on the feature."""
    key = begin(rig)
    await rig.start()
    for _ in range(12):
        if rig.route("flags").weight == 50:
            return key
        show(rig, key, rig.route("flags").weight / 100)
        await rig.seconds(1)
    raise AssertionError(rig.status(key).phase)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A cluster of which a new process knows no flag before it has read it."""
    monkeypatch.setattr("fakes.rig.FakeTraffic", FakeFlags)
    return Rig()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["breach", "newer version", "deletion", "spec without policy"])
async def test_no_run_is_over_while_nobody_can_read_whether_its_flag_is_off(blind: Rig, how: str) -> None:
    rig = blind
    key = await half(rig)
    rig.cluster.flags_unreadable = True
    match how:
        case "breach":
            rig.measuring.canary[key] = BAD
        case "newer version":
            rig.cluster.edit(key, version="v3")
        case "deletion":
            rig.cluster.delete(key)
        case "spec without policy":
            rig.cluster.edit(key, version="v3", policyRef={"name": "gone"})
    await rig.seconds(2)
    await rig.restart()
    await rig.seconds(5)
    assert rig.route("flags").weight == 50
    assert rig.cluster.releases[key]["metadata"]["finalizers"]
    assert rig.status(key).phase is not Phase.ROLLED_BACK
    rig.cluster.flags_unreadable = False
    await rig.until(lambda: rig.route("flags").weight == 0)
    await rig.until(lambda: not rig.cluster.releases.get(key, {}).get("metadata", {}).get("finalizers"))
    assert rig.route("flags").mark is None


async def test_a_deletion_that_leaves_weights_alone_waits_for_no_flag(blind: Rig) -> None:
    rig = blind
    key = await half(rig)
    rig.cluster.edit(key, deletionPolicy="Orphan")
    rig.cluster.flags_unreadable = True
    await rig.engine.scheduler.stop()
    rig.cluster.delete(key)
    await rig.restart()
    await rig.seconds(2)
    assert key not in rig.cluster.releases
    assert rig.route("flags").weight == 50


async def test_a_rollback_found_by_a_new_process_waits_for_the_flag_to_be_read_and_turns_it_off(blind: Rig) -> None:
    rig = blind
    key = await half(rig)
    rig.cluster.fault = lambda call: "fail" if call.kind == "route" else None
    rig.measuring.canary[key] = BAD
    await rig.seconds(3)
    assert rig.status(key).phase is Phase.ROLLING_BACK
    rig.cluster.flags_unreadable, rig.cluster.fault = True, lambda _: None
    await rig.restart()
    await rig.seconds(5)
    assert rig.status(key).phase is Phase.ROLLING_BACK
    rig.cluster.flags_unreadable = False
    await rig.until(lambda: rig.status(key).phase is Phase.ROLLED_BACK)
    assert rig.route("flags").weight == 0


async def test_an_operator_that_takes_over_goes_on_with_the_flag_as_it_stands() -> None:
    rig = Rig()
    key = begin(rig)
    await rig.start()
    await rig.until(lambda: rig.route("flags").weight == 10)
    show(rig, key, 0.1)
    await rig.seconds(1)
    await rig.restart()
    mark = rig.route("flags").mark
    assert mark is not None
    assert mark.epoch == rig.epoch
    for _ in range(30):
        show(rig, key, rig.route("flags").weight / 100)
        await rig.seconds(1)
    assert rig.status(key).phase is Phase.SUCCEEDED
    assert [call.detail for call in rig.cluster.writes("route")][:2] == [10, 50]
