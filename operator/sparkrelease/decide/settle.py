"""After the promotion: canary serves until stable runs the promoted version, then traffic walks back in steps."""

from __future__ import annotations

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Next, Outcome, Phase, RuleVerdict, Run, StageStatus
from sparkrelease.decide.draft import Draft, same_weight
from sparkrelease.decide.managed import copied, copy_serves, copy_to_stable, is_managed, known
from sparkrelease.decide.runs import note_settled, one_workload, settle_run
from sparkrelease.decide.stages import run_clock


def promote(d: Draft, message: str) -> None:
    """Marks the run as promoted, at the weight the last stage declares: from here on no control group is kept."""
    run = d.run
    if run is None:
        return
    d.put_run(promoted_at=d.now)
    d.put(stage=None, watch=None, next=Next(what="stable catches up"), gate_text="", glances=(), incident=None)
    weight = d.spec.stages[-1].weight
    d.entry(Reason.PROMOTED, message, {"weight": weight, **_promoted_template(d)})
    d.event(Reason.PROMOTED, message)
    d.condition(ConditionType.PROMOTED, "True", Reason.PROMOTED, message)
    d.aim(weight)


def _promoted_template(d: Draft) -> dict[str, object]:
    """What is brought to stable, for evidence: it is stored before the copy is written."""
    seen, run = known(d), d.run
    if seen is None or run is None:
        return {}
    return {"template": run.template, "deployment": seen.candidate.name, "copy": seen.stable.name}


def stable_caught_up(d: Draft) -> bool:
    """Whether stable serves the promoted fingerprint, rolled out, with at least the canary's ready endpoints."""
    run, seen = d.run, known(d)
    if run is None or (is_managed(d) and (seen is None or not copy_serves(seen, run.template))):
        return False
    stable = d.facts.stable
    return stable.rolled_out and stable.fingerprint == run.canary_fingerprint and stable.ready >= d.facts.canary.ready


def settling(d: Draft) -> bool:
    """Whether traffic is on its way back to stable."""
    run = d.run
    return run is not None and run.promoted_at is not None and d.status.stage is not None


def steps(d: Draft) -> tuple[float, ...]:
    """The canary weights of the way back, below what canary has now after the promotion."""
    last = d.spec.stages[-1].weight
    return tuple(w for w in d.spec.settle.steps if w < last)


def _enter_step(d: Draft, index: int) -> None:
    walk = steps(d)
    weight = walk[index]
    name = f"settle-{weight:g}"
    d.put(
        stage=StageStatus(index=index + 1, count=len(walk), name=name, entered_at=d.now),
        stage_text=f"settle {index + 1}/{len(walk)}",
    )
    text = f"settling: canary weight {weight:g}, the rest on stable"
    d.entry(Reason.SETTLING, text, {"weight": weight})
    if index == 0:
        d.event(Reason.SETTLING, text)
    d.aim(weight, planned=True)


def walk_back(d: Draft, *, observing: bool) -> None:
    """Starts, continues or finishes the walk back. `observing`: weight verified, stable's data fresh, nothing holds.

    Who says settle need not wait for stable; but what the operator itself brings to stable has to be there.
    """
    run = d.run
    if run is None or d.paused:
        return
    if one_workload(run):
        if d.status.weight.verified:
            settle_run(d, f"{run.version} is on for everybody: the pods that serve it are stable's own")
        return
    copy_to_stable(d)
    forced = run.settle_forced and (copied(d) or not is_managed(d))
    if d.status.stage is None:
        ready = forced or (stable_caught_up(d) and not run.settle_held)
        if ready and not d.holds:
            _enter_step(d, 0)
        return
    if not forced and not stable_caught_up(d):
        d.hold(Reason.STABLE_NOT_READY, "stable no longer serves the promoted version with enough ready endpoints")
        observing = False
    length = d.spec.settle.interval
    stage = run_clock(d, d.status.stage, counting=observing, length=length, what=d.status.stage.name)
    last = stage.index >= stage.count
    done = stage.observed >= length or (last and same_weight(d.status.weight.desired, 0) and d.status.weight.verified)
    if not done or not observing:
        return
    if last:
        settle_run(d, f"stable serves {run.version} and all traffic")
    else:
        _enter_step(d, stage.index)


def back_to_canary(d: Draft, fired: RuleVerdict) -> None:
    """Stable breached on the way back: the promoted canary serves again until a person says settle."""
    weight = d.spec.stages[-1].weight
    text = f"stable breached {fired.rule} while traffic walked back: {fired.message}"
    d.put_run(settle_held=True, settle_forced=False)
    d.put(stage=None, next=Next(what="a settle command"))
    d.entry(Reason.SETTLE_BREACHED, text, {"trigger": fired.rule, "weight": weight})
    d.event(Reason.SETTLE_BREACHED, text, warning=True)
    d.aim(weight, reassert=True)


def say_promoted(d: Draft) -> None:
    """Says where a promoted, unsettled release stands."""
    run = d.run
    if run is None:
        return
    weight = f"canary serves {d.status.weight.desired:g} %"
    other = d.facts.wanted_version if d.facts.wanted_version != run.version else ""
    waits = f"{other} waits: {run.version} is promoted but not on stable yet"
    if other:  # who waits for a promotion waits for that of the version the object names
        d.condition(ConditionType.PROMOTED, "False", Reason.NOT_SETTLED, waits)
    else:
        d.condition(ConditionType.PROMOTED, "True", Reason.PROMOTED, f"{run.version} passed every stage")
    d.condition(ConditionType.PROGRESSING, "False", Reason.PROMOTED, "")
    if run.settle_held:
        text = f"{weight}; stable breached a trigger on the way back, settle by command"
        d.condition(ConditionType.SETTLED, "False", Reason.SETTLE_BREACHED, text)
    elif d.status.stage is not None:
        d.condition(ConditionType.SETTLED, "False", Reason.SETTLING, weight)
    elif is_managed(d):
        stands = "stable is being rolled out with it" if copied(d) else "its pod template goes to stable next"
        d.condition(ConditionType.SETTLED, "False", Reason.PROMOTING, f"{weight}; {stands}")
    else:
        wants = "it is settled once every pod shows it" if one_workload(run) else f"roll {run.version} out on stable"
        d.condition(ConditionType.SETTLED, "False", Reason.NOT_SETTLED, f"{weight}; {wants}")
    if other:
        d.stand(Phase.BLOCKED, "False", Reason.NOT_SETTLED, waits, stalled=True)
        return
    stuck = next((hold for hold in d.holds if hold.reason is Reason.NO_WAY_BACK), None)
    if stuck is not None:
        d.stand(Phase.SUCCEEDED, "False", stuck.reason, stuck.message, stalled=True)
        return
    text = f"{run.version} passed every stage"
    if d.holds:
        text += f"; holding: {d.holds[0].message}"
    d.stand(Phase.SUCCEEDED, "True", Reason.PROMOTED, text)


# ---------------------------------------------------------------- ended by other pods behind canary


def left_behind(d: Draft) -> Run | None:
    """The promoted run that other pods behind canary ended before stable ran its version, while that is so.

    A person may say that it is no matter. Of a managed workload, and of one that is both sides, nobody could roll the
    version out on stable any more: there it is none.
    """
    run = d.status.run
    if run is None or run.end is not Outcome.SUPERSEDED or run.promoted_at is None or run.settle_forced:
        return None
    if run.dry or is_managed(d) or one_workload(run) or _runs_on_stable(d, run):
        return None
    return run


def note_caught_up(d: Draft) -> None:
    """Remembers that the version of such a run came to stable after all."""
    run, known = d.status.run, d.status.settled
    if run is None or run.end is not Outcome.SUPERSEDED or run.promoted_at is None or run.dry or is_managed(d):
        return
    if _runs_on_stable(d, run) and (known is None or known.fingerprint != run.canary_fingerprint):
        note_settled(d, run)


def _runs_on_stable(d: Draft, run: Run) -> bool:
    stable = d.facts.stable
    return stable.problem is None and stable.rolled_out and stable.fingerprint == run.canary_fingerprint


def say_left_behind(d: Draft, run: Run) -> None:
    """Says loudly that a version passed every stage, and that the one before it serves again."""
    text = f"{run.version} was promoted and is not on stable: {old_version(d)} serves all requests again"
    d.condition(ConditionType.PROMOTED, "False", Reason.NOT_SETTLED, text)
    d.condition(ConditionType.SETTLED, "False", Reason.NOT_SETTLED, text)
    d.event(Reason.NOT_SETTLED, text, warning=True)


def old_version(d: Draft) -> str:
    """What stable runs, by the name of its version where that is known."""
    stable, known = d.facts.stable, d.status.settled
    runs = " and ".join(sorted(stable.fingerprints)) or "an unknown version"
    named = known is not None and bool(known.version) and known.fingerprint == stable.fingerprint
    return f"{known.version} ({runs})" if named and known is not None else runs
