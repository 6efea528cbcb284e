"""The status, or the whole cluster, came back older than what was known: nothing rises until a person says so.

A backup that is put back knows nothing of what was decided since. What is stored as evidence may: entries that follow
the chain of a run further than its status goes. The weight is then the lower of what the status and the route say, both
of which were allowed once, and 0 when those entries tell that the run was over.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, RefusedVersion
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import Draft, told
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import Problem, Regression
from sparkrelease.decide.managed import template_of
from sparkrelease.decide.rollback import roll_back
from sparkrelease.decide.runs import end_run, next_run_id, remember_refused
from sparkrelease.decide.stages import enter_stage, mirror_data, run_under_stages

LOST = frozenset({Reason.EVIDENCE_MISSING, Reason.EVIDENCE_DIFFERS})
"""What is wrong with stored evidence when it is not whole any more."""

_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

_LONGEST = 200
"""Characters of an entry's sentence that are repeated."""


def regression_of(run: str, ahead: Sequence[Sequence[Entry]]) -> Regression | None:
    """What entries of the run tell that its status does not know, one sequence a ConfigMap; None for a crash's trace.

    Evidence is stored before the status, so a crash leaves at most the entries of one decision, in one ConfigMap, and
    that decision is made again. What tells of the end of a run is never taken for that.
    """
    entries = [entry for one in ahead for entry in one]
    told = (_OUTCOMES.get(str(entry.data.get("outcome"))) for entry in entries)
    ends = [outcome for outcome in told if outcome is not None]
    if not entries or (len(ahead) == 1 and not ends):
        return None
    last = entries[-1]
    text = f"the status is older than the evidence of run {run}, which goes on to entry {last.number}"
    return Regression(f"{text} ({last.message[:_LONGEST]})", run, ends[-1] if ends else None)


def mind_regression(d: Draft) -> bool:
    """Takes in what came back older, and holds until a person says resume or promote; True when the run is over."""
    found, run = d.facts.regression, d.run
    if run is None:
        return False
    if found is not None and found.run in {"", run.id} and not run.regressed:
        if found.outcome is Outcome.ROLLED_BACK:
            roll_back(d, "state", Reason.STATE_REGRESSED, found.message)
            return True
        if found.outcome is not None:
            end_run(d, Outcome.CANCELLED, Reason.STATE_REGRESSED, found.message)
            return True
        _go_no_higher(d, found)
    if d.run is not None and d.run.regressed:
        d.hold(Reason.STATE_REGRESSED, "the state came back older than what was known; resume or roll back by command")
    return False


def _go_no_higher(d: Draft, found: Regression) -> None:
    weight, mirror = min(d.status.weight.desired, d.on_route), min(d.mirror, d.mirrored)
    text = f"{found.message}; held at {told(weight, mirror)}"
    d.put_run(regressed=True)
    d.entry(Reason.STATE_REGRESSED, text, {**basis(d), "weight": weight, **mirror_data(mirror)})
    d.event(Reason.STATE_REGRESSED, text, warning=True)
    d.aim(weight, mirror=mirror)


def go_on_from_here(d: Draft) -> None:
    """A person has looked: the run goes on from what the status says, its stage from the beginning."""
    run, stage = d.run, d.status.stage
    if run is None or not run.regressed:
        return
    d.put_run(regressed=False)
    if stage is not None and run_under_stages(d):
        enter_stage(d, stage.index - 1)
    elif stage is None and run.promoted_at is not None:
        d.aim(d.spec.stages[-1].weight)


def mind_lost_evidence(d: Draft) -> None:
    """Holds a run of whose evidence something is gone or changed; a promoted one has risen as far as it will."""
    problem, run = d.facts.evidence_problem, d.run
    if problem is None or problem.reason not in LOST or run is None or run.promoted_at is not None:
        return
    text = f"evidence of this run is not whole: {problem.message}; put it back, or promote or roll back by command"
    d.hold(problem.reason, text)


def forgotten(d: Draft) -> Problem | None:
    """Refuses a version whose run the status has forgotten, and evidence tells that it was rolled back."""
    found, canary = d.facts.regression, d.facts.canary.fingerprint
    if found is None or found.outcome is not Outcome.ROLLED_BACK or canary is None:
        return None
    if found.run != next_run_id(d, canary):
        return None
    version, template = d.facts.wanted_version, template_of(d)
    remember_refused(d, RefusedVersion(version=version, run=found.run, fingerprint=canary, template=template, at=d.now))
    d.event(Reason.STATE_REGRESSED, found.message, warning=True)
    return Problem(Reason.VERSION_REFUSED, f"{found.message}; give a new version, or retry by command")
