"""What the pods show of a flag: one query for all releases of a gauge, each of which sees its own namespace alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest

from fakes.metric_source import T0, UNREACHABLE, FakeSource, after, config, healthy, key, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.flagging import FlagSeen, Shown
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.series import Answer, Row
from sparkrelease.engine.measure import Measurements

GAUGE = 'feature_flag_value{flag="A"}'
STAGES = [{"name": "half", "weight": 50, "duration": "15m"}]


def flagged(name: str = "shop", metric: str = GAUGE) -> ResolvedSpec:
    traffic = {side: {"service": f"{name}-{side}", "port": 8080} for side in ("stable", "canary")}
    flag = {"configMap": "flags", "key": "A", "metric": metric}
    return spec(name, traffic={**traffic, "featureFlag": flag}, stages=STAGES)


def gauges(at: datetime, **pods: float) -> list[Row]:
    """Rows of pods, written `namespace__pod`."""
    found = []
    for name, value in pods.items():
        namespace, _, pod = name.partition("__")
        for part, number in (("low", value), ("high", value), ("newest", at.timestamp())):
            found.append(Row({"namespace": namespace, "pod": pod, "sr_part": part}, number))
    return found


class Pods:
    """Pods behind Services."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def pods(self, namespace: str, service: str) -> Mapping[str, datetime | None]:
        return dict.fromkeys(self.names)


def source_of(**pods: float) -> FakeSource:
    def reply(_: str, promql: str, at: datetime) -> Answer | Missing:
        return Answer(gauges(at, **pods)) if "feature_flag_value" in promql else healthy(promql, at)

    return FakeSource(reply)


async def test_releases_that_share_a_gauge_share_its_query_and_see_their_own_pods() -> None:
    source = source_of(trading__a=0.1, trading__b=0.5, other__c=1.0)
    asked = Measurements(source, config())
    for one in (key(), key("more"), key("shop", "other")):
        asked.follow(one, flagged(one.name))
        assert asked.flag(one) is None, "nothing is known before the first answer"
    await asked.tick(T0)
    about = [promql for _, promql, _ in source.queries if "feature_flag_value" in promql]
    assert len(about) == 1
    assert 'namespace=~"other|trading"' in about[0]
    shown = {"a": Shown(0.1, 0.1, T0.timestamp()), "b": Shown(0.5, 0.5, T0.timestamp())}
    assert asked.flag(key()) == FlagSeen(T0, shown)
    other = asked.flag(key("shop", "other"))
    assert other is not None
    assert other.pods.keys() == {"c"}
    for one in (key(), key("more"), key("shop", "other")):
        asked.drop(one)
    source.queries.clear()
    await asked.tick(after(5))
    assert source.queries == []


async def test_a_server_that_is_away_and_a_gauge_that_is_no_selector_are_told_and_never_a_value() -> None:
    asked = Measurements(FakeSource(lambda *_: UNREACHABLE), config())
    asked.follow(key(), flagged())
    asked.follow(key("odd"), flagged("odd", "rate(x[1m])"))
    await asked.tick(T0)
    away, odd = asked.flag(key()), asked.flag(key("odd"))
    assert away is not None and away.missing == UNREACHABLE
    assert odd is not None and odd.missing is not None
    assert odd.missing.reason is Reason.INVALID_QUERY


@pytest.mark.parametrize(
    ("shown", "pods", "says"),
    [
        ({"trading__a": 0.0, "trading__b": 0.0}, ("a", "b"), ""),
        ({"trading__a": 0.0}, ("a", "b"), "pod b of canary does not show it"),
        ({"other__a": 0.0}, ("a",), "no pod of the namespace shows it"),
        ({}, (), "no pod of the namespace shows it"),
    ],
)
async def test_preflight_asks_whether_every_pod_of_canary_shows_it(
    shown: dict[str, float], pods: tuple[str, ...], says: str
) -> None:
    asked = Measurements(source_of(**shown), config(), pods=Pods(*pods))
    findings = await asked.preflight(key(), flagged(), T0)
    told = [f.problem.message for f in findings if f.check == "spec.traffic.featureFlag.metric" and f.fatal]
    assert len(told) == bool(says)
    assert all(says in message for message in told)


async def test_a_release_by_a_route_asks_for_no_gauge() -> None:
    source = FakeSource()
    asked = Measurements(source, config())
    asked.follow(key(), spec())
    await asked.tick(T0)
    assert asked.flag(key()) is None
    assert not any("feature_flag" in promql for _, promql, _ in source.queries)
