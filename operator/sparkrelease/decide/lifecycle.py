"""One round of one release: facts in, plan out. Pure and total; all that SparkRelease decides hangs below here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, SparkReleaseStatus
from sparkrelease.decide.atrest import rest
from sparkrelease.decide.commands import take_command
from sparkrelease.decide.deletion import delete
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Facts
from sparkrelease.decide.gate import worst
from sparkrelease.decide.inputs import Inputs
from sparkrelease.decide.managed import note_workload
from sparkrelease.decide.plan import Plan
from sparkrelease.decide.progress import drive_run
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.signing import awaits_go
from sparkrelease.decide.unresolved import decide_unresolved


def decide(spec: ResolvedSpec | None, status: SparkReleaseStatus, facts: Facts, now: datetime) -> Plan:
    """Decides one round.

    `spec` is the frozen spec of a run under way (with `deletion_policy` and `evidence` of the object as it is now),
    else what the object resolves to; None when it resolves to nothing and no run is under way
    (`facts.spec_problem` says why). `status` is the newest the operator knows, written or not. `now` is UTC.
    """
    if spec is None:
        return decide_unresolved(status, facts, now)
    d = Draft(spec, status, facts, now)
    if facts.deleting:
        delete(d)
    else:
        note_workload(d)
        take_command(d)
        if d.run is not None:
            drive_run(d)
        else:
            rest(d)
    if d.run is not None and not awaits_go(d):
        d.active = True
    _say_common(d)
    return _with_inputs(d)


def _with_inputs(d: Draft) -> Plan:
    """The plan, with what it was made from beside its first entry, so that replay can make it again."""
    plan = d.plan()
    if not plan.entries:
        return plan
    followed = plan.status.run.spec_digest if plan.status.run else ""
    inputs = Inputs(d.spec, d.before, d.facts, d.now, followed, len(plan.entries), plan.status)
    first = replace(plan.entries[0], inputs=inputs)
    return replace(plan, entries=(first, *plan.entries[1:]))


def _say_common(d: Draft) -> None:
    """What is said in every state: pause, evidence, the worst verdict, the generation acted on."""
    if d.paused:
        who = d.status.pause
        text = f"paused by {who.user or 'a command'}: {who.reason}" if who else "spec.paused is set"
        d.condition(ConditionType.PAUSED, "True", Reason.PAUSED, text)
    else:
        d.no_condition(ConditionType.PAUSED)
    if d.status.phase is not Phase.AWAITING_APPROVAL:
        d.no_condition(ConditionType.AWAITING_APPROVAL)
    problem = d.facts.evidence_problem
    if problem is not None or d.status.pending_evidence:
        text = problem.message if problem else f"{len(d.status.pending_evidence)} entries are not stored yet"
        reason = problem.reason if problem else Reason.EVIDENCE_NOT_STORED
        d.condition(ConditionType.EVIDENCE_COMPLETE, "False", reason, text)
    elif d.status.evidence.entries:
        d.condition(ConditionType.EVIDENCE_COMPLETE, "True", Reason.EVIDENCE_STORED, d.status.evidence.head)
    if d.status.phase is Phase.PROGRESSING or d.run is not None:
        d.put(verdict=worst(d.status.verdicts))
    if d.facts.generation > d.status.observed_generation or d.facts.epoch > d.status.epoch:
        d.put(
            observed_generation=max(d.status.observed_generation, d.facts.generation),
            epoch=max(d.status.epoch, d.facts.epoch),
        )
