"""What the flag provider makes of a ConfigMap, for what a real API server cannot be made to show on time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import pytest

from fakes.asked import Asked
from sparkrelease.adapters.kubernetes.client import Lane
from sparkrelease.adapters.traffic.feature_flag import FeatureFlagProvider
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import Traffic
from sparkrelease.decide.facts import RouteMark, Verification
from sparkrelease.decide.plan import ReleaseRoute, SetWeight
from sparkrelease.ports.api_server import Reply
from sparkrelease.ports.marks import EPOCH, RELEASE, RUN
from sparkrelease.ports.traffic import ApplyOutcome, Target
from unit.traffic.fakeapi import Body, FakeAPI, FixedClock

KEY = "FEATURE"
SIDES = {side: {"service": f"shop-{side}", "port": 80} for side in ("stable", "canary")}
TARGET = Target(
    "trading",
    "shop",
    "release-uid",
    Traffic.model_validate({**SIDES, "featureFlag": {"configMap": "flags", "key": KEY, "metric": "flag_value"}}),
    "ConfigMap",
    "flags",
    owned=False,
)


def config_map(value: str | None = "0", **more: object) -> Body:
    data = {"OTHER": "1", **({KEY: value} if value is not None else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"}, "data": data, **more}


def set_to(canary: float, rollback: str = "") -> SetWeight:
    return SetWeight(canary, RouteMark(run="v2-abc", weight=canary, rollback=rollback))


def flags(api: FakeAPI) -> Body:
    return api.objects["configmaps/flags"]


class Counted:
    """A lane that counts what goes over it."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.requests = 0

    async def request(self, method: str, path: str, **more: Unpack[Asked]) -> Reply:
        self.requests += 1
        return await self._lane.request(method, path, **more)


@pytest.fixture
def flag_provider(lane: Lane) -> FeatureFlagProvider:
    return FeatureFlagProvider(lane, lane, FixedClock())


@pytest.mark.parametrize(("weight", "value"), [(1, "preview"), (10, "0.1"), (50, "0.5"), (100, "1.0"), (0, "0")])
async def test_a_weight_is_written_as_its_rung_with_the_marks_of_the_run(
    api: FakeAPI, flag_provider: FeatureFlagProvider, weight: float, value: str
) -> None:
    api.put("configmaps", config_map("0.3"))
    answer = await flag_provider.apply(TARGET, set_to(weight), 7)
    assert answer.outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"] == {"OTHER": "1", KEY: value}
    assert answer.route is not None
    assert (answer.route.canary_weight, answer.route.written_at) == (weight, FixedClock().now())
    assert answer.route.mark == RouteMark("v2-abc", 7, weight)
    assert answer.route.verification is Verification.UNSUPPORTED
    assert set(api.managers) == {"sparkrelease"}


async def test_a_weight_that_is_no_rung_is_refused_before_anything_is_sent(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    api.put("configmaps", config_map())
    answer = await flag_provider.apply(TARGET, set_to(25), 7)
    assert answer.outcome is ApplyOutcome.FAILED
    assert answer.problem is not None
    assert "no value for 25 %" in answer.problem.message
    assert api.writes == 0


async def test_an_edit_of_another_key_at_the_moment_of_a_write_does_no_harm_and_stays(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    flag_provider.see("ConfigMap", "MODIFIED", api.put("configmaps", config_map()))
    api.before_write = lambda: api.edit("configmaps", "flags", lambda b: b["data"].update(OTHER="2")) and None
    assert (await flag_provider.apply(TARGET, set_to(10), 7)).outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"] == {"OTHER": "2", KEY: "0.1"}


async def test_a_persons_edit_at_the_moment_of_a_raise_is_a_conflict_and_stands(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    flag_provider.see("ConfigMap", "MODIFIED", api.put("configmaps", config_map("0.1")))
    api.before_write = lambda: api.edit("configmaps", "flags", lambda b: b["data"].update({KEY: "0"})) and None
    assert (await flag_provider.apply(TARGET, set_to(50), 7)).outcome is ApplyOutcome.CONFLICT
    assert flags(api)["data"][KEY] == "0"


@pytest.mark.parametrize(
    "spoil", [lambda b: b["data"].pop(KEY), lambda b: b.pop("data"), lambda b: b["data"].update({KEY: "on"})]
)
async def test_off_is_written_whatever_became_of_the_key_and_a_raise_is_not(
    api: FakeAPI, flag_provider: FeatureFlagProvider, spoil: Callable[[Body], object]
) -> None:
    api.put("configmaps", config_map("0.5"))
    api.edit("configmaps", "flags", lambda body: spoil(body) and None)
    assert flag_provider.observe(TARGET).exists is False
    seen = await flag_provider.refresh(TARGET)
    assert seen.canary_weight is None
    assert seen.problem is not None
    assert seen.problem.reason is Reason.ROUTE_INVALID
    assert (await flag_provider.apply(TARGET, set_to(0, rollback="errors"), 7)).outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"][KEY] == "0"


async def test_a_key_that_is_not_there_is_not_made_by_a_raise(api: FakeAPI, flag_provider: FeatureFlagProvider) -> None:
    api.put("configmaps", config_map(None))
    answer = await flag_provider.apply(TARGET, set_to(10), 7)
    assert answer.problem is not None
    assert f"key {KEY} is not there (keys: OTHER); add it with the value 0" in answer.problem.message
    assert api.writes == 0


async def test_a_value_that_is_no_share_is_not_written_over_by_a_raise(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    api.put("configmaps", config_map("off"))
    answer = await flag_provider.apply(TARGET, set_to(10), 7)
    assert answer.problem is not None
    assert "holds 'off', which is no share" in answer.problem.message
    assert flags(api)["data"][KEY] == "off"


async def test_another_releases_flag_is_never_raised_and_always_lowered(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    body = config_map("0.1")
    body["metadata"]["annotations"] = {RELEASE: "other", RUN: "v9", EPOCH: "3"}
    api.put("configmaps", body)
    api.put("sparkreleases", {"metadata": {"name": "other"}})
    answer = await flag_provider.apply(TARGET, set_to(50), 7)
    assert answer.problem is not None
    assert answer.problem.reason is Reason.ROUTE_CONFLICT
    assert (await flag_provider.apply(TARGET, ReleaseRoute("0"), 7)).outcome is ApplyOutcome.UNCHANGED
    assert flags(api)["data"][KEY] == "0.1"


async def test_marks_of_a_release_that_is_gone_keep_nobody_from_the_flag(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    body = config_map("0")
    body["metadata"]["annotations"] = {RELEASE: "other", RUN: "v9", EPOCH: "3"}
    api.put("configmaps", body)
    assert await flag_provider.preflight(TARGET) == ()
    answer = await flag_provider.apply(TARGET, set_to(50), 7)
    assert answer.outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"][KEY] == "0.5"
    assert flags(api)["metadata"]["annotations"][RELEASE] == "shop"


@pytest.mark.parametrize("action", [set_to(50), set_to(0, rollback="errors"), ReleaseRoute("0")])
async def test_an_older_leader_moves_nothing(
    api: FakeAPI, flag_provider: FeatureFlagProvider, action: SetWeight | ReleaseRoute
) -> None:
    api.put("configmaps", config_map("0.1"))
    await flag_provider.apply(TARGET, set_to(10), 7)
    before = flags(api)
    assert (await flag_provider.apply(TARGET, action, 6)).outcome is ApplyOutcome.FENCED
    assert flags(api) == before


async def test_a_leader_that_sleeps_with_a_write_in_its_hand_moves_nothing(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    api.put("configmaps", config_map("0.1"))
    await flag_provider.apply(TARGET, set_to(10), 7)
    stamped = {EPOCH: "8"}
    api.before_write = lambda: (
        api.edit("configmaps", "flags", lambda b: b["metadata"]["annotations"].update(stamped)) and None
    )
    assert (await flag_provider.apply(TARGET, set_to(0, rollback="errors"), 7)).outcome is ApplyOutcome.FENCED
    assert flags(api)["data"][KEY] == "0.1"


async def test_all_is_so_already_is_said_of_what_the_api_server_answers_and_not_of_what_was_known(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    api.put("configmaps", config_map("0"))
    await flag_provider.apply(TARGET, set_to(0, rollback="errors"), 7)
    api.edit("configmaps", "flags", lambda body: body["data"].update({KEY: "0.5"}) and None)
    assert (await flag_provider.apply(TARGET, set_to(0, rollback="errors"), 7)).outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"][KEY] == "0"


@pytest.mark.parametrize(
    ("action", "lane_used"),
    [
        (set_to(50), "normal"),
        (set_to(1), "urgent"),
        (set_to(0), "urgent"),
        (set_to(0, rollback="errors"), "urgent"),
        (ReleaseRoute("0"), "urgent"),
    ],
)
async def test_what_takes_users_from_the_feature_goes_over_the_lane_that_waits_for_nothing(
    api: FakeAPI, lane: Lane, action: SetWeight | ReleaseRoute, lane_used: str
) -> None:
    lanes = {"normal": Counted(lane), "urgent": Counted(lane)}
    provider = FeatureFlagProvider(lanes["normal"], lanes["urgent"], FixedClock())
    provider.see("ConfigMap", "MODIFIED", api.put("configmaps", config_map("0.1")))
    assert (await provider.apply(TARGET, action, 7)).outcome is ApplyOutcome.CHANGED
    assert {name for name, one in lanes.items() if one.requests} == {lane_used}


async def test_release_puts_the_value_of_before_back_and_takes_the_marks_off(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    api.put("configmaps", config_map("0.0"))
    original = (await flag_provider.refresh(TARGET)).original
    await flag_provider.apply(TARGET, set_to(50), 7)
    assert (await flag_provider.apply(TARGET, ReleaseRoute(original), 7)).outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"][KEY] == "0.0"
    assert flags(api)["metadata"]["annotations"] == {}
    assert (await flag_provider.apply(TARGET, ReleaseRoute(original), 7)).outcome is ApplyOutcome.UNCHANGED


async def test_a_flag_nobody_has_read_is_not_one_that_is_not_there(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    unread = flag_provider.observe(TARGET)
    assert (unread.exists, unread.gone) == (False, False)
    api.refuse_reads = (403, "no")
    assert not (await flag_provider.refresh(TARGET)).gone
    assert not flag_provider.observe(TARGET).gone
    api.refuse_reads = None
    assert (await flag_provider.refresh(TARGET)).gone
    assert flag_provider.observe(TARGET).gone
    flag_provider.see("ConfigMap", "MODIFIED", api.put("configmaps", config_map("0.5")))
    assert flag_provider.observe(TARGET).canary_weight == 50
    flag_provider.see("ConfigMap", "DELETED", flags(api))
    assert flag_provider.observe(TARGET).gone


async def test_who_changed_the_value_is_told_by_the_owner_of_its_key(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    def owned(name: str, key: str, time: str) -> Body:
        return {"manager": name, "time": time, "fieldsV1": {"f:data": {f"f:{key}": {}}}}

    body = config_map("0.5")
    body["metadata"]["managedFields"] = [
        owned("helm", KEY, "2026-01-01T00:00:00Z"),
        owned("kubectl-edit", KEY, "2026-01-02T00:00:00Z"),
        owned("sparkrelease", "OTHER", "2026-01-03T00:00:00Z"),
    ]
    flag_provider.see("ConfigMap", "MODIFIED", api.put("configmaps", body))
    assert flag_provider.observe(TARGET).manager == "kubectl-edit"


async def test_what_a_watch_tells_late_does_not_undo_what_is_known(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    old = api.put("configmaps", config_map("0"))
    await flag_provider.apply(TARGET, set_to(10), 7)
    flag_provider.see("ConfigMap", "MODIFIED", old)
    assert flag_provider.observe(TARGET).canary_weight == 10
    flag_provider.see("ConfigMap", "DELETED", flags(api))
    assert flag_provider.observe(TARGET).exists is False


@pytest.mark.parametrize(
    ("body", "reason", "says"),
    [
        (None, Reason.ROUTE_NOT_FOUND, "does not exist"),
        (config_map(None), Reason.ROUTE_INVALID, "add it with the value 0"),
        (config_map("on"), Reason.ROUTE_INVALID, "set it to one of 0, preview, 0.1, 0.5, 1.0"),
        (config_map(immutable=True), Reason.ROUTE_INVALID, "immutable"),
    ],
)
async def test_preflight_names_what_is_wrong_with_the_flag(
    api: FakeAPI, flag_provider: FeatureFlagProvider, body: Body | None, reason: Reason, says: str
) -> None:
    if body is not None:
        api.put("configmaps", body)
    (finding,) = await flag_provider.preflight(TARGET)
    assert finding.fatal
    assert finding.problem.reason is reason
    assert says in finding.problem.message


async def test_preflight_refuses_a_config_map_that_holds_evidence(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    body = config_map()
    body["metadata"]["labels"] = {"sparkrelease.dev/evidence": "true"}
    api.put("configmaps", body)
    (finding,) = await flag_provider.preflight(TARGET)
    assert "holds evidence" in finding.problem.message


async def test_preflight_names_the_rights_that_are_missing_and_writes_nothing(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    api.put("configmaps", config_map())
    assert await flag_provider.preflight(TARGET) == ()
    api.refuse = (403, "no")
    (finding,) = await flag_provider.preflight(TARGET)
    assert "manifests/namespaced/feature-flag" in finding.problem.message
    assert api.writes == 0


@pytest.mark.parametrize("alive", [True, False])
async def test_preflight_knows_a_flag_in_another_living_releases_hands(
    api: FakeAPI, flag_provider: FeatureFlagProvider, alive: bool
) -> None:
    body = config_map()
    body["metadata"]["annotations"] = {RELEASE: "other", RUN: "v9", EPOCH: "3"}
    api.put("configmaps", body)
    if alive:
        api.put("sparkreleases", {"metadata": {"name": "other"}})
    found = [finding.problem.reason for finding in await flag_provider.preflight(TARGET)]
    assert found == ([Reason.ROUTE_CONFLICT] if alive else [])


async def test_preflight_warns_of_a_gitops_tool_that_would_set_the_flag_back(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    body = config_map()
    body["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:trading/flags"}
    api.put("configmaps", body)
    (finding,) = await flag_provider.preflight(TARGET)
    assert not finding.fatal
    assert finding.problem.reason is Reason.IGNORE_RULE_MISSING
    assert f"jqPathExpressions ['.data[\"{KEY}\"]']" in finding.problem.message


async def test_somebody_elses_first_annotation_is_no_conflict_about_the_flag(
    api: FakeAPI, flag_provider: FeatureFlagProvider
) -> None:
    flag_provider.see("ConfigMap", "MODIFIED", api.put("configmaps", config_map()))
    api.edit("configmaps", "flags", lambda body: body["metadata"].update(annotations={"team": "desk"}))
    assert (await flag_provider.apply(TARGET, set_to(10), 7)).outcome is ApplyOutcome.CHANGED
    assert flags(api)["data"][KEY] == "0.1"
    assert flags(api)["metadata"]["annotations"]["team"] == "desk"


async def test_a_flag_cannot_mirror_and_says_so_before_the_run(flag_provider: FeatureFlagProvider) -> None:
    (finding,) = await flag_provider.preflight(TARGET, (100,))
    assert (finding.fatal, finding.problem.reason) == (True, Reason.MIRROR_UNSUPPORTED)
    assert "remove mirror" in finding.problem.message
