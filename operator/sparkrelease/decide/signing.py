"""Where a run waits for people: before its first weight, and before a stage that asks for signatures."""

from __future__ import annotations

from sparkrelease.api.conditions import ConditionType, is_true
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Next, Phase, StageStatus
from sparkrelease.decide.approvals import Ballot, Item, Scope, Tally, count, wanted_before
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Approval, Problem
from sparkrelease.decide.rollback import roll_back


def awaits_go(d: Draft) -> bool:
    """Whether a run is under way that has not been given its first weight yet."""
    run = d.run
    return run is not None and run.promoted_at is None and d.status.stage is None


def ballot(d: Draft) -> Ballot:
    """What was signed for the run under way."""
    run = d.status.run
    scope = Scope(d.facts.uid, run.id if run is not None else "", d.now, d.spec.approval_expires)
    return count(d.spec, d.facts.approvals, scope)


# ---------------------------------------------------------------- before the first weight


def wait_for_go(d: Draft, tally: Tally, problem: Problem | None = None) -> None:
    """Says that the run waits, for whom, and when the next signature runs out. Nothing is measured meanwhile."""
    d.finalizer = False
    d.put(next=Next(what="go/no-go"))
    d.wake_at = tally.expires_at
    run = d.status.run
    _say_waiting(d, f"{run.version if run else ''}: go/no-go", tally, problem)
    said = problem or Problem(Reason.AWAITING_APPROVAL, f"{d.spec.version}: go/no-go: {tally.standing}")
    d.condition(ConditionType.PROGRESSING, "False", said.reason, said.message)
    d.stand(Phase.AWAITING_APPROVAL, "False", said.reason, said.message, reconciling=True)


# ---------------------------------------------------------------- before a stage


def awaits_stage(d: Draft, status: StageStatus) -> bool:
    """Whether the gate has passed and the next stage is not signed yet. The weight stays, and people are told."""
    if status.passed_at is None or status.index >= len(d.spec.stages):
        return False
    wanted = wanted_before(d.spec, status.index)
    tally = ballot(d).of(wanted)
    if not wanted or (tally.complete and d.facts.approvals_problem is None):
        return False
    _hold_for(d, status.index, tally)
    return True


def signed_or_waits(d: Draft, status: StageStatus) -> bool:
    """After a gate has passed: True when the next stage may begin, with its signatures in evidence; else it waits."""
    wanted = wanted_before(d.spec, status.index)
    if not wanted:
        return True
    tally = ballot(d).of(wanted)
    if tally.complete and d.facts.approvals_problem is None:
        record_signatures(d, status.index, tally)
        return True
    d.put(stage=status.model_copy(update={"passed_at": status.passed_at or d.now}))
    _hold_for(d, status.index, tally)
    return False


def _hold_for(d: Draft, index: int, tally: Tally) -> None:
    name = d.spec.stages[index].name
    problem = d.facts.approvals_problem
    d.put(next=Next(what=f"signatures for stage {name}"))
    _say_waiting(d, f"stage {name}", tally, problem)
    text = problem.message if problem is not None else tally.standing
    d.hold(Reason.AWAITING_APPROVAL, f"stage {name}: {text}")


def _say_waiting(d: Draft, what: str, tally: Tally, problem: Problem | None) -> None:
    reason = problem.reason if problem is not None else Reason.AWAITING_APPROVAL
    text = f"{what}: {problem.message if problem is not None else tally.standing}"
    if not is_true(d.before.conditions, ConditionType.AWAITING_APPROVAL):
        d.event(reason, text)
    d.condition(ConditionType.AWAITING_APPROVAL, "True", reason, text)
    if d.status.gate_text != tally.text:
        d.put(gate_text=tally.text)


def record_signatures(d: Draft, index: int, tally: Tally) -> None:
    """Adds the entry that says who signed for the stage."""
    name = d.spec.stages[index].name
    text = f"stage {name}: GO by {', '.join(tally.signers)}"
    d.entry(Reason.APPROVED, text, {"stage": name, **signature_data(tally)})
    d.event(Reason.APPROVED, text)


def unsigned_ahead(d: Draft, *, full: bool) -> str | None:
    """Why a promote command may not go on now: it skips gates, and nobody's signature. None when nothing is missing."""
    stage = d.status.stage
    if stage is None:
        return f"the run waits for its go/no-go: {ballot(d).of(wanted_before(d.spec, 0)).standing}"
    for index in range(stage.index, len(d.spec.stages) if full else min(stage.index + 1, len(d.spec.stages))):
        tally = ballot(d).of(wanted_before(d.spec, index))
        if not tally.complete:
            return f"stage {d.spec.stages[index].name}: {tally.standing}"
    return None


def record_skipped(d: Draft, *, full: bool) -> None:
    """The signatures of the stages a promote command goes to."""
    stage = d.status.stage
    if stage is None:
        return
    for index in range(stage.index, len(d.spec.stages) if full else min(stage.index + 1, len(d.spec.stages))):
        if wanted := wanted_before(d.spec, index):
            record_signatures(d, index, ballot(d).of(wanted))


# ---------------------------------------------------------------- NO-GO


def no_go_rolls_back(d: Draft) -> bool:
    """A NO-GO under a run that has weight takes it back at once, whichever stage it names; True when it did."""
    run = d.run
    if run is None or run.promoted_at is not None or awaits_go(d) or not d.facts.approvals:
        return False
    refusal = ballot(d).no_go
    if refusal is None:
        return False
    roll_back(d, "approval", Reason.NO_GO, no_go_text(refusal), {"approvals": [approval_data(refusal)]})
    return True


def no_go_text(approval: Approval) -> str:
    """`NO-GO by jane: orders are lost`."""
    return f"NO-GO by {approval.by}: {approval.comment}"


# ---------------------------------------------------------------- evidence


def signature_data(tally: Tally) -> dict[str, object]:
    """Who signed what, as evidence keeps it: by item, and each signature in full."""
    return {
        "items": {item.wanted.name: _item_data(item) for item in tally.items},
        "approvals": [approval_data(approval) for approval in tally.counted],
    }


def _item_data(item: Item) -> dict[str, object]:
    """One item: `roles` where every group has to be represented, `missing` where somebody still has to sign."""
    data: dict[str, object] = {
        "title": item.wanted.title,
        "required": item.wanted.required,
        "groups": item.wanted.groups,
        "by": [approval.by for approval in item.signed],
    }
    if item.wanted.roles:
        data["roles"] = dict(item.roles)
    if item.missing:
        data["missing"] = item.missing
    return data


def approval_data(approval: Approval) -> dict[str, object]:
    """One signature in full."""
    return {
        "name": approval.name,
        "by": approval.by,
        "groups": approval.groups,
        "at": approval.at,
        "decision": approval.decision.value,
        "stage": approval.stage,
        "items": approval.items,
        "comment": approval.comment,
        "overrides": [one.value for one in approval.overrides],
    }
