"""The promotion of a managed workload: when stable is written, and what is left to do once it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.command import Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome
from sparkrelease.decide.facts import Counts, Problem, Verification
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment
from unit.decide.managed_world import CANDIDATE, COPY, ManagedWorld, at_rest, good_run, ship

BAD = Counts(500, 1000)


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


def test_the_copy_is_not_written_while_nobody_can_say_how_the_promoted_version_does() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.works = False
    world.tick_by_tick(400)
    world.works, seen = True, world.reading
    before = len(world.steps)
    world.blind()
    world.tick_by_tick(60)
    assert world.status.weight.verified
    assert world.steps[before:] == []
    world.reading = world.stable_reading = seen
    world.tick_by_tick(20)
    assert isinstance(world.steps[before], CopyTemplate)


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


def test_a_settle_command_does_not_bring_traffic_to_a_stable_that_has_the_old_template_yet() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.works = False
    world.tick_by_tick(400)
    assert world.status.run is not None and world.status.run.promoted_at is not None
    world.say(Verb.SETTLE)
    world.tick_by_tick(120)
    assert world.route.canary_weight == 100
    assert world.status.settled is None or world.status.settled.template == "t1"
    world.works = True
    world.tick_by_tick(120)
    assert world.status.settled is not None and world.status.settled.template == "t2"
    assert (world.route.canary_weight, world.workload.stable.template) == (0, "t2")


def test_what_was_copied_is_not_forgotten_while_the_deployments_cannot_be_read() -> None:
    world = copied()
    world.round()
    world.workload = replace(world.workload, problem=Problem(Reason.API_SERVER_UNREACHABLE, "no answer"))
    world.reading = BAD
    world.run_for(30)
    assert world.route.canary_weight == 100
    assert world.status.refused == ()
    assert "another one" in world.why()


def test_a_promotion_that_is_not_copied_yet_goes_back_also_while_the_deployments_cannot_be_read() -> None:
    world = at_rest()
    ship(world, "v2", "t2")
    world.works = False
    world.tick_by_tick(400)
    assert world.status.run is not None and world.status.run.promoted_at is not None
    world.workload = replace(world.workload, problem=Problem(Reason.API_SERVER_UNREACHABLE, "no answer"))
    world.reading = BAD
    world.run_for(10)
    assert world.route.canary_weight == 0
    assert world.status.history[0].outcome is Outcome.ROLLED_BACK


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
