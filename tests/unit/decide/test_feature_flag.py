"""A release by a feature flag: what pods show, and one workload that is stable and canary in one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.flags import LADDER, value_of, weight_of
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Facts, Missing, Route, Share, Verification
from sparkrelease.decide.flagging import FlagSeen, Shown, flag_query, in_force
from sparkrelease.decide.plan import Plan, ReleaseRoute
from sparkrelease.decide.resolve import resolve
from sparkrelease.decide.selectors import Selector
from unit.decide.signatures import sign
from unit.decide.world import FP1, FP2, FP3, START, World, spec

FLAG = {"configMap": "shop-flags", "key": "FEATURE_ML_SCORING", "metric": "feature_flag_value"}
SIDES = {side: {"service": f"shop-{side}", "port": 80} for side in ("stable", "canary")}
STAGES = [{"name": f"s{weight:g}", "weight": weight, "duration": "1m"} for weight in (1, 10, 50, 100)]


def flagged(**changes: object) -> SparkReleaseSpec:
    return spec(**({"traffic": {**SIDES, "featureFlag": FLAG}, "stages": STAGES} | changes))


@dataclass
class FlagWorld(World):
    """Both Services are in front of the same pods, which honour the flag."""

    one: bool = True

    def facts(self, **more: object) -> Facts:
        return World.facts(self, one_workload=self.one, **more)

    def _write(self, plan: Plan) -> None:
        if isinstance(plan.route, ReleaseRoute):
            kept = weight_of(plan.route.original or "0")
            self.route = replace(self.route, canary_weight=kept, mark=None, manager="")
        else:
            World._write(self, plan)


def world(**changes: object) -> FlagWorld:
    made = FlagWorld(spec=flagged(**changes))
    made.route = replace(made.route, original="0")
    made.stable = replace(made.stable, fingerprints=FP2)
    return made


# ---------------------------------------------------------------- one workload


def test_a_feature_climbs_the_ladder_and_is_settled_where_it_serves_everybody() -> None:
    made = world()
    made.run_for(600)
    assert made.weights == [1, 10, 50, 100]
    assert made.status.history[0].outcome is Outcome.SETTLED
    assert made.condition(ConditionType.PROMOTED) == made.condition(ConditionType.SETTLED) == "True"
    assert made.route.canary_weight == 100
    assert made.route.mark is None
    assert not made.finalizer
    before = (made.status, made.route, len(made.entries))
    made.run_for(600)
    assert (made.status, made.route, len(made.entries)) == before


def just_settled(**changes: object) -> FlagWorld:
    """A feature that serves everybody, and whose flag bears the marks of its run yet."""
    made = world(**changes)
    for _ in range(200):
        made.now += made.tick
        made.round()
        if made.status.run is not None and made.status.run.end is Outcome.SETTLED:
            assert made.route.mark is not None
            return made
    raise AssertionError(made.why())


def test_a_feature_that_is_promoted_by_command_is_settled_once_every_pod_shows_it() -> None:
    made = world()
    made.reach(10)
    made.run_for(5)
    made.route = replace(made.route, verification=Verification.PENDING, reason=Reason.FLAG_PENDING)
    made.say(Verb.PROMOTE, full=True)
    made.run_for(120)
    assert made.route.canary_weight == 100
    assert made.status.run is not None and made.status.run.promoted_at is not None
    assert made.status.run.end is None
    assert made.condition(ConditionType.SETTLED) == "False"
    made.route = replace(made.route, verification=Verification.VERIFIED)
    made.run_for(10)
    assert made.status.run.end is Outcome.SETTLED


@pytest.mark.parametrize("policy", ["Restore", "Delete"])
@pytest.mark.parametrize("at_rest", [False, True])
def test_a_settled_feature_stays_on_when_its_release_is_deleted(policy: str, at_rest: bool) -> None:
    made = just_settled(deletionPolicy=policy)
    if at_rest:
        made.run_for(60)
    made.deleting = True
    made.run_for(10)
    assert (made.route.canary_weight, made.route.mark) == (100, None)
    assert not made.finalizer


def test_a_settled_feature_stays_on_when_its_release_resolves_to_nothing_any_more() -> None:
    made = just_settled()
    made.spec_problem = Problem(Reason.POLICY_NOT_FOUND, "no such policy")
    made.run_for(10)
    assert (made.route.canary_weight, made.route.mark) == (100, None)


def test_a_bad_feature_goes_back_to_0_and_its_version_is_refused() -> None:
    made = world()
    made.reach(50)
    made.reading = Counts(300, 1000)
    made.run_for(60)
    assert made.route.canary_weight == 0
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.weights[-1] == 0
    assert made.route.mark is None
    made.reading = Counts(0, 1000)
    made.run_for(600)
    assert made.route.canary_weight == 0


def test_a_feature_that_takes_down_every_pod_is_turned_off_with_nobody_ready_to_take_its_users() -> None:
    made = world()
    made.reach(50)
    made.stable = made.canary = replace(made.stable, ready=0, not_ready=2, fingerprints=frozenset())
    made.run_for(10)
    assert made.route.canary_weight == 0
    assert made.status.phase is Phase.ROLLED_BACK


def test_with_two_workloads_a_rollback_waits_for_the_first_pod_of_stable() -> None:
    made = world()
    made.one, made.stable = False, replace(made.stable, fingerprints=FP1)
    made.reach(50)
    made.reading = Counts(300, 1000)
    made.stable = replace(made.stable, ready=0, not_ready=2, fingerprints=frozenset())
    made.run_for(30)
    assert (made.route.canary_weight, made.reason()) == (50, Reason.STABLE_UNAVAILABLE)
    made.stable = replace(made.stable, ready=1, fingerprints=FP1)
    made.run_for(5)
    assert made.route.canary_weight == 0


def test_a_feature_of_one_workload_begins_once_it_is_signed() -> None:
    made = world(checklist=[{"name": "backups"}])
    made.run_for(30)
    assert made.status.phase is Phase.AWAITING_APPROVAL
    sign(made, "jane", "backups")
    made.run_for(15)
    assert made.weights == [1]


def test_two_workloads_that_are_the_same_are_nothing_to_release_with_a_flag_either() -> None:
    made = world()
    made.one = False
    made.run_for(60)
    assert made.weights == []
    assert made.reason() == Reason.NOTHING_TO_RELEASE


def test_a_rollout_in_the_middle_of_a_run_turns_the_feature_off_and_begins_anew() -> None:
    made = world()
    made.reach(50)
    made.stable = replace(made.stable, fingerprints=FP3)
    made.canary = replace(made.canary, fingerprints=FP3)
    made.run_for(5)
    assert made.status.history[0].reason == Reason.CANARY_CHANGED
    assert 0 in made.weights
    made.reach(100)
    assert made.status.run and made.status.run.canary_fingerprint == "fp3"


def test_with_two_workloads_a_flag_walks_back_to_the_stable_that_caught_up() -> None:
    made = world()
    made.one, made.stable = False, replace(made.stable, fingerprints=FP1)
    made.run_for(600, until=Phase.SUCCEEDED)
    assert made.route.canary_weight == 100
    made.stable = replace(made.stable, fingerprints=FP2)
    made.run_for(120)
    assert made.weights == [1, 10, 50, 100, 50, 0]
    assert made.route.canary_weight == 0


def test_the_next_feature_waits_until_the_flag_is_off_again() -> None:
    made = world()
    made.run_for(600)
    made.spec = flagged(version="v3")
    made.generation += 1
    made.stable = replace(made.stable, fingerprints=FP3)
    made.canary = replace(made.canary, fingerprints=FP3)
    made.run_for(60)
    assert made.reason() == Reason.TRAFFIC_NOT_ON_STABLE
    made.edit_route(0)
    made.reach(10)


def test_a_persons_edit_is_set_again_counted_and_in_the_end_a_rollback() -> None:
    made = world()
    made.reach(10)
    for _ in range(3):
        made.edit_route(50, manager="kubectl-edit")
        made.run_for(15)
    assert made.condition(ConditionType.TRAFFIC_CONTESTED) == "True"
    assert made.route.canary_weight == 10
    assert made.status.contested and made.status.contested.manager == "kubectl-edit"
    for _ in range(60):
        made.edit_route(50, manager="kubectl-edit")
        made.run_for(5)
    assert made.status.phase is Phase.ROLLED_BACK
    assert Reason.ROUTE_CONTESTED in {entry.kind for entry in made.entries}


def test_a_value_that_is_no_share_holds_is_left_as_it_is_and_is_no_way_around_a_rollback() -> None:
    made = world()
    made.reach(10)
    made.run_for(5)
    writes = len(made.weights)
    nonsense = Problem(Reason.ROUTE_INVALID, "the flag holds 'off', which is no share")
    made.route = replace(made.route, canary_weight=None, problem=nonsense)
    made.run_for(120)
    assert (len(made.weights), made.reason()) == (writes, Reason.ROUTE_INVALID)
    made.reading = Counts(300, 1000)
    made.round()
    assert made.weights[writes:] == [0]


def test_a_gateway_does_not_contradict_a_flag() -> None:
    made = world()
    made.reach(50)
    for _ in range(20):
        made.share = Share(1000, 0, timedelta(seconds=5), made.now, judged=True)
        made.run_for(5)
    assert made.status.weight.mismatches == 0


# ---------------------------------------------------------------- what the pods show

ROUTE = Route(
    exists=True,
    canary_weight=10,
    verification=Verification.UNSUPPORTED,
    reason=Reason.FLAG_PENDING,
    message="not asked yet",
)
NOW = START.timestamp()


def shown(value: float, high: float | None = None, age: float = 1.0) -> Shown:
    return Shown(value, value if high is None else high, NOW - age)


def seen(**pods: Shown) -> FlagSeen:
    return FlagSeen(START, pods)


BOTH = frozenset({"a", "b"})


def test_a_value_that_every_ready_pod_shows_is_in_force() -> None:
    answer = in_force(ROUTE, BOTH, seen(a=shown(0.1), b=shown(0.1), old=shown(0)), START - timedelta(seconds=5))
    assert (answer.verification, answer.reason) == (Verification.VERIFIED, Reason.WEIGHT_VERIFIED)


@pytest.mark.parametrize(
    ("ready", "told", "says"),
    [
        (BOTH, seen(a=shown(0.1), b=shown(0)), "1 of 2 ready pods show 0.1: b shows 0"),
        (BOTH, seen(a=shown(0.1), b=shown(0.01)), "b shows preview"),
        (BOTH, seen(a=shown(0.1)), "b shows nothing"),
        (BOTH, seen(a=shown(0.1), b=shown(0.1, age=30)), "b was last scraped before the change"),
        (BOTH, seen(a=shown(0.1), b=shown(0.1, high=0.5)), "b shows 0.5"),
        (BOTH, seen(a=shown(0.1), b=shown(float("nan"))), "b shows no number"),
        (frozenset[str](), seen(a=shown(0.1)), "no ready pod"),
        (BOTH, FlagSeen(START, {}, Missing(Reason.PROMETHEUS_UNREACHABLE, "no route to host")), "no route to host"),
    ],
)
def test_a_value_that_one_ready_pod_does_not_show_is_pending_and_says_which(
    ready: frozenset[str], told: FlagSeen, says: str
) -> None:
    answer = in_force(ROUTE, ready, told, START - timedelta(seconds=5))
    assert (answer.verification, answer.reason) == (Verification.PENDING, Reason.FLAG_PENDING)
    assert says in answer.message


def test_a_value_that_was_set_again_is_shown_anew_before_it_counts() -> None:
    told, since = seen(a=shown(0.1), b=shown(0.1)), START - timedelta(minutes=5)
    assert in_force(ROUTE, BOTH, told, since).verification is Verification.VERIFIED
    again = replace(ROUTE, written_at=START)
    assert in_force(again, BOTH, told, since).verification is Verification.PENDING


def test_what_was_never_asked_is_not_verified() -> None:
    assert in_force(ROUTE, BOTH, None, None) == ROUTE


@given(
    st.sampled_from(sorted(LADDER)),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0, 0.01, 0.1, 0.5, 1.0]), max_size=4),
    st.frozensets(st.sampled_from("abcd"), max_size=4),
)
def test_verified_means_exactly_that_there_are_ready_pods_and_all_of_them_show_it(
    weight: float, values: dict[str, float], ready: frozenset[str]
) -> None:
    told = seen(**{pod: shown(value) for pod, value in values.items()})
    answer = in_force(replace(ROUTE, canary_weight=weight), ready, told, START - timedelta(seconds=5))
    all_show = bool(ready) and all(values.get(pod) == weight / 100 for pod in ready)
    assert (answer.verification is Verification.VERIFIED) == all_show


def test_the_gauge_is_asked_for_in_the_releases_own_namespace_alone() -> None:
    text = flag_query(Selector("feature_flag_value", (("flag", "=", "A"),)), ["shop"])
    assert text.count('feature_flag_value{flag="A",namespace="shop",pod!=""}') == 3
    assert "by (namespace, pod)" in text


# ---------------------------------------------------------------- the ladder, with a policy


@pytest.mark.parametrize("weight", [2, 25, 99.999])
def test_a_policy_with_a_weight_between_the_rungs_is_refused_by_its_stage(weight: float) -> None:
    given_stages = [{"name": "odd", "weight": weight, "duration": "1m"}]
    policy = ReleasePolicySpec.model_validate({"stages": given_stages})
    found = resolve(flagged(stages=[], policyRef={"name": "p"}), policy)
    assert isinstance(found, Problem)
    assert f"spec.stages[odd].weight: {weight:g} is no rung of a feature flag; use one of 0 (0), 1 (preview)" in (
        found.message
    )


def test_steps_of_the_way_back_are_rungs_too() -> None:
    found = resolve(flagged(settle={"steps": [25, 0]}), None)
    assert isinstance(found, Problem)
    assert "spec.settle.steps[0]: 25 is no rung" in found.message


@pytest.mark.parametrize(("name", "key"), [("shop-flags", "OTHER"), ("other", FLAG["key"])])
@pytest.mark.parametrize("own", [True, False])
def test_a_mitigation_may_set_any_key_but_the_flag_itself(name: str, key: str, own: bool) -> None:
    def triggers(config_map: str, changed: str) -> list[dict[str, object]]:
        leg = {"metric": "http", "op": ">", "value": 0.05}
        mitigation = {"configMap": config_map, "set": {changed: "0"}}
        return [{"name": "burst", "all": [leg], "action": "mitigate", "mitigation": mitigation}]

    def resolved(given_triggers: list[dict[str, object]]) -> object:
        if own:
            return resolve(flagged(triggers=given_triggers), None)
        policy = ReleasePolicySpec.model_validate({"triggers": given_triggers})
        return resolve(flagged(triggers=[], policyRef={"name": "p"}), policy)

    assert not isinstance(resolved(triggers(name, key)), Problem)
    found = resolved(triggers(FLAG["configMap"], FLAG["key"]))
    assert isinstance(found, Problem)
    assert f"spec.triggers[burst].mitigation.set.{FLAG['key']}: it is the flag" in found.message


def test_every_weight_of_the_ladder_has_the_share_a_pod_shows() -> None:
    assert [value_of(weight) for weight in (0, 1, 10, 50, 100)] == ["0", "preview", "0.1", "0.5", "1.0"]
