"""A managed workload: the team changes one Deployment; the rest follows in an order that loses no request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase, RefusedVersion
from sparkrelease.decide.facts import Counts, Problem, Verification
from sparkrelease.decide.managed import findings_of
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment, SelectPods
from unit.decide.managed_world import CANDIDATE, COPY, ManagedWorld, at_rest, good_run, managed, ship

BAD = Counts(500, 1000)


def test_the_first_release_makes_the_copy_from_what_runs_and_starts_no_run() -> None:
    world = at_rest()
    assert world.steps == [CopyTemplate(CANDIDATE, "1", COPY, "", "t1", 2)]
    assert world.status.run is None
    assert world.status.settled is not None
    assert (world.status.settled.template, world.status.settled.observed) == ("t1", True)
    assert world.workload.candidate.replicas == 2, "clients may still come to it by another way than our route"


def test_services_are_pointed_at_their_sides_only_once_the_copy_serves() -> None:
    world = managed()
    world.workload = replace(
        world.workload, services=tuple(replace(one, fits=False) for one in world.workload.services)
    )
    world.tick_by_tick(60)
    assert [type(step) for step in world.steps] == [CopyTemplate, SelectPods, SelectPods]
    assert world.reason() == "NothingToRelease", world.why()


def test_a_selector_that_somebody_else_keeps_is_told_and_left() -> None:
    world = managed()
    one, other = world.workload.services
    refused = replace(one, fits=False, refused='conflict with "argocd-controller": .spec.selector')
    world.workload = replace(world.workload, services=(refused, other))
    world.tick_by_tick(60)
    assert world.reason() == "SelectorMismatch"
    assert "app=shop-stable" in world.why() and "argocd-controller" in world.why()
    assert world.done(SelectPods) == []


def test_a_good_template_is_walked_promoted_copied_and_settles_by_itself() -> None:
    world = good_run()
    assert [entry.outcome for entry in world.status.history] == [Outcome.SETTLED]
    assert world.workload.stable.copied == "t2"
    assert world.route.canary_weight == 0
    assert world.status.settled is not None and world.status.settled.template == "t2"
    assert world.status.phase is Phase.SUCCEEDED, world.why()
    assert world.weights == [1, 25, 100, 50, 0]


def test_the_next_template_finds_the_candidate_scaled_down_and_gets_its_pods_before_any_weight() -> None:
    world = good_run()
    before = len(world.steps)
    world.push("t3")
    world.tick_by_tick(900)
    up, copy, down = world.steps[before:]
    assert up == ScaleDeployment(CANDIDATE, "1", 2)
    assert isinstance(copy, CopyTemplate) and copy.template == "t3"
    assert isinstance(down, ScaleDeployment) and down.replicas == 0
    assert world.status.run is not None and world.status.run.template == "t3", "a template alone starts a run"


def test_a_bad_template_goes_back_and_is_scaled_down_only_after_zero_is_verified() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(25)
    world.reading = BAD
    before = len(world.steps)
    world.route = replace(world.route, verification=Verification.PENDING)
    world.tick_by_tick(60)
    assert world.route.canary_weight == 0
    assert world.steps[before:] == [], "the gateway has not said yet that it gives canary nothing"
    world.route = replace(world.route, verification=Verification.VERIFIED)
    world.tick_by_tick(30)
    (scaled,) = world.steps[before:]
    assert isinstance(scaled, ScaleDeployment) and scaled.replicas == 0
    assert world.workload.stable.copied == "t1"
    assert world.status.phase is Phase.ROLLED_BACK, world.why()


def rolled_back() -> ManagedWorld:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(25)
    world.reading = BAD
    world.tick_by_tick(60)
    world.reading = Counts(0, 1000)
    assert world.status.phase is Phase.ROLLED_BACK, world.why()
    return world


def test_a_refused_template_stays_refused_under_any_version() -> None:
    world = rolled_back()
    world.spec = world.spec.model_copy(update={"version": "v3"})
    world.tick_by_tick(300)
    assert world.route.canary_weight == 0
    assert world.reason() == "VersionRefused" or world.reason() == "RolledBack", world.why()
    assert "pod template" in world.why()


def test_each_refused_template_of_one_version_stays_refused() -> None:
    world = rolled_back()
    (first,) = world.status.refused
    version = world.spec.version
    world.push("t3", replicas=2)
    world.reading = Counts(0, 1000)
    world.run_for(120)
    world.roll()
    world.reach(1)
    world.reading = Counts(500, 1000)
    world.run_for(60)
    assert {(r.version, r.template) for r in world.status.refused} == {(version, first.template), (version, "t3")}
    world.reading = Counts(0, 1000)
    world.push(first.template, replicas=2)
    writes = len(world.weights)
    world.tick_by_tick(300)
    assert len(world.weights) == writes


def test_what_was_refused_before_the_workload_was_managed_does_not_become_stable() -> None:
    world = managed()
    refused = RefusedVersion(version="v1", run="v1-abcdef", fingerprint="fp-t1", at=world.now)
    world.status = world.status.model_copy(update={"refused": (refused,)})
    world.tick_by_tick(60)
    assert world.steps == []
    assert world.reason() == Reason.VERSION_REFUSED
    ship(world, "v0", "t0")
    world.tick_by_tick(60)
    assert [type(step) for step in world.steps] == [CopyTemplate]


def test_a_candidate_that_stables_service_leads_to_is_not_scaled_down() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(1)
    stable, canary = world.workload.services
    world.workload = replace(world.workload, services=(replace(stable, fits=False, refused="helm"), canary))
    world.reading = Counts(500, 1000)
    world.run_for(60)
    assert world.status.phase is Phase.ROLLED_BACK
    assert not [step for step in world.steps if isinstance(step, ScaleDeployment) and step.replicas == 0]
    world.workload = replace(world.workload, services=(stable, canary))
    world.run_for(10)
    assert isinstance(world.steps[-1], ScaleDeployment) and world.steps[-1].replicas == 0


def test_a_retry_brings_the_pods_of_a_refused_template_back_and_parks_it_again_when_it_fails_again() -> None:
    world = rolled_back()
    world.say(Verb.RETRY)
    for _ in range(60):
        if world.route.canary_weight == 25:
            break
        world.tick_by_tick(5)
    assert (world.route.canary_weight, world.workload.candidate.replicas) == (25, 2), world.why()
    world.reading = BAD
    world.tick_by_tick(60)
    assert world.workload.candidate.replicas == 0


def test_replicas_that_an_autoscaler_keeps_are_never_written() -> None:
    world = managed()
    seen = world.workload
    world.workload = replace(
        seen,
        candidate=replace(seen.candidate, autoscaler="HorizontalPodAutoscaler shop"),
        stable=replace(seen.stable, autoscaler="HorizontalPodAutoscaler shop-stable"),
    )
    world.tick_by_tick(60)
    world.scale(COPY, 2)
    world.roll()
    ship(world, "v2", "t2")
    world.tick_by_tick(900)
    assert world.status.settled is not None and world.status.settled.version == "v2", world.why()
    assert world.done(ScaleDeployment) == []
    assert [step.replicas for step in world.steps if isinstance(step, CopyTemplate)] == [None, None]


def test_an_autoscaler_on_stable_is_warned_of_before_a_run() -> None:
    seen = managed().workload
    assert findings_of(seen) == ()
    (finding,) = findings_of(replace(seen, stable=replace(seen.stable, autoscaler="HorizontalPodAutoscaler x")))
    assert finding.problem.reason is Reason.AUTOSCALER_ON_STABLE and not finding.fatal


def test_stable_is_pinned_at_the_size_it_had_when_the_run_began() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(25)
    world.scale(COPY, 1)
    world.roll()
    world.run_for(5)
    assert world.reason(ConditionType.READY) == "StableCapacityLow", world.why()
    assert world.steps[-1] == ScaleDeployment(COPY, "", 2)
    world.tick_by_tick(10)
    assert world.reason() != "StableCapacityLow"


def test_a_stable_that_an_autoscaler_shrinks_holds_and_is_not_scaled() -> None:
    world = at_rest()
    seen = world.workload
    world.workload = replace(seen, stable=replace(seen.stable, autoscaler="HorizontalPodAutoscaler shop"))
    ship(world, "v2", "t2")
    world.roll()
    world.reach(1)
    before = len(world.steps)
    world.workload = replace(world.workload, stable=replace(world.workload.stable, replicas=1))
    world.stable = replace(world.stable, ready=1)
    world.run_for(60)
    assert world.steps[before:] == []
    assert world.route.canary_weight == 1
    assert Reason.STABLE_CAPACITY_LOW in world.kinds()


def test_a_scaled_down_candidate_that_somebody_wants_back_is_left_alone() -> None:
    world = good_run()
    before = len(world.steps)
    world.scale(CANDIDATE, 2)
    world.tick_by_tick(120)
    assert world.steps[before:] == []


def test_a_new_template_in_the_middle_of_a_run_takes_traffic_back_before_its_pods_are_there() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(25)
    world.push("t3")
    world.run_for(5)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.SUPERSEDED
    world.tick_by_tick(900)
    assert world.status.settled is not None and world.status.settled.template == "t3"


def test_the_template_of_stable_again_cancels_the_run() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(25)
    world.push("t1")
    world.run_for(5)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.CANCELLED
    world.tick_by_tick(60)
    assert world.reason() == "NothingToRelease"
    assert world.workload.candidate.replicas == 0, "it is what stable is, and has no traffic"


def test_while_the_deployments_cannot_be_read_nothing_rises_and_a_rollback_still_goes() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    world.reach(1)
    seen = world.workload
    world.workload = replace(seen, problem=Problem(Reason.FORBIDDEN, "403"))
    world.run_for(300)
    assert world.route.canary_weight == 1
    assert world.reason() == "WorkloadUnknown"
    world.reading = BAD
    world.run_for(10)
    assert world.route.canary_weight == 0


def test_a_lost_copy_is_not_made_from_a_candidate_that_was_never_promoted() -> None:
    world = rolled_back()
    seen = world.workload
    world.workload = replace(seen, stable=replace(seen.stable, exists=False, copied="", template=""))
    world.push("t3", replicas=2)
    world.tick_by_tick(60)
    assert world.reason() == "StableLost", world.why()
    world.push("t1", replicas=2)
    world.tick_by_tick(60)
    assert world.workload.stable.copied == "t1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exists": False}, "DeploymentNotFound"),
        ({"problem": Problem(Reason.DEPLOYMENT_OWNED, "kept by Rollout shop")}, "DeploymentOwned"),
        ({"problem": Problem(Reason.WORKLOAD_UNSUPPORTED, "Recreate")}, "WorkloadUnsupported"),
    ],
)
def test_a_deployment_that_cannot_be_kept_is_refused_before_anything_is_written(
    change: dict[str, object], reason: str
) -> None:
    world = managed()
    seen = world.workload
    world.workload = replace(seen, candidate=replace(seen.candidate, **change))  # type: ignore[arg-type]
    world.run_for(60)
    assert world.reason() == reason
    assert world.steps == []


def test_a_foreign_deployment_of_the_copys_name_is_never_written() -> None:
    world = managed()
    seen = world.workload
    foreign = replace(seen.stable, exists=True, problem=Problem(Reason.DEPLOYMENT_OWNED, "not ours"))
    world.workload = replace(seen, stable=foreign)
    world.tick_by_tick(60)
    assert world.reason() == "DeploymentOwned"
    assert world.steps == []


def test_a_dry_run_writes_no_deployment() -> None:
    world = managed(dryRun=True)
    world.tick_by_tick(60)
    assert world.steps == []
    seen = world.workload
    stable = replace(seen.stable, exists=True, template="t1", copied="t1", replicas=2)
    world.workload = replace(seen, stable=stable)
    ship(world, "v2", "t2")
    world.tick_by_tick(900)
    assert world.steps == []
    assert world.reason() == "DryRun", world.why()


def test_a_paused_release_scales_nothing() -> None:
    world = good_run()
    before = len(world.steps)
    world.spec = world.spec.model_copy(update={"paused": True})
    world.push("t3")
    world.tick_by_tick(60)
    assert world.steps[before:] == []
    assert world.reason() == "Paused"
