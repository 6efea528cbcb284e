"""A release's own expression stays in its namespace; a policy's is asked once for all."""

from __future__ import annotations

from fakes.metric_source import LAG, T0, FakeSource, config, key, spec
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.cluster import ObjectKey


def measuring(source: FakeSource) -> Measurements:
    return Measurements(source, config())


def resolved(own: list[dict[str, object]], policy: list[dict[str, object]]) -> ResolvedSpec:
    declared = spec().model_dump(mode="json", by_alias=True, exclude={"policy_metrics", "no_data", "settle"})
    kept = {name: declared[name] for name in ("version", "traffic", "stages")}
    triggers = [
        {"name": str(m["name"]), "all": [{"metric": m["name"], "op": ">", "value": 1}]} for m in (*policy, *own)
    ]
    found = resolve(
        SparkReleaseSpec.model_validate(kept | {"metrics": own, "triggers": triggers, "policyRef": {"name": "p"}}),
        ReleasePolicySpec.model_validate({"metrics": policy}),
    )
    assert isinstance(found, ResolvedSpec), found
    return found


async def test_a_release_s_own_expression_is_asked_for_its_namespace_alone() -> None:
    source = FakeSource()
    asked = measuring(source)
    for namespace in ("one", "two"):
        asked.follow(ObjectKey(namespace, "shop"), resolved([LAG], []))
    await asked.tick(T0)
    assert sorted(promql.count('namespace="one"') > 0 for _, promql, _ in source.queries) == [False, True]
    assert not any("one|two" in promql for _, promql, _ in source.queries)


async def test_a_policy_s_expression_is_asked_once_for_all_namespaces() -> None:
    source = FakeSource()
    asked = measuring(source)
    for namespace in ("one", "two"):
        asked.follow(ObjectKey(namespace, "shop"), resolved([], [LAG]))
    await asked.tick(T0)
    assert len(source.queries) == 1
    assert 'namespace=~"one|two"' in source.queries[0][1]


async def test_a_release_cannot_read_other_namespaces_by_naming_them() -> None:
    source = FakeSource()
    asked = measuring(source)
    spying = {"name": "lag", "value": 'sum by ($by) (x{$sel}) * on () group_left () sum(pay{namespace="hr"})'}
    asked.follow(key(), resolved([spying], []))
    await asked.tick(T0)
    assert isinstance(asked.readings(key())["lag"].canary, Missing)
    assert source.queries == []
