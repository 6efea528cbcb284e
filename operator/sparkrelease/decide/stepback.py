"""Stepping back: the weight of the last stage below this one, its clock anew; below the first one no weight at all."""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Next, StageStatus
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import WEIGHT_STEP, Draft, same_weight
from sparkrelease.decide.stages import effective_weight, run_under_stages


def resting(d: Draft) -> bool:
    """Whether a step back below the first stage left canary without weight until things are quiet."""
    status = d.status.stage
    if status is None or status.index != 1 or not run_under_stages(d):
        return False
    first = effective_weight(d.spec, d.spec.stages[0])
    return same_weight(d.status.weight.desired, 0) and not same_weight(first, 0)


def may_step_back(d: Draft, to: str | None = None) -> bool:
    """Whether there is a lower weight to go to, and nobody froze the weights; a named stage must lie behind."""
    may = run_under_stages(d) and not d.paused and d.status.weight.desired > 0 and not resting(d)
    return may and (to is None or _named(d, to) is not None)


def step_back(d: Draft, trigger: str, reason: Reason, message: str, to: str | None = None) -> None:
    """Lowers the weight at once and starts the clock of the stage it belongs to anew: the one named, or the one below.

    Below the first stage the weight is 0 and that stage's clock runs without traffic: when it has run its time in
    quiet, the stage is entered again.
    """
    status = d.status.stage
    if status is None:
        return
    named = _named(d, to) if to is not None else None
    index, weight = named or _below(d, status)
    stage = d.spec.stages[index]
    before = d.on_route
    d.put(
        stage=StageStatus(index=index + 1, count=status.count, name=stage.name, entered_at=d.now),
        stage_text=f"{index + 1}/{status.count}",
        next=Next(what=f"weight {weight:g}"),
        verdicts=tuple(v for v in d.status.verdicts if v.kind != "threshold"),
        gate_text="",
        watch=None,
    )
    if d.run is not None:
        d.put_run(gates_passed=min(d.run.gates_passed, index))
    text = f"stepping back from {before:g} % to {weight:g} %: {message}"
    data = {"trigger": trigger, "stage": stage.name, "weight": weight, "fromStage": status.name, "fromWeight": before}
    d.entry(reason, text, {**basis(d), **data})
    d.event(reason, text, warning=True)
    d.hold(reason, message)
    d.aim(weight)


def _named(d: Draft, to: str) -> tuple[int, float] | None:
    """Place and weight of the stage of that name, if it lies behind and gives canary no more than it has."""
    status = d.status.stage
    for index, stage in enumerate(d.spec.stages):
        weight = effective_weight(d.spec, stage)
        behind = status is not None and (index < status.index - 1 or d.status.watch is not None)
        if stage.name == to and behind and weight < d.status.weight.desired + WEIGHT_STEP:
            return index, weight
    return None


def _below(d: Draft, status: StageStatus) -> tuple[int, float]:
    """Place (from 0) and weight of the last stage with less weight than now."""
    for index in range(status.index - 2, -1, -1):
        weight = effective_weight(d.spec, d.spec.stages[index])
        if weight < d.status.weight.desired and not same_weight(weight, d.status.weight.desired):
            return index, weight
    return 0, 0.0
