"""What triggers that are true for their time do: rollback, step back, mitigate, hold, notify. The worst wins."""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict
from sparkrelease.api.triggers import TriggerAction
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.incidents import is_shared, mind_incident, note_stable
from sparkrelease.decide.mitigation import mitigate
from sparkrelease.decide.rollback import roll_back
from sparkrelease.decide.stepback import may_step_back, step_back
from sparkrelease.decide.triggers import Fired
from sparkrelease.decide.verdicts import remember


def act(d: Draft, fired: tuple[Fired, ...]) -> bool:
    """Carries the actions out; True when traffic goes back and the round is over.

    A trigger that rolls back is softened in one case, see `incidents`. A step back happens once per breach: while the
    trigger stays true after it, the lower weight is held.
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
        if stepping.verdict.acted_at is None and may_step_back(d, to):
            _acted(d, stepping.verdict)
            step_back(d, stepping.trigger.name, Reason.STEPPED_BACK, stepping.verdict.message, to)
            return True
        stepped = stepping.verdict.acted_at is not None
        d.hold(Reason.STEPPED_BACK if stepped else Reason.TRIGGER_HOLDS, stepping.verdict.message)
    for holding in _with(fired, TriggerAction.HOLD):
        d.hold(Reason.TRIGGER_HOLDS, holding.verdict.message)
    return False


def _with(fired: tuple[Fired, ...], action: TriggerAction) -> tuple[Fired, ...]:
    return tuple(f for f in fired if f.trigger.action is action)


def _notify(d: Draft, fired: Fired) -> None:
    """Tells of a breach once."""
    if fired.verdict.acted_at is not None:
        return
    _acted(d, fired.verdict)
    d.entry(Reason.NOTIFIED, fired.verdict.message, {"trigger": fired.trigger.name, **basis(d)})
    d.event(Reason.NOTIFIED, fired.verdict.message, warning=True)


def _acted(d: Draft, verdict: RuleVerdict) -> None:
    remember(d, [verdict.model_copy(update={"acted_at": d.now})])
