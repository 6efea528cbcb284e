"""A run under way: identity, weights, data, triggers, then the stage clock and its gate. First cause wins."""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import OnInconclusive, Stage
from sparkrelease.api.status import Outcome, Phase, Run, StageStatus, Verdict
from sparkrelease.api.triggers import TriggerAction
from sparkrelease.decide.actions import act
from sparkrelease.decide.checkpoints import STUCK, leading_hold, record_checkpoint, record_hold, told_rules
from sparkrelease.decide.comparison import compare
from sparkrelease.decide.datahealth import Health, assess, say_health
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Role
from sparkrelease.decide.gate import GateResult, ask_gate, doubt, due_again, say_gate, thresholds_now
from sparkrelease.decide.glance import glance
from sparkrelease.decide.goahead import mind_go
from sparkrelease.decide.identity import identity_changed, say_winding_down
from sparkrelease.decide.managed import mind_workload
from sparkrelease.decide.regress import mind_lost_evidence, mind_regression
from sparkrelease.decide.rollback import continue_rollback, going_back, roll_back
from sparkrelease.decide.runs import end_run, stable_changed
from sparkrelease.decide.settle import back_to_canary, promote, say_promoted, settling, stable_caught_up, walk_back
from sparkrelease.decide.sharedgate import begin_anew
from sparkrelease.decide.signing import awaits_go, awaits_stage, no_go_rolls_back, signed_or_waits
from sparkrelease.decide.stages import current_stage, enter_stage, mirror_data, past_deadline, run_clock
from sparkrelease.decide.stepback import resting
from sparkrelease.decide.traffic import guard_weights, observe_weight
from sparkrelease.decide.triggers import Fired, hold_unjudged, run_triggers
from sparkrelease.decide.watching import start_watch, watch_on, watching, where


def drive_run(d: Draft) -> None:
    """One round of a run under way."""
    if going_back(d):
        continue_rollback(d)
        return
    if identity_changed(d):
        return
    waits = awaits_go(d)
    if not waits:
        d.finalizer = True if not (d.run and d.run.dry) else None
        d.active = True
    if no_go_rolls_back(d):
        return
    if mind_regression(d):
        if not going_back(d):
            say_winding_down(d, Reason.STATE_REGRESSED)
        return
    if waits:
        mind_go(d)
        return
    mind_lost_evidence(d)
    _mind_route_and_data(d)
    if d.run is None or going_back(d):
        return
    record_hold(d)
    record_checkpoint(d)
    if d.run.promoted_at is not None:
        say_promoted(d)
    else:
        _say_progressing(d)


def _mind_route_and_data(d: Draft) -> None:
    """Route first, then data, then triggers, then the clock: whatever asks for a rollback ends the round."""
    run = d.run
    if run is None:
        return
    if d.facts.frozen_problem is not None:
        d.hold(d.facts.frozen_problem.reason, d.facts.frozen_problem.message)
    mind_workload(d)
    contested = guard_weights(d)
    if contested is not None and (d.on_trial or d.status.weight.desired + d.mirror > 0):
        roll_back(d, "route", contested.reason, contested.message)
        return
    verified = observe_weight(d)
    if d.on_trial and d.facts.canary.exists and d.facts.canary.problem is None and d.facts.canary.ready == 0:
        gets = "it has weight" if d.on_route > 0 else "requests are mirrored to it"
        roll_back(d, "canary", Reason.CANARY_NOT_READY, f"canary has no ready endpoint while {gets}")
        return
    back = settling(d)
    role = Role.STABLE if back else Role.CANARY
    health = _without_traffic(d, assess(d.spec, d.facts, role, d.canary_share, d.now, mirrors=_mirrors(d)))
    too_long = say_health(d, health)
    if too_long is not None and not back:
        roll_back(d, "data", too_long.reason, too_long.message)
        return
    if _rules_act(d, role, back=back):
        return
    if d.facts.stable.ready < run.capacity_floor and run.promoted_at is None:
        text = f"stable has {d.facts.stable.ready} ready endpoints, {run.capacity_floor} at the start of the run"
        d.hold(Reason.STABLE_CAPACITY_LOW, text)
    changed = stable_changed(d)
    if changed is not None:
        d.hold(Reason.STABLE_CHANGED, f"{changed}; put it back, retry by command, or release another version")
    fresh = health.fresh or (run.dry and health.blind is None)
    _move_on(d, observing=verified and fresh and not d.paused and not d.holds)


def _mirrors(d: Draft) -> bool:
    stage = current_stage(d)
    return stage is not None and stage.mirror is not None


def _without_traffic(d: Draft, health: Health) -> Health:
    """After a step back below the first stage canary is silent because it gets nothing; a blind server stays one."""
    own = health.blind is not None and not health.blind.server_wide
    return Health(fresh=True) if resting(d) and (own or health.quiet is not None) else health


def _rules_act(d: Draft, role: Role, *, back: bool) -> bool:
    """Triggers, then the comparison; True when one of them moved traffic and the round is over."""
    run = d.run
    if run is None or not (d.on_trial or back or run.dry or resting(d)):
        return False
    fired = run_triggers(d, role)
    if back:
        return _act_on_stable(d, fired)
    if act(d, fired):
        return True
    worse = compare(d) if run.promoted_at is None and not resting(d) else None
    if worse is not None:
        roll_back(d, worse.rule, Reason.WORSE_THAN_STABLE, worse.message)
        return True
    if d.on_trial and not resting(d):
        hold_unjudged(d)
    return False


def _act_on_stable(d: Draft, fired: tuple[Fired, ...]) -> bool:
    """On the way back stable is the one on trial: what would take traffic from canary gives it back instead."""
    going = {TriggerAction.ROLLBACK, TriggerAction.STEP_BACK}
    breached = next((f for f in fired if f.trigger.action in going), None)
    if breached is not None:
        back_to_canary(d, breached.verdict)
        return True
    act(d, fired)
    return False


def _move_on(d: Draft, *, observing: bool) -> None:
    run = d.run
    if run is None:
        return
    if d.paused:
        d.hold(Reason.PAUSED, "weights are frozen")
    edited = d.facts.spec_problem is None and d.facts.resolved_digest not in {"", run.spec_digest}
    if edited and d.before.observed_generation < d.facts.generation:
        d.event(Reason.SPEC_CHANGED_DURING_RUN, "the edited spec waits for the next run")
    if run.promoted_at is not None:
        walk_back(d, observing=observing)
        if d.run is not None:
            _keep_weight(d)
        return
    _keep_weight(d)
    _run_stage(d, run, observing=observing)


def _run_stage(d: Draft, run: Run, *, observing: bool) -> None:
    """The clock of the stage under way, and what comes at its end: the gate, or traffic again after a rest."""
    if watching(d):
        watch_on(d, observing=observing, may_promote=_raise_allowed)
        return
    stage, status = current_stage(d), d.status.stage
    if stage is None or status is None:
        return
    moved = run_clock(d, status, counting=observing, length=stage.duration, what=f"gate {stage.name}")
    thresholds = () if resting(d) else thresholds_now(d)
    passing = glance(d, thresholds)
    if past_deadline(d, moved, stage.duration):
        return
    if resting(d):
        if observing and moved.observed >= stage.duration and (_raise_allowed(d) or run.dry):
            enter_stage(d, 0)
        return
    say_gate(d, passing, len(thresholds))
    unsigned = awaits_stage(d, moved)
    if observing and moved.observed >= stage.duration and not unsigned:
        why = doubt(d) if d.facts.gate is None and status.passed_at is None else None
        if why is not None and not due_again(status.observed, moved.observed, stage.duration):
            _wait_for_more(d, stage, moved, why)
        else:
            _judge_gate(d, stage, moved)


def _keep_weight(d: Draft) -> None:
    """Writes the wanted weight when the route lacks it (a crash before the write), unless nothing may be raised now.

    An owned route that is gone is made again at any time: it is the front door.
    """
    wanted, mirror, route = d.status.weight.desired, d.mirror, d.facts.route
    contested = d.status.contested is not None and d.status.contested.since is not None
    unwritable = route.problem is not None
    if route.exists and d.raises(wanted, mirror) and (unwritable or d.paused or contested or not _raise_allowed(d)):
        return
    d.aim(wanted, mirror=mirror)


def _raise_allowed(d: Draft) -> bool:
    """The run's own spec is known, stable can take all traffic back, and canary's pods are ready for more."""
    run = d.run
    if run is None or d.facts.frozen_problem is not None:
        return False
    unread = next((side.problem for side in (d.facts.canary, d.facts.stable) if side.problem is not None), None)
    if unread is not None:
        d.hold(unread.reason, unread.message)
        return False
    if d.facts.stable.ready < run.capacity_floor or stable_changed(d) is not None:
        return False
    if not d.facts.canary.rolled_out:
        d.hold(Reason.CANARY_NOT_READY, "canary's pods are not all ready")
        return False
    if d.facts.evidence_problem is not None:
        d.hold(d.facts.evidence_problem.reason, d.facts.evidence_problem.message)
        return False
    return True


def _judge_gate(d: Draft, stage: Stage, status: StageStatus) -> None:
    result = ask_gate(d, status, stage.duration)
    if result is None:
        return
    run = d.run
    # A dry run gives canary no requests, so that there is too little of them, or no series of it, is no surprise.
    dry_pass = run is not None and run.dry and result.verdict in {Verdict.INCONCLUSIVE, Verdict.NO_DATA}
    if result.verdict is Verdict.PASS or dry_pass:
        _pass_gate(d, stage, status, result)
    elif result.verdict is Verdict.FAIL and result.shared:
        begin_anew(d, stage, status, result.message, result.data)
    elif result.verdict is Verdict.FAIL:
        roll_back(d, f"gate {stage.name}", Reason.GATE_FAILED, result.message, result.data)
    elif status.observed >= 2 * stage.duration and stage.on_inconclusive is OnInconclusive.ROLLBACK:
        roll_back(d, f"gate {stage.name}", Reason.GATE_INCONCLUSIVE, result.message, result.data)
    elif _proceeds(stage, status, result):
        _pass_gate(d, stage, status, result)
    else:
        _wait_for_more(d, stage, status, result.message)


def _wait_for_more(d: Draft, stage: Stage, status: StageStatus, why: str) -> None:
    extended = status.observed < 2 * stage.duration
    more = f"; extended for at most {format_duration(stage.duration)}" if extended else ""
    d.hold(Reason.GATE_INCONCLUSIVE, f"gate {stage.name}: {why}{more}")


def _proceeds(stage: Stage, status: StageStatus, result: GateResult) -> bool:
    """Whether the spec says to go on without a verdict; that too little was measured is all it forgives."""
    asked_for = stage.on_inconclusive is OnInconclusive.PROCEED and result.verdict is Verdict.INCONCLUSIVE
    return asked_for and status.observed >= 2 * stage.duration


def _pass_gate(d: Draft, stage: Stage, status: StageStatus, result: GateResult) -> None:
    run = d.run
    if run is None or not (_raise_allowed(d) or run.dry):
        return
    passed = result.verdict is Verdict.PASS or run.dry
    kind = Reason.GATE_PASSED if passed else Reason.GATE_PROCEEDED
    text = f"gate {stage.name}: {result.message}"
    if not passed:
        text += "; proceeding without a verdict, as the stage says"
    d.entry(
        kind,
        text,
        {
            **told_rules(d),
            **result.data,
            "stage": stage.name,
            "observed": status.observed / timedelta(seconds=1),
            **mirror_data(stage.mirror or 0.0),
        },
    )
    d.event(kind, text, warning=not passed)
    d.put_run(gates_passed=run.gates_passed + (1 if passed and status.passed_at is None else 0))
    if status.index < len(d.spec.stages):
        if signed_or_waits(d, status):
            enter_stage(d, status.index)
    elif run.dry:
        end_run(d, Outcome.CANCELLED, Reason.DRY_RUN, f"{run.version} would be promoted")
    elif d.spec.watch is not None:
        start_watch(d)
    else:
        promote(d, f"{run.version} passed {len(d.spec.stages)} of {len(d.spec.stages)} stages")


def _say_progressing(d: Draft) -> None:
    run, stage = d.run, d.status.stage
    if run is None or stage is None:
        return
    d.no_condition(ConditionType.PROMOTED, ConditionType.SETTLED, ConditionType.ROLLED_BACK)
    text = f"{run.version}: stage {stage.name} ({stage.index}/{stage.count}), canary weight {d.status.weight.desired:g}"
    text += f", {d.mirror:g} % mirrored" if d.mirror else ""
    phase, text = (Phase.WATCHING, where(d)) if watching(d) else (Phase.PROGRESSING, text)
    if not d.holds:
        d.condition(ConditionType.PROGRESSING, "True", Reason.PROGRESSING, text)
        d.stand(phase, "False", Reason.PROGRESSING, text, reconciling=True)
        return
    first = leading_hold(d.holds)
    d.condition(ConditionType.PROGRESSING, "False", first.reason, first.message)
    stuck = first.reason in STUCK
    unsigned = any(hold.reason is Reason.AWAITING_APPROVAL for hold in d.holds)
    d.stand(
        Phase.AWAITING_APPROVAL if unsigned else phase,
        "False",
        first.reason,
        f"{text}; holding: {first.message}",
        reconciling=not stuck,
        stalled=stuck,
    )


__all__ = ["drive_run", "stable_caught_up"]
