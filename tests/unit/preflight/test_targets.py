"""Every pod behind both Services is a target whose scrapes succeed, before any traffic moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from fakes.metric_source import T0, FakeSource, config, healthy, key, spec
from sparkrelease.api.config import MetricsServer, RoleLabels
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, Row
from sparkrelease.decide.targets import Pods, target_findings
from sparkrelease.engine.measure import Measurements

STABLE, CANARY = ("shop", "shop-stable"), ("shop", "shop-canary")
OLD, YOUNG = T0 - timedelta(hours=1), T0 - timedelta(seconds=20)
BEFORE = T0 - timedelta(minutes=3)
LABELS = RoleLabels()
PODS: Mapping[tuple[str, str], Pods] = {STABLE: {"s-1": OLD, "s-2": OLD}, CANARY: {"c-1": OLD}}


def up(service: str, pod: str = "", value: float = 1, **more: str) -> Row:
    labels = {"__name__": "up", "namespace": "shop", "service": service, **({"pod": pod} if pod else {}), **more}
    return Row(labels, value)


ALL = [up("shop-stable", "s-1"), up("shop-stable", "s-2"), up("shop-canary", "c-1")]


def found(rows: list[Row], pods: Mapping[tuple[str, str], Pods] = PODS) -> list[tuple[str, Reason, str]]:
    told = [*target_findings(rows, LABELS, pods, BEFORE)]
    assert all(one.fatal for one in told)
    return [(one.check, one.problem.reason, one.problem.message) for one in told]


def test_all_targets_there_and_up_is_well() -> None:
    assert found(ALL) == []


def test_a_pod_that_nobody_scrapes_is_named() -> None:
    (told,) = found([ALL[0], ALL[2]])
    assert told[:2] == ("targets/shop-stable", Reason.TARGET_MISSING)
    assert told[2] == "1 of 2 pods behind Service shop-stable are not scraped: s-2"


def test_a_side_nobody_scrapes_is_one_where_the_other_is_scraped() -> None:
    assert found(ALL[:2]) == [
        ("targets/shop-canary", Reason.TARGET_MISSING, "1 of 1 pods behind Service shop-canary are not scraped: c-1")
    ]


def test_a_target_whose_scrapes_fail_is_named() -> None:
    (told,) = found([*ALL[:2], up("shop-canary", "c-1", 0)])
    assert told[:2] == ("targets/shop-canary", Reason.TARGET_DOWN)
    assert told[2].endswith("fail: c-1")


def test_one_of_several_ports_of_a_pod_that_fails_is_a_failure() -> None:
    rows = [*ALL, up("shop-canary", "c-1", 0, instance="10.0.0.1:9999")]
    assert [reason for _, reason, _ in found(rows)] == [Reason.TARGET_DOWN]


def test_a_pod_that_has_just_begun_is_not_expected_yet() -> None:
    pods = {STABLE: PODS[STABLE], CANARY: {"c-1": YOUNG}}
    assert found(ALL[:2], pods) == []
    assert found([*ALL[:2], up("shop-canary", "c-1", 0)], pods) == []
    assert found(ALL[:2], {**pods, CANARY: {"c-1": None}}) != [], "of unknown age is not young"


def test_a_target_of_a_pod_that_is_gone_is_no_fault() -> None:
    assert found([*ALL, up("shop-canary", "c-0", 0)]) == []


def test_targets_that_do_not_name_pods_are_counted_by_their_address() -> None:
    rows = [up("shop-stable", instance=f"10.0.0.{one}:8080") for one in (1, 2)]
    rows += [up("shop-canary", instance="10.0.0.3:8080"), up("shop-canary", instance="10.0.0.3:9090")]
    assert found(rows) == []
    (told,) = found(rows[1:])
    assert told[2] == "1 of 2 pods behind Service shop-stable are not scraped"
    (told,) = found([*rows[:3], up("shop-canary", value=0, instance="10.0.0.3:9090")])
    assert told[1] is Reason.TARGET_DOWN and told[2].endswith("fail: 10.0.0.3")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [up("billing", "b-1", 0)],
        [Row({"__name__": "up", "instance": "10.0.0.1:80"}, 0)],
        [up("shop-stable", "s-1", 0, namespace="other")],
        [Row({"namespace": "shop", "service": "shop-stable"}, 0)],
    ],
)
def test_where_up_names_neither_service_nobody_can_say(rows: list[Row]) -> None:
    assert found(rows) == []


def test_without_knowing_the_pods_only_what_fails_can_be_told() -> None:
    nobody: Mapping[tuple[str, str], Pods] = {STABLE: {}, CANARY: {}}
    assert found(ALL[:1], nobody) == []
    assert [reason for _, reason, _ in found([up("shop-stable", "s-1", 0)], nobody)] == [Reason.TARGET_DOWN]


def test_many_are_counted_and_few_are_named() -> None:
    many = {STABLE: {f"s-{one}": OLD for one in range(9)}, CANARY: {}}
    (told,) = found([up("shop-stable", "s-0")], many)
    assert told[2] == "8 of 9 pods behind Service shop-stable are not scraped: s-1, s-2, s-3 and 5 more"


# ---------------------------------------------------------------- through the engine


class _Pods:
    def pods(self, namespace: str, service: str) -> Mapping[str, datetime | None]:
        return PODS.get((namespace, service), {})


def serving(rows: list[Row] | Answer | Missing) -> FakeSource:
    def answer(_: str, promql: str, at: datetime) -> Answer | Missing:
        if not promql.startswith("up{"):
            return healthy(promql, at, namespace="shop")
        return rows if isinstance(rows, Missing | Answer) else Answer(rows)

    return FakeSource(answer)


async def checks(source: FakeSource, **server: object) -> list[str]:
    declared = config()
    known = declared.servers["default"].model_dump() | server
    declared = declared.model_copy(update={"servers": {"default": MetricsServer.model_validate(known)}})
    told = await Measurements(source, declared, pods=_Pods()).preflight(key(namespace="shop"), spec(), T0)
    return [one.check for one in told]


async def test_preflight_asks_once_for_both_services_and_blocks_on_what_it_finds() -> None:
    source = serving(ALL[:2])
    assert await checks(source) == ["targets/shop-canary"]
    asked = [promql for _, promql, _ in (*source.queries, *source.ups) if promql.startswith("up{")]
    assert len(asked) == 1 and "shop-canary" in asked[0] and "shop-stable" in asked[0]


async def test_an_administrator_can_turn_it_off() -> None:
    source = serving(ALL[:2])
    assert await checks(source, targets=False) == []


async def test_a_query_that_fails_is_no_pass_and_a_blind_server_is_told_of_once() -> None:
    assert await checks(serving(Missing(Reason.PROMETHEUS_ERROR, "422"))) == ["targets"]
    assert await checks(serving(Answer(ALL, left_out="some series"))) == ["targets"]
    assert await checks(serving(Missing(Reason.PROMETHEUS_UNREACHABLE, "gone", server_wide=True))) == []
