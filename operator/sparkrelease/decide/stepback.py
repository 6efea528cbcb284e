"""Stepping back: the weight of the last stage below this one, its clock anew; below the first one no weight at all."""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import StageStatus
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import WEIGHT_STEP, Draft, same_weight, told
from sparkrelease.decide.stages import level, mirror_data, place, run_under_stages


def resting(d: Draft) -> bool:
    """Whether a step back below the first stage left canary without weight until things are quiet."""
    status = d.status.stage
    if not same_weight(d.status.weight.desired, 0) or d.mirror:
        return False
    if status is None or status.index != 1 or not run_under_stages(d):
        return False
    weight, mirror = level(d.spec, d.spec.stages[0])
    return weight >= WEIGHT_STEP or mirror > 0


def may_step_back(d: Draft, to: str | None = None) -> bool:
    """Whether there is a lower weight to go to, and nobody froze the weights; a named stage must lie behind."""
    may = run_under_stages(d) and not d.paused and (d.status.weight.desired > 0 or d.mirror > 0)
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
    index, (weight, mirror) = named or _below(d, status)
    stage = d.spec.stages[index]
    before, copied = d.on_route, d.mirrored
    d.put(
        stage=StageStatus(index=index + 1, count=status.count, name=stage.name, entered_at=d.now),
        verdicts=tuple(v for v in d.status.verdicts if v.kind != "threshold"),
        glances=(),
        gate_text="",
        watch=None,
        **place(index, status.count, weight, mirror),
    )
    if d.run is not None:
        d.put_run(gates_passed=min(d.run.gates_passed, index))
    text = f"stepping back from {told(before, copied)} to {told(weight, mirror)}: {message}"
    data = {"trigger": trigger, "stage": stage.name, "weight": weight, "fromStage": status.name, "fromWeight": before}
    d.entry(reason, text, {**basis(d), **data, **mirror_data(mirror)})
    d.event(reason, text, warning=True)
    d.hold(reason, message)
    d.aim(weight, mirror=mirror)


_Place = tuple[int, tuple[float, float]]
"""Place of a stage (from 0), and what it gives canary: weight and mirror."""


def _named(d: Draft, to: str) -> _Place | None:
    """The stage of that name, if it lies behind and gives canary no more than it has."""
    status = d.status.stage
    for index, stage in enumerate(d.spec.stages):
        gives = level(d.spec, stage)
        behind = status is not None and (index < status.index - 1 or d.status.watch is not None)
        if stage.name == to and behind and not _is_more(gives, _now(d)):
            return index, gives
    return None


def _below(d: Draft, status: StageStatus) -> _Place:
    """The last stage that gives canary less than now; where there is none, the place of the first and nothing."""
    for index in range(status.index - 2, -1, -1):
        gives = level(d.spec, d.spec.stages[index])
        if _is_more(_now(d), gives):
            return index, gives
    return 0, (0.0, 0.0)


def _now(d: Draft) -> tuple[float, float]:
    return d.status.weight.desired, d.mirror


def _is_more(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one gives canary more than the other: more weight, or with the same weight more copies."""
    weight, mirror = one[0] - other[0], one[1] - other[1]
    return weight >= WEIGHT_STEP or (abs(weight) < WEIGHT_STEP and mirror >= WEIGHT_STEP)
