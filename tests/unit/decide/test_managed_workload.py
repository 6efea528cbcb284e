"""A managed workload: the team changes one Deployment; the rest follows in an order that loses no request."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.command import Verb
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.facts import Counts, Problem, Verification
from sparkrelease.decide.managed import findings_of
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment, SelectPods
from unit.decide.managed_world import CANDIDATE, COPY, ManagedWorld, at_rest, managed, ship

BAD = Counts(500, 1000)


def good_run() -> ManagedWorld:
    world = at_rest()
    ship(world, "v2", "t2")
    world.tick_by_tick(900)
    return world


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


def test_stable_is_written_at_full_canary_weight_and_the_candidate_scaled_down_at_none() -> None:
    world = good_run()
    copy, scaled = world.steps[-2:]
    assert isinstance(copy, CopyTemplate) and world.weight_at[-2] == 100
    assert isinstance(scaled, ScaleDeployment) and scaled.replicas == 0 and world.weight_at[-1] == 0
    assert world.status.workload is not None and world.status.run is not None
    assert world.status.workload.parked == world.status.run.id
    assert Reason.CANDIDATE_PARKED in {event.reason for event in world.events}


def test_evidence_of_the_promotion_names_the_template_and_is_there_before_the_copy_is_written() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.tick_by_tick(900)
    promoted = next(entry for entry in world.entries if entry.kind is Reason.PROMOTED)
    assert promoted.data["template"] == "t2"
    assert (promoted.data["deployment"], promoted.data["copy"]) == (CANDIDATE, COPY)
    started = next(entry for entry in world.entries if entry.kind is Reason.RUN_STARTED)
    assert started.data["template"] == "t2"


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


def test_what_cannot_be_written_is_told_and_waits() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.works = False
    world.tick_by_tick(400)
    assert world.status.run is not None and world.status.run.promoted_at is not None
    world.workload = replace(world.workload, write_problem=Problem(Reason.REFUSED, "quota"))
    world.tick_by_tick(20)
    assert "quota" in world.why()
    assert world.route.canary_weight == 100
    world.works, world.workload = True, replace(world.workload, write_problem=None)
    world.tick_by_tick(120)
    assert world.workload.stable.copied == "t2"
    assert world.route.canary_weight == 0


def test_the_copy_is_not_written_while_something_holds_or_the_weight_is_not_verified() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.works = False
    world.tick_by_tick(400)
    world.works = True
    before = len(world.steps)
    world.route = replace(world.route, verification=Verification.PENDING)
    world.tick_by_tick(60)
    assert world.steps[before:] == []
    world.route = replace(world.route, verification=Verification.VERIFIED)
    world.spec = world.spec.model_copy(update={"paused": True})
    world.tick_by_tick(60)
    assert world.steps[before:] == []


def copied() -> ManagedWorld:
    """Promoted, and the copy has the template, but not its pods yet."""
    world = at_rest()
    ship(world, "v2", "t2")
    world.roll()
    for _ in range(120):
        if world.workload.stable.copied == "t2":
            return world
        world.run_for(5)
    raise AssertionError(world.why())


def test_after_the_copy_is_written_a_breach_holds_because_no_weight_leads_back() -> None:
    world = copied()
    world.reading = BAD
    world.run_for(30)
    assert world.route.canary_weight == 100
    assert "another one" in world.why()
    assert world.status.refused == ()
    assert Reason.NO_WAY_BACK in {event.reason for event in world.events}
    world.say(Verb.ROLLBACK)
    world.run_for(5)
    assert world.status.command is not None and "refused" in world.status.command.result


def test_a_canary_without_pods_after_the_copy_is_written_leaves_traffic_to_stable() -> None:
    world = copied()
    world.canary = replace(world.canary, ready=0, fingerprints=frozenset())
    world.run_for(10)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.SETTLED


def test_a_new_template_after_the_copy_is_written_leaves_the_promoted_one_on_stable() -> None:
    world = copied()
    world.push("t3")
    world.run_for(10)
    assert world.route.canary_weight == 0
    assert world.status.settled is not None and world.status.settled.template == "t2"
    world.tick_by_tick(900)
    assert world.status.settled.template == "t2" or world.workload.stable.copied == "t3"


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


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_whatever_happens_no_side_with_traffic_is_scaled_down_and_stable_gets_no_untried_template(
    data: st.DataObject,
) -> None:
    world = at_rest()
    world.tick = timedelta(seconds=15)
    tried: set[str] = {"t1"}
    for number in range(data.draw(st.integers(3, 8))):
        match data.draw(st.sampled_from(["push", "bad", "good", "wait", "long", "pending", "scale", "lost write"])):
            case "push":
                ship(world, f"v{number + 2}", f"t{number + 2}")
            case "bad":
                world.reading = BAD
            case "good":
                world.reading = Counts(0, 1000)
            case "wait":
                world.tick_by_tick(15)
            case "long":
                world.tick_by_tick(240)
            case "pending":
                pending = world.route.verification is Verification.VERIFIED
                world.route = replace(
                    world.route, verification=Verification.PENDING if pending else Verification.VERIFIED
                )
            case "scale":
                world.scale(CANDIDATE, data.draw(st.integers(0, 3)))
            case "lost write":
                world.works = not world.works
        world.tick_by_tick(15)
        tried |= {str(e.data.get("template")) for e in world.entries if e.kind is Reason.PROMOTED}
        for step, weight in zip(world.steps, world.weight_at, strict=True):
            if isinstance(step, ScaleDeployment) and step.replicas == 0:
                assert step.deployment == CANDIDATE and weight == 0
            if isinstance(step, CopyTemplate):
                assert step.template in tried
