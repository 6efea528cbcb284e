"""A managed workload through the whole engine: what is stored before a copy is written, whenever the process dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes.deployments import DeploymentStore, FakeDeployment
from fakes.measuring import BAD
from fakes.rig import NAMESPACE, Rig
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment
from unit.engine.test_crashes import assert_whole_evidence

if TYPE_CHECKING:
    from fakes.cluster import Call
    from sparkrelease.ports.cluster import ObjectKey


async def managed(rig: Rig) -> tuple[ObjectKey, DeploymentStore]:
    """A release of v1 whose copy serves."""
    store = DeploymentStore(rig.cluster, NAMESPACE, {"web": "web-canary", "web-stable": "web-stable"})
    rig.cluster.deployments = store
    key = rig.release(version="v1", workload={"deployment": "web"})
    store.write("web", FakeDeployment("t1"))
    store.write("web-stable", FakeDeployment("t1", copied="t1"))
    await rig.start()
    await rig.until(lambda: rig.status(key).phase is Phase.SUCCEEDED)
    return key, store


async def ship(rig: Rig, key: ObjectKey, store: DeploymentStore) -> None:
    store.write("web", FakeDeployment("t2", store.found["web"].replicas))
    rig.cluster.edit(key, version="v2")
    await rig.seconds(1)


async def to_the_end(rig: Rig) -> None:
    key, store = await managed(rig)
    await ship(rig, key, store)
    await rig.until(lambda: (settled := rig.status(key).settled) is not None and settled.template == "t2", within=90)
    await rig.until(lambda: store.found["web"].replicas == 0)
    assert (store.found["web-stable"].template, store.found["web-stable"].replicas) == ("t2", 2)
    assert rig.route().weight == 0
    assert_whole_evidence(rig, key)


def steps(rig: Rig, kind: type[CopyTemplate] | type[ScaleDeployment]) -> list[Call]:
    return [call for call in rig.cluster.calls if call.kind == "workload" and isinstance(call.detail, kind)]


async def test_the_copy_is_written_after_its_evidence_and_status_and_the_candidate_scaled_after_weight_zero() -> None:
    rig = Rig()
    await to_the_end(rig)
    (copy,), (park,) = steps(rig, CopyTemplate), steps(rig, ScaleDeployment)
    before = rig.cluster.calls[: rig.cluster.calls.index(copy)]
    told = [call for call in before if call.kind == "evidence" and Reason.PROMOTED.value in str(call.detail)]
    assert told, "evidence of the promotion comes first"
    assert any(call.kind == "status" for call in before[before.index(told[0]) :])
    zero = next(call for call in rig.cluster.calls[copy.number :] if (call.kind, call.detail) == ("route", 0.0))
    assert zero.number < park.number


async def test_without_evidence_stable_stays_what_it_is() -> None:
    rig = Rig()
    key, store = await managed(rig)
    await ship(rig, key, store)
    await rig.until(lambda: rig.route().weight == 50)
    rig.cluster.fault = lambda call: "fail" if call.kind == "evidence" else None
    await rig.seconds(15)
    assert store.found["web-stable"].template == "t1"
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: store.found["web-stable"].template == "t2")


async def test_a_write_that_is_forbidden_is_told_and_not_tried_at_every_tick() -> None:
    rig = Rig()
    rig.cluster.fault = lambda call: "fail" if call.kind == "workload" else None
    key, store = await managed(rig)
    await ship(rig, key, store)
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.promoted_at is not None)
    await rig.until(lambda: steps(rig, CopyTemplate))
    first = len(steps(rig, CopyTemplate))
    await rig.seconds(4)
    assert len(steps(rig, CopyTemplate)) == first
    assert any("403" in condition.message for condition in rig.status(key).conditions)
    rig.cluster.fault = lambda _: None
    await rig.until(lambda: store.found["web-stable"].template == "t2")


async def test_a_bad_template_goes_back_and_loses_its_pods_afterwards() -> None:
    rig = Rig()
    key, store = await managed(rig)
    await ship(rig, key, store)
    await rig.until(lambda: rig.route().weight == 10)
    rig.measuring.canary[key] = BAD
    await rig.until(lambda: store.found["web"].replicas == 0)
    (park,) = steps(rig, ScaleDeployment)
    zero = next(call for call in rig.cluster.calls if (call.kind, call.detail) == ("route", 0.0))
    assert zero.number < park.number
    assert store.found["web-stable"].template == "t1"
    assert rig.status(key).phase is Phase.ROLLED_BACK
    await rig.seconds(20)
    assert len(steps(rig, ScaleDeployment)) == 1


async def test_a_template_that_changed_while_nobody_watched_is_tried() -> None:
    rig = Rig()
    key, store = await managed(rig)
    store.found["web"].template = "t2"
    await rig.restart()
    await rig.until(lambda: (run := rig.status(key).run) is not None and run.template == "t2")


async def test_at_rest_nothing_is_written() -> None:
    rig = Rig()
    await to_the_end(rig)
    calls = len(rig.cluster.calls)
    await rig.seconds(60)
    assert len(rig.cluster.calls) == calls


@pytest.mark.parametrize("moment", ["crash-before", "crash-after", "fail"])
@pytest.mark.slow
async def test_the_end_is_the_same_whichever_call_the_process_dies_at(moment: str) -> None:
    clean = Rig()
    await to_the_end(clean)
    for number in range(1, len(clean.cluster.calls) + 1):
        rig = Rig()
        rig.cluster.fault = lambda call, number=number: moment if call.number == number else None
        try:
            await to_the_end(rig)
        except AssertionError as problem:
            where = next((call.kind for call in rig.cluster.calls if call.number == number), "never made")
            raise AssertionError(f"{moment} at call {number} ({where}): {problem}") from problem
