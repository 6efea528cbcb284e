"""Going back: it waits for nothing but an endpoint of stable, and is finished when the route says 0."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase, Rollback, Run
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import Draft, all_on_stable, told
from sparkrelease.decide.managed import copied
from sparkrelease.decide.runs import end_run, one_workload, refuse_version, settle_run, stable_changed

_LONGEST = 512
"""Characters of a rollback's message that its record holds."""


def going_back(d: Draft) -> bool:
    """Whether this run's rollback was decided: in the status, or in a mark a crashed operator left on the route."""
    run = d.run
    if run is None:
        return False
    if d.status.rollback is not None and d.status.rollback.run == run.id:
        return True
    mark = d.facts.route.mark
    return mark is not None and mark.run == run.id and bool(mark.rollback)


def roll_back(d: Draft, trigger: str, reason: Reason, message: str, data: Mapping[str, object] | None = None) -> None:
    """Decides to roll the run back."""
    run = d.run
    if run is None:
        return
    if copied(d):
        _no_way_back(d, trigger, message)
        return
    stage = d.status.stage
    message = _with_warning(d, message)
    d.put(
        rollback=Rollback(
            run=run.id,
            trigger=trigger,
            reason=reason.value,
            message=message,
            stage=stage.name if stage else "",
            from_weight=d.on_route,
            from_mirror=d.mirrored or None,
            decided_at=d.now,
        )
    )
    d.entry(
        reason,
        f"rolling back from {told(d.on_route, d.mirrored)}: {message}",
        {"trigger": trigger, "fromWeight": d.on_route, **_from_mirror(d), **basis(d), **(data or {})},
    )
    d.event(Reason.ROLLING_BACK, f"{trigger}: {message}", warning=True)
    continue_rollback(d)


def _with_warning(d: Draft, message: str) -> str:
    """The message, cut to what a status holds, with what traffic goes back to where that is not what it was."""
    changed = stable_changed(d)
    warning = f"; traffic goes to another stable: {changed}" if changed is not None else ""
    return message[: _LONGEST - len(warning)] + warning


def _no_way_back(d: Draft, trigger: str, message: str) -> None:
    """Both sides have the promoted template: traffic leaves canary only when canary cannot serve it any more."""
    if d.facts.canary.problem is None and d.facts.canary.ready == 0 and d.facts.stable.ready > 0:
        settle_run(d, f"all traffic is on stable: {message}")
        return
    text = f"{trigger}: stable has the promoted pod template, too; release another one"
    d.hold(Reason.NO_WAY_BACK, f"{text}; {message}")
    d.event(Reason.NO_WAY_BACK, text, warning=True)


def continue_rollback(d: Draft) -> None:
    """Drives the route to 0 and closes the run once it says so. Safe to repeat after any crash."""
    run = d.run
    if run is None:
        return
    _recover_record(d)
    record = d.status.rollback
    if record is None:
        return
    d.finalizer = True if d.on_trial else None
    if _nobody_takes_it_back(d, run):
        text = "stable has no ready endpoint; traffic flips on the first one"
        _say_rolling_back(d, Reason.STABLE_UNAVAILABLE, f"{record.message}; {text}")
        ready = find(d.before.conditions, ConditionType.READY)
        if ready is None or ready.reason != Reason.STABLE_UNAVAILABLE.value:
            d.event(Reason.STABLE_UNAVAILABLE, text, warning=True)
        d.wake_at = d.now + d.facts.tick
        return
    d.aim(0, rollback=record.trigger)
    route = d.facts.route
    weight = d.status.weight
    if weight.observed != route.canary_weight:
        d.put(weight=weight.model_copy(update={"observed": route.canary_weight}))
    if all_on_stable(route) or run.dry or route.gone:
        at = max(route.written_at or d.now, record.decided_at)
        seconds = round((at - record.decided_at).total_seconds(), 3)
        d.put(rollback=record.model_copy(update={"traffic_at": at, "seconds": seconds}))
        _finish(d)
        return
    _say_rolling_back(d, Reason.ROLLING_BACK, record.message)
    d.wake_at = d.now + d.facts.tick


def _nobody_takes_it_back(d: Draft, run: Run) -> bool:
    """Whether stable has no endpoint for the traffic that would come back.

    A feature of one workload is turned off all the same: it may be what its pods cannot get ready with.
    """
    stable = d.facts.stable
    gone = stable.problem is None and stable.ready == 0
    return gone and d.on_route > 0 and not run.dry and not one_workload(run)


def _from_mirror(d: Draft) -> dict[str, object]:
    return {"fromMirror": d.mirrored} if d.mirrored else {}


def _recover_record(d: Draft) -> None:
    """Writes the record anew when only the mark on the route survived a crash."""
    run, mark = d.run, d.facts.route.mark
    if run is None or (d.status.rollback is not None and d.status.rollback.run == run.id):
        return
    trigger = mark.rollback if mark else "unknown"
    message = f"{trigger} (found on the route after a restart)"
    d.put(
        rollback=Rollback(
            run=run.id, trigger=trigger, reason=Reason.TRIGGER_FIRED.value, message=message, decided_at=d.now
        )
    )
    d.entry(Reason.ROLLING_BACK, message, {"trigger": trigger})


def _finish(d: Draft) -> None:
    record = d.status.rollback
    if record is None:
        return
    what = "traffic back on stable" if record.from_mirror is None else "nothing is mirrored to canary any more"
    message = f"{record.message}; {what} after {record.seconds or 0:g} s"
    shortfall = _shortfall(d)
    refuse_version(d)
    end_run(d, Outcome.ROLLED_BACK, Reason.ROLLED_BACK, message + shortfall)
    d.condition(ConditionType.ROLLED_BACK, "True", Reason.named(record.reason), record.message + shortfall)
    d.condition(ConditionType.PROMOTED, "False", Reason.ROLLED_BACK, "")
    d.condition(ConditionType.PROGRESSING, "False", Reason.ROLLED_BACK, "")
    d.stand(Phase.ROLLED_BACK, "False", Reason.ROLLED_BACK, message + shortfall, stalled=True)


def _shortfall(d: Draft) -> str:
    run = d.status.run
    if run is None or d.facts.stable.ready >= run.capacity_floor:
        return ""
    return f"; stable has {d.facts.stable.ready} ready endpoints, {run.capacity_floor} at the start of the run"


def _say_rolling_back(d: Draft, reason: Reason, message: str) -> None:
    d.condition(ConditionType.PROGRESSING, "False", Reason.ROLLING_BACK, message)
    d.stand(Phase.ROLLING_BACK, "False", reason, message, reconciling=True)
