"""A release over its policy: how the two are merged, what is found missing between them, and what the digest covers."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.metrics import Metric
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec, Settle, SparkReleaseSpec
from sparkrelease.api.triggers import NoData
from sparkrelease.decide.resolve import ResolvedSpec, digest, merge_by_name, per_spec, resolve, with_live_fields
from unit.api.strategies import metrics, modest, names, releases, shared
from unit.api.wrong import ABSENT, GOOD, changed

POLICY = {key: GOOD[key] for key in ("stages", "metrics", "thresholds", "triggers")}
BARE = {key: GOOD[key] for key in ("version", "traffic")} | {"policyRef": {"name": "standard"}}
MIRRORING = [
    {"name": "shadow", "weight": 0, "mirror": 100, "duration": "5m"},
    {"name": "full", "weight": 100, "duration": "5m"},
]


def resolved(body: dict[str, Any], policy: dict[str, Any] | None = None) -> ResolvedSpec:
    """The resolved spec of a body that is known to be good."""
    found = resolve(SparkReleaseSpec.model_validate(body), None if policy is None else read_policy(policy))
    assert isinstance(found, ResolvedSpec), found
    return found


def problem(body: dict[str, Any], policy: dict[str, Any] | None = None) -> Problem:
    """The problem of a body that is known to be wrong."""
    found = resolve(SparkReleaseSpec.model_validate(body), None if policy is None else read_policy(policy))
    assert isinstance(found, Problem)
    return found


def without_origin(spec: ResolvedSpec) -> ResolvedSpec:
    """The spec without the note where its metrics came from."""
    return spec.model_copy(update={"policy_metrics": ()})


def read_policy(body: dict[str, Any]) -> ReleasePolicySpec:
    return ReleasePolicySpec.model_validate(body)


# ---------------------------------------------------------------- merging


def test_a_release_that_says_nothing_itself_is_its_policy() -> None:
    assert without_origin(resolved(BARE, POLICY)) == resolved(GOOD)


def test_an_item_of_the_same_name_replaces_the_whole_item_in_its_place() -> None:
    own = BARE | {"thresholds": [{"name": "errors", "metric": "lag", "min": 5}]}
    merged = resolved(own, POLICY).thresholds
    assert [t.name for t in merged] == ["errors", "p95"]
    assert (merged[0].metric, merged[0].min, merged[0].max) == ("lag", 5, None)


def test_new_items_follow_those_of_the_policy() -> None:
    own = BARE | {"metrics": [{"name": "queue", "value": "queue_length{$sel}"}]}
    assert [m.name for m in resolved(own, POLICY).metrics] == ["http", "latency", "lag", "queue"]


def test_stages_of_a_release_replace_the_whole_list() -> None:
    own = BARE | {"stages": [{"name": "all-at-once", "weight": 100, "duration": "1m"}]}
    assert [s.name for s in resolved(own, POLICY).stages] == ["all-at-once"]


def test_an_empty_list_of_stages_keeps_those_of_the_policy() -> None:
    assert [s.name for s in resolved(BARE | {"stages": []}, POLICY).stages] == ["one", "half", "full"]


def test_limits_come_from_the_release_then_the_policy_then_the_defaults() -> None:
    policy = POLICY | {"noData": {"rollbackAfter": "7m"}, "progressDeadline": "20m"}
    assert resolved(GOOD).no_data == NoData()
    assert resolved(GOOD).settle == Settle()
    assert resolved(BARE, policy).no_data.rollback_after == timedelta(minutes=7)
    assert resolved(BARE, policy).progress_deadline == timedelta(minutes=20)
    assert resolved(BARE | {"noData": {"rollbackAfter": "1m"}}, policy).no_data.rollback_after == timedelta(minutes=1)


def test_metrics_taken_from_the_policy_as_they_are_are_known() -> None:
    own = BARE | {"metrics": [{"name": "http", "value": "up"}, {"name": "queue", "value": "queue_length"}]}
    assert resolved(own, POLICY).policy_metrics == ("latency", "lag")


def test_a_policy_the_release_does_not_name_is_not_looked_at() -> None:
    assert resolved(GOOD, {"noData": {"rollbackAfter": "7m"}}).no_data == NoData()


@modest
@given(metrics, metrics)
def test_merging_keeps_every_name_once_and_the_release_wins(
    base: list[dict[str, Any]], own: list[dict[str, Any]]
) -> None:
    shared_items, own_items = (tuple(Metric.model_validate(m) for m in items) for items in (base, own))
    merged = merge_by_name(shared_items, own_items)
    assert len({m.name for m in merged}) == len(merged)
    assert {m.name for m in merged} == {m.name for m in shared_items} | {m.name for m in own_items}
    assert all(m in merged for m in own_items)
    assert [m.name for m in merged][: len(shared_items)] == [m.name for m in shared_items]


@modest
@given(metrics)
def test_merging_with_nothing_or_with_itself_changes_nothing(items: list[dict[str, Any]]) -> None:
    one = tuple(Metric.model_validate(m) for m in items)
    assert merge_by_name(one, ()) == merge_by_name((), one) == merge_by_name(one, one) == one


@pytest.mark.slow
@modest
@given(shared(least_stages=1))
def test_every_policy_that_fits_together_resolves_under_a_bare_release(policy: dict[str, Any]) -> None:
    own = {key: BARE[key] for key in ("version", "traffic")} | policy
    assert without_origin(resolved(BARE, policy)) == resolved(own)


# ---------------------------------------------------------------- what only the merged spec shows


def test_a_policy_that_does_not_exist_is_named() -> None:
    found = problem(BARE)
    assert found.reason is Reason.POLICY_NOT_FOUND
    assert "spec.policyRef.name" in found.message
    assert "standard" in found.message


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("stages", ABSENT, "spec.stages: there are none"),
        ("metrics", ABSENT, "spec.thresholds[errors].metric: no metric is called http"),
        ("thresholds.1", {"name": "p95", "metric": "latency", "min": 1}, "spec.thresholds[p95].min"),
        ("triggers.0.all.0.metric", "nope", "spec.triggers[burst].all[0].metric: no metric is called nope"),
        ("triggers.0.all.0.metric", "latency", None),
        ("triggers.0.all.0", {"metric": "latency", "op": "<", "value": 1}, "spec.triggers[burst].all[0].op"),
    ],
)
def test_what_the_merged_spec_lacks_is_named_by_field(path: str, value: object, says: str | None) -> None:
    policy = changed(path, value, POLICY)
    if says is None:
        resolved(BARE, policy)
        return
    found = problem(BARE, policy)
    assert found.reason is Reason.INVALID_SPEC
    assert says in found.message
    assert "policy standard" in found.message or "use" in found.message


@pytest.mark.parametrize(
    ("at", "policy", "own", "says"),
    [
        ("watch", {}, {}, "spec.thresholds[errors].at: watch, and there is none in the release or in policy standard"),
        ("watch", {"watch": {"duration": "2h"}}, {}, None),
        ("watch", {}, {"watch": {"duration": "2h"}}, None),
        ("mirror", {}, {}, "spec.thresholds[errors].at: mirror, and no stage mirrors, so it is never judged"),
        ("mirror", {}, {"stages": MIRRORING}, None),
        ("mirror", {"stages": MIRRORING}, {}, None),
        ("mirror", {"stages": MIRRORING}, {"stages": MIRRORING[1:]}, "spec.thresholds[errors].at: mirror"),
        ("mirror", {}, {"thresholds": [{"name": "errors", "metric": "http", "max": 0.01}]}, None),
        ("gates", {}, {}, None),
    ],
)
def test_a_threshold_that_would_never_be_judged_is_named_with_the_remedy(
    at: str, policy: dict[str, Any], own: dict[str, Any], says: str | None
) -> None:
    shared = changed("thresholds.0.at", at, POLICY) | policy
    if says is None:
        resolved(BARE | own, shared)
        return
    found = problem(BARE | own, shared)
    assert found.reason is Reason.INVALID_SPEC
    assert says in found.message
    assert "remove at" in found.message


def test_a_release_may_replace_the_metric_its_policy_judges() -> None:
    own = BARE | {"metrics": [{"name": "http", "value": "my_error_ratio{$sel}"}]}
    assert resolved(own, POLICY).metric("http").value == "my_error_ratio{$sel}"


def test_a_metric_that_becomes_a_quantile_must_fit_the_rules_of_the_policy() -> None:
    own = BARE | {"metrics": [{"name": "lag", "buckets": "lag_bucket", "quantile": 0.5}]}
    policy = POLICY | {"thresholds": [{"name": "lag", "metric": "lag", "min": 0}]}
    assert "spec.thresholds[lag].min" in problem(own, policy).message


def test_a_merged_list_has_the_limit_of_a_single_one() -> None:
    def many(prefix: str) -> dict[str, Any]:
        return {"metrics": [{"name": f"{prefix}-{i}", "value": "up"} for i in range(40)], "stages": POLICY["stages"]}

    assert "spec.metrics: 80 after merging" in problem(BARE | many("own"), many("shared")).message


# ---------------------------------------------------------------- digest


def test_more_tests_than_the_status_has_room_for_are_refused() -> None:
    def told(legs: int) -> ResolvedSpec | Problem:
        http = next(one["name"] for one in GOOD["metrics"] if "bad" in one)
        triggers = [{"name": f"t{place}", "all": [{"metric": http, "kind": "sequential"}]} for place in range(legs)]
        return resolve(SparkReleaseSpec.model_validate(GOOD | {"triggers": triggers, "comparison": None}), None)

    assert isinstance(told(16), ResolvedSpec)
    problem = told(17)
    assert isinstance(problem, Problem)
    assert "17 legs of kind sequential" in problem.message
    assert "at most 16" in problem.message


@pytest.mark.slow
@modest
@given(releases(), st.booleans(), st.integers(1, 100))
def test_the_digest_ignores_what_may_be_edited_during_a_run(body: dict[str, Any], paused: bool, runs: int) -> None:
    live = {"paused": paused, "deletionPolicy": "Orphan", "evidence": {"retainRuns": runs}}
    assert digest(resolved(body | live)) == digest(resolved(body))


@pytest.mark.slow
@modest
@given(releases(), names)
def test_the_digest_tells_everything_else(body: dict[str, Any], other: str) -> None:
    before = digest(resolved(body))
    assert digest(resolved(body | {"version": body["version"] + "x"})) != before
    assert digest(resolved(body | {"dryRun": not body.get("dryRun", False)})) != before
    if other != body.get("prometheus", "default"):
        assert digest(resolved(body | {"prometheus": other})) != before


def test_the_digest_is_the_same_in_every_process() -> None:
    program = (
        "import json, sys; from sparkrelease.api.spec import SparkReleaseSpec;"
        "from sparkrelease.decide.resolve import digest, resolve;"
        "print(digest(resolve(SparkReleaseSpec.model_validate(json.loads(sys.argv[1])), None)))"
    )
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, json.dumps(GOOD)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest(resolved(GOOD))


def test_a_frozen_spec_takes_live_fields_from_the_object_and_nothing_else() -> None:
    frozen = resolved(GOOD)
    edited = GOOD | {"paused": True, "deletionPolicy": "Orphan", "evidence": {"retainRuns": 3}, "version": "v9"}
    now = with_live_fields(frozen, SparkReleaseSpec.model_validate(edited))
    assert (now.paused, now.deletion_policy, now.evidence.retain_runs) == (True, "Orphan", 3)
    assert now.version == frozen.version
    assert digest(now) == digest(frozen)


def test_what_was_worked_out_of_a_spec_is_worked_out_once_and_goes_with_the_spec() -> None:
    asked: list[int] = []

    class Answer:
        """Something whose end can be seen."""

    @per_spec
    def answer(spec: ResolvedSpec) -> Answer:
        asked.append(len(spec.metrics))
        return Answer()

    spec = resolved(BARE, POLICY)
    twin = resolved(BARE, POLICY)
    first = weakref.ref(answer(spec))
    assert answer(spec) is first()
    assert answer(twin) is not first(), "a spec is known by identity"
    assert len(asked) == 2
    del spec
    gc.collect()
    assert first() is None
    assert answer(twin) is answer(twin)
    assert len(asked) == 2
