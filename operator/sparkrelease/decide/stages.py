"""The stage clock: it starts when the weight is verified and counts only time that is observation."""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import Stage
from sparkrelease.api.status import Next, StageStatus
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.resolve import ResolvedSpec

_GAP_TICKS = 3
_GAP_GRACE = timedelta(seconds=2)
_LEAST_DEADLINE = timedelta(minutes=10)
_WHOLE = 100.0


def effective_weight(spec: ResolvedSpec, stage: Stage) -> float:
    """The weight a stage really gives canary: as declared, but never more than what leaves the control group."""
    control = spec.comparison.keep_control if spec.comparison is not None else 0.0
    return min(stage.weight, round(_WHOLE - control, 3))


def level(spec: ResolvedSpec, stage: Stage) -> tuple[float, float]:
    """The weight a stage gives canary, and the share of requests mirrored to it."""
    return effective_weight(spec, stage), stage.mirror or 0.0


def place(index: int, count: int, weight: float, mirror: float) -> dict[str, object]:
    """Where a run at stage `index` (from 0) is, for the table, and what comes first there."""
    here = f"{index + 1}/{count}"
    if mirror:
        return {"stage_text": f"mirror {here}", "next": Next(what=f"mirror {mirror:g}")}
    return {"stage_text": here, "next": Next(what=f"weight {weight:g}")}


def enter_stage(d: Draft, index: int) -> None:
    """Makes stage `index` (from 0) the one under way and aims at its weight."""
    stage = d.spec.stages[index]
    count = len(d.spec.stages)
    weight, mirror = level(d.spec, stage)
    d.put(
        stage=StageStatus(index=index + 1, count=count, name=stage.name, entered_at=d.now),
        verdicts=tuple(v for v in d.status.verdicts if v.kind != "threshold"),
        glances=(),
        gate_text="",
        watch=None,
        **place(index, count, weight, mirror),
    )
    text = f"stage {stage.name} ({index + 1}/{count}): canary weight {weight:g}"
    text += f", {mirror:g} % of the requests mirrored to it" if mirror else ""
    d.entry(Reason.STAGE_ENTERED, text, {"stage": stage.name, "weight": weight, **mirror_data(mirror)})
    d.event(Reason.STAGE_ENTERED, text)
    d.aim(weight, mirror=mirror)


def mirrors_of(spec: ResolvedSpec) -> tuple[float, ...]:
    """The shares of requests that stages mirror, in percent, in their order."""
    return tuple(stage.mirror for stage in spec.stages if stage.mirror is not None)


def mirror_data(mirror: float) -> dict[str, object]:
    """What evidence tells of a mirror: nothing where there is none."""
    return {"mirror": mirror} if mirror else {}


def run_under_stages(d: Draft) -> bool:
    """Whether a run is at one of its stages: not promoted, not at rest."""
    run = d.run
    return d.status.stage is not None and run is not None and run.promoted_at is None


def current_stage(d: Draft) -> Stage | None:
    """The declared stage under way; None while traffic walks back to stable, or at rest."""
    status = d.status.stage
    if status is None or not run_under_stages(d) or status.index > len(d.spec.stages):
        return None
    return d.spec.stages[status.index - 1]


def run_clock(d: Draft, stage: StageStatus, *, counting: bool, length: timedelta, what: str) -> StageStatus:
    """Moves the clock by one round and puts it into the status.

    Time counts from the last counted instant, and not at all when the gap is longer than a few ticks: an operator
    that was down, frozen or without data did not observe. `stalled_since` is kept while the clock stands still.
    """
    changes: dict[str, object] = {}
    if counting:
        gap = d.now - stage.counted_until if stage.counted_until else timedelta(0)
        if timedelta(0) < gap <= _GAP_TICKS * d.facts.tick + _GAP_GRACE:
            changes["observed"] = stage.observed + gap
        changes |= {"counted_until": d.now, "stalled_since": None}
        if stage.started_at is None:
            changes["started_at"] = d.now
    else:
        changes["counted_until"] = None
        if stage.stalled_since is None or stage.stalled_since > d.now:
            changes["stalled_since"] = d.now
    moved = stage.model_copy(update=changes)
    d.put(stage=moved)
    _say_next(d, moved, counting=counting, length=length, what=what)
    return moved


def _say_next(d: Draft, stage: StageStatus, *, counting: bool, length: timedelta, what: str) -> None:
    if not counting:
        if d.status.next is None or d.status.next.at is not None:
            d.put(next=Next(what=what))
        return
    at = d.now + max(length - stage.observed, timedelta(0))
    known = d.status.next
    same = known is not None and known.at is not None and known.what == what
    if same and known is not None and known.at is not None and abs(known.at - at) < 2 * d.facts.tick:
        return
    d.put(next=Next(at=at, what=what))


def progress_deadline(d: Draft, length: timedelta) -> timedelta:
    """How long the clock may stand still: as declared, else twice the stage, at least ten minutes."""
    return d.spec.progress_deadline or max(2 * length, _LEAST_DEADLINE)


def past_deadline(d: Draft, stage: StageStatus, length: timedelta) -> bool:
    """Whether the clock has stood still too long; then it is also said as a hold."""
    since = stage.stalled_since
    if since is None or d.now - since < progress_deadline(d, length):
        return False
    why = d.holds[0].message if d.holds else "the weight is not verified"
    stood = timedelta(seconds=round((d.now - since).total_seconds()))
    text = f"stage {stage.name} has not moved for {format_duration(stood)}: {why}"
    d.hold(Reason.PROGRESS_DEADLINE_EXCEEDED, text)
    return True
