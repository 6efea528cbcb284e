"""What a run is about: the version that is wanted, and the pods that were behind both sides when it began."""

from __future__ import annotations

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Phase, Run
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.managed import copied, has_new_template, is_managed, nothing_differs, stable_runs
from sparkrelease.decide.runs import end_run, note_settled, one_workload, settle_run
from sparkrelease.decide.settle import say_left_behind
from sparkrelease.decide.signing import awaits_go


def identity_changed(d: Draft) -> bool:
    """Ends the run when what it is about is no longer what runs or what is wanted."""
    run = d.run
    if run is None:
        return False
    canary = d.facts.canary
    other_pods = canary.problem is None and bool(canary.fingerprints - {run.canary_fingerprint})
    if other_pods or has_new_template(d):
        _canary_changed(d)
        return True
    if run.promoted_at is not None:
        return False
    wanted = d.facts.wanted_version
    settled = d.status.settled
    if wanted and wanted != run.version:
        back = settled is not None and wanted == settled.version
        outcome = Outcome.CANCELLED if back else Outcome.SUPERSEDED
        reason = Reason.CANCELLED if back else Reason.SUPERSEDED
        end_run(d, outcome, reason, f"version {wanted} is wanted instead of {run.version}")
        say_winding_down(d, reason)
        return True
    return _stable_took_it(d, run)


def _canary_changed(d: Draft) -> None:
    run, canary, stable = d.run, d.facts.canary, d.facts.stable
    if run is None:
        return
    on_stable = stable.rolled_out and stable.fingerprint == run.canary_fingerprint
    if run.promoted_at is not None and on_stable and (copied(d) or not is_managed(d)):
        settle_run(d, f"stable serves {run.version}; other pods than the promoted ones answer behind canary")
    elif nothing_differs(d) and not one_workload(run):
        end_run(d, Outcome.CANCELLED, Reason.CANCELLED, "canary runs what stable runs again")
    else:
        if copied(d):
            note_settled(d, run)
        seen = ", ".join(sorted(canary.fingerprints))
        text = f"canary was {run.canary_fingerprint} when the run started, now {seen} answers"
        if has_new_template(d):
            text = "the candidate has another pod template than when the run started"
        on_the_way = run.promoted_at is not None and not copied(d) and not one_workload(run)
        end_run(d, Outcome.SUPERSEDED, Reason.CANARY_CHANGED, text)
        if on_the_way:
            say_left_behind(d, run)
    say_winding_down(d, Reason.named(d.status.history[0].reason))


def _stable_took_it(d: Draft, run: Run) -> bool:
    """Ends a run whose version stable serves already, and one that is to begin anew against what stable runs now.

    A run that still waits for people takes what stable runs anew with its first weight.
    """
    if is_managed(d) or one_workload(run) or awaits_go(d):
        return False
    if d.facts.stable.problem is None and stable_runs(d, run):
        text = f"stable runs what canary runs ({run.canary_fingerprint}): {run.version} went there beside the run"
        end_run(d, Outcome.CANCELLED, Reason.CANCELLED, text)
        say_winding_down(d, Reason.CANCELLED)
        return True
    if not run.stable_fingerprint:
        text = f"{run.version} is tried anew against what stable runs now"
        end_run(d, Outcome.SUPERSEDED, Reason.SUPERSEDED, text)
        say_winding_down(d, Reason.SUPERSEDED)
        return True
    return False


def say_winding_down(d: Draft, reason: Reason) -> None:
    """Says that a run ended and traffic is on its way to stable."""
    text = f"{reason.help} Traffic returns to stable."
    d.condition(ConditionType.PROGRESSING, "False", reason, "")
    d.stand(Phase.PENDING, "False", reason, text, reconciling=True)
    d.wake_at = d.now
