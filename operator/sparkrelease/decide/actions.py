"""What triggers that are true for their time do: rollback, step back, mitigate, hold, notify. The worst wins."""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict
from sparkrelease.api.triggers import TriggerAction
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.incidents import is_shared, mind_incident, note_stable
from sparkrelease.decide.mitigation import mitigate
from sparkrelease.decide.rollback import roll_back
from sparkrelease.decide.stages import current_stage
from sparkrelease.decide.stepback import may_step_back, step_back
from sparkrelease.decide.triggers import Fired
from sparkrelease.decide.verdicts import remember

PAUSE = timedelta(minutes=15)
"""How long after it acted a trigger that notifies tells of no other breach, and the most one that steps back waits."""


def act(d: Draft, fired: tuple[Fired, ...]) -> bool:
    """Carries the actions out; True when traffic goes back and the round is over.

    A trigger that rolls back is softened in one case, see `incidents`. A step back happens once per breach: while the
    trigger stays true after it, the lower weight is held. Neither a step back nor a message follows its last one within
    a pause: a value that comes and goes at its limit would take the release down to nothing, and tell people each time.
    """
    for notifying in _with(fired, TriggerAction.NOTIFY):
        _notify(d, notifying)
    rolling = _with(fired, TriggerAction.ROLLBACK)
    note_stable(d)
    suffering = tuple(f for f in rolling if is_shared(d, f.trigger))
    blamed = next((f for f in rolling if f not in suffering), None)
    if blamed is not None:
        roll_back(d, blamed.trigger.name, Reason.TRIGGER_FIRED, blamed.verdict.message)
        return True
    if mind_incident(d, suffering):
        return True
    mitigate(d, fired)
    for stepping in _with(fired, TriggerAction.STEP_BACK):
        to = stepping.trigger.stage
        if not (stepping.acted or _steps_again_later(d, stepping)) and may_step_back(d, to):
            _acted(d, stepping.verdict)
            step_back(d, stepping.trigger.name, Reason.STEPPED_BACK, stepping.verdict.message, to)
            return True
        stepped = stepping.acted or _steps_again_later(d, stepping)
        d.hold(Reason.STEPPED_BACK if stepped else Reason.TRIGGER_HOLDS, stepping.verdict.message)
    for holding in _with(fired, TriggerAction.HOLD):
        d.hold(Reason.TRIGGER_HOLDS, holding.verdict.message)
    return False


def _with(fired: tuple[Fired, ...], action: TriggerAction) -> tuple[Fired, ...]:
    return tuple(f for f in fired if f.trigger.action is action)


def _steps_again_later(d: Draft, fired: Fired) -> bool:
    """Whether it has stepped back to this stage a short while ago: as long as the stage lasts, at most the pause.

    A higher weight since then is a new trial, and goes back at once.
    """
    status, stage, acted = d.status.stage, current_stage(d), fired.verdict.acted_at
    if status is None or stage is None or acted is None or status.entered_at > acted:
        return False
    return fired.cools_down(d.now, min(stage.duration, PAUSE))


def _notify(d: Draft, fired: Fired) -> None:
    """Tells of a breach once, and of one that begins soon after another when the pause is over."""
    if fired.acted or fired.cools_down(d.now, PAUSE):
        return
    _acted(d, fired.verdict)
    d.entry(Reason.NOTIFIED, fired.verdict.message, {"trigger": fired.trigger.name, **basis(d)})
    d.event(Reason.NOTIFIED, fired.verdict.message, warning=True)


def _acted(d: Draft, verdict: RuleVerdict) -> None:
    remember(d, [verdict.model_copy(update={"acted_at": d.now})])
