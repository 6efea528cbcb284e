"""A managed workload: whose template is whose, what the copy is made from, and when a side is scaled.

The candidate is the team's Deployment, stable a copy of it that the operator keeps. One step is taken at a time, after
everything decided is stored; each follows from what the Deployments say, so it can be repeated after any crash.
"""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RefusedVersion, Run, WorkloadStatus
from sparkrelease.decide.deployed import ManagedWorkload, Selecting
from sparkrelease.decide.draft import Draft, same_weight
from sparkrelease.decide.facts import Finding, Problem, Verification
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment, SelectPods

LOOK_AGAIN = timedelta(seconds=30)
"""Pause before a workload that cannot be used is looked at again by itself."""

_NOTHING = WorkloadStatus()


# ---------------------------------------------------------------- reading


def is_managed(d: Draft) -> bool:
    """Whether the operator keeps the copy that is stable."""
    return d.spec.workload is not None


def known(d: Draft) -> ManagedWorkload | None:
    """The managed workload as it is; None in direct mode, and while nobody can say."""
    seen = d.facts.workload
    return seen if is_managed(d) and seen is not None and seen.problem is None else None


def template_of(d: Draft) -> str:
    """Digest of the candidate's pod template; empty in direct mode, and while it is not known."""
    seen = known(d)
    return seen.candidate.template if seen is not None else ""


def same_template(seen: ManagedWorkload) -> bool:
    """Whether stable runs the candidate's template.

    Either it was copied from this one, or the two read the same: a cluster that fills in new defaults changes the
    digest of both, and what somebody else writes on the copy (a restart) changes nothing of what was promoted.
    """
    candidate, stable = seen.candidate, seen.stable
    return candidate.exists and stable.exists and candidate.template in {stable.template, stable.copied}


def nothing_differs(d: Draft) -> bool:
    """Whether stable runs what canary runs."""
    if is_managed(d):
        seen = known(d)
        return seen is not None and same_template(seen)
    stable, canary = d.facts.stable, d.facts.canary
    return stable.rolled_out and canary.rolled_out and stable.fingerprint == canary.fingerprint


def stable_runs(d: Draft, run: Run) -> bool:
    """Whether stable runs what the run has on trial."""
    stable = d.facts.stable
    if is_managed(d):
        return nothing_differs(d)
    return stable.rolled_out and stable.fingerprint == run.canary_fingerprint


def is_refused(d: Draft, refused: RefusedVersion) -> bool:
    """Whether what is wanted now is this refused version; of a managed workload the template is what counts.

    What was refused before the workload was managed has none, and stays refused by its version.
    """
    if is_managed(d) and refused.template:
        return refused.template == template_of(d)
    return refused.version == d.facts.wanted_version


def has_new_template(d: Draft) -> bool:
    """Whether the candidate has another template than the run under way began with."""
    seen, run = known(d), d.run
    if seen is None or run is None or not seen.candidate.exists or not run.template:
        return False
    return seen.candidate.template != run.template


def copied(d: Draft) -> bool:
    """Whether stable has been given the template of the promoted run: from there on no weight leads back.

    While nobody can read the Deployments, it is what was read last.
    """
    seen, run, said = known(d), d.run, d.status.workload
    if not is_managed(d) or run is None or run.promoted_at is None:
        return False
    if seen is not None:
        return seen.stable.copied == run.template
    return said is not None and said.stable == run.template


# ---------------------------------------------------------------- in every round


def note_workload(d: Draft) -> None:
    """Takes the digests into the status, and that a candidate was scaled down."""
    seen = known(d)
    if seen is None:
        return
    said, run = d.status.workload or _NOTHING, d.status.run
    stable = seen.stable.copied or seen.stable.template if seen.stable.exists else ""
    parked = said.parked
    if run is not None and seen.parked == run.id != parked:
        parked = run.id
        d.event(Reason.CANDIDATE_PARKED, f"{seen.candidate.name} has no traffic and was scaled to 0")
    fresh = WorkloadStatus(candidate=seen.candidate.template, stable=stable, parked=parked)
    if fresh != said:
        d.put(workload=fresh)


def findings_of(seen: ManagedWorkload | None) -> tuple[Finding, ...]:
    """What is no obstacle to a run and should be known before it."""
    if seen is None or not seen.stable.autoscaler:
        return ()
    text = (
        f"{seen.stable.autoscaler} scales {seen.stable.name}: set behavior.scaleDown.selectPolicy to Disabled while a "
        "run is under way, or weights are held when it shrinks stable"
    )
    return (Finding("workload", False, Problem(Reason.AUTOSCALER_ON_STABLE, text)),)


# ---------------------------------------------------------------- at rest


def workload_obstacle(d: Draft) -> Problem | None:
    """What keeps a managed release from a run: its Deployments and Services, put right as far as they are ours."""
    if not is_managed(d):
        return None
    seen = d.facts.workload
    if seen is None:
        return Problem(Reason.WORKLOAD_UNKNOWN, "nobody has looked at the Deployment yet")
    problem = seen.problem or why_unusable(d.facts.namespace, seen) or seen.write_problem
    if problem is not None:
        d.wake_at = d.now + LOOK_AGAIN
        return _with_remedy(problem)
    if not seen.stable.exists:
        return _make_copy(d, seen)
    if not seen.stable.rolled_out:
        return Problem(Reason.STABLE_NOT_READY, f"Deployment {seen.stable.name} is not rolled out")
    return _services(d, seen) or _candidate(d, seen)


def _with_remedy(problem: Problem) -> Problem:
    if problem.reason is not Reason.FORBIDDEN:
        return problem
    return Problem(problem.reason, f"{problem.message}; the component managed-workload gives the rights")


def why_unusable(namespace: str, seen: ManagedWorkload) -> Problem | None:
    """Why the Deployments cannot be kept, or None."""
    if not seen.candidate.exists:
        text = f"Deployment {seen.candidate.name} does not exist in namespace {namespace}"
        return Problem(Reason.DEPLOYMENT_NOT_FOUND, text)
    return seen.candidate.problem or seen.stable.problem


def _make_copy(d: Draft, seen: ManagedWorkload) -> Problem:
    """Stable's first copy: of what runs now, which nobody had the operator try."""
    candidate, settled = seen.candidate, d.status.settled
    promoted_before = settled is not None and bool(settled.template) and settled.template != candidate.template
    if promoted_before or any(is_refused(d, refused) for refused in d.status.refused):
        text = f"Deployment {seen.stable.name} is gone, and {candidate.name} is not what was promoted"
        return Problem(Reason.STABLE_LOST, text)
    if d.spec.dry_run or d.paused:
        text = f"Deployment {seen.stable.name} is made once the release is neither paused nor a dry run"
        return Problem(Reason.STABLE_NOT_READY, text)
    if not candidate.rolled_out:
        return Problem(Reason.CANARY_NOT_READY, f"Deployment {candidate.name} is not rolled out")
    text = f"Deployment {seen.stable.name} is made from {candidate.name}"
    d.workload = _copy(seen, replicas=candidate.replicas)
    d.event(Reason.STABLE_CREATED, text)
    return Problem(Reason.STABLE_NOT_READY, text)


def _copy(seen: ManagedWorkload, *, replicas: int) -> CopyTemplate:
    candidate, stable = seen.candidate, seen.stable
    return CopyTemplate(
        deployment=candidate.name,
        version=candidate.version,
        copy=stable.name,
        copy_version=stable.version,
        template=candidate.template,
        replicas=None if stable.autoscaler else replicas,
    )


def _services(d: Draft, seen: ManagedWorkload) -> Problem | None:
    """Both Services select the pods of their side alone; not before the copy serves, so that no request is lost."""
    wrong = next((one for one in seen.services if not one.fits), None)
    if wrong is None:
        return None
    wanted = ",".join(f"{name}={value}" for name, value in wrong.selector)
    text = f"Service {wrong.service} has to select {wanted}"
    if wrong.refused:
        d.wake_at = d.now + LOOK_AGAIN
        return Problem(Reason.SELECTOR_MISMATCH, f"{text}; change it there: {wrong.refused}")
    if d.spec.dry_run:
        return Problem(Reason.SELECTOR_MISMATCH, f"{text}; a dry run does not write it")
    d.workload = SelectPods(wrong.service, wrong.selector, _port(d, wrong))
    return Problem(Reason.STABLE_NOT_READY, f"{text}; it is being written")


def _port(d: Draft, service: Selecting) -> int:
    stable = d.spec.traffic.stable
    return stable.port if service.service == stable.service else d.spec.traffic.canary.port


def _candidate(d: Draft, seen: ManagedWorkload) -> Problem | None:
    """A candidate with a new template has its pods before anything else."""
    candidate = seen.candidate
    if same_template(seen):
        return None
    if candidate.replicas > 0:
        text = f"Deployment {candidate.name} is not rolled out"
        return None if candidate.rolled_out else Problem(Reason.CANARY_NOT_READY, text)
    if d.paused:
        return Problem(Reason.PAUSED, f"a paused release does not scale {candidate.name}")
    if candidate.autoscaler or d.spec.dry_run:
        keeper = f"{candidate.autoscaler} scales it" if candidate.autoscaler else "a dry run does not scale it"
        return Problem(Reason.CANARY_NOT_READY, f"Deployment {candidate.name} has no replicas, and {keeper}")
    size = max(seen.stable.replicas, 1)
    d.workload = ScaleDeployment(candidate.name, candidate.version, size)
    return Problem(Reason.CANARY_NOT_READY, f"Deployment {candidate.name} is scaled to {size}")


def park_candidate(d: Draft) -> None:
    """Scales down a candidate that a run left without traffic, once a run, when the route is verified to give it none.

    Whoever wants it back (Git, an autoscaler) has the last word.
    """
    seen, run = known(d), d.status.run
    if seen is None or run is None or run.dry or d.spec.dry_run or d.paused or seen.write_problem is not None:
        return
    candidate, said = seen.candidate, d.status.workload or _NOTHING
    if not candidate.exists or candidate.problem is not None or candidate.replicas == 0 or candidate.autoscaler:
        return
    if said.parked == run.id or not _left(d, seen):
        return
    d.workload = ScaleDeployment(candidate.name, candidate.version, 0, parks=run.id)


def _left(d: Draft, seen: ManagedWorkload) -> bool:
    """Whether the candidate surely has no traffic, none by way of stable's Service either, and none comes to it."""
    route = d.facts.route
    at_zero = same_weight(route.canary_weight, 0) and route.verification is Verification.VERIFIED
    if not at_zero or route.problem is not None or not d.facts.stable.ready:
        return False
    if not all(service.fits for service in seen.services):
        return False
    return same_template(seen) or any(is_refused(d, refused) for refused in d.status.refused)


# ---------------------------------------------------------------- during a run


def mind_workload(d: Draft) -> None:
    """Holds while the Deployments cannot be read, and pins stable's size: it has to take all traffic back."""
    run = d.run
    if not is_managed(d) or run is None:
        return
    seen = d.facts.workload
    problem = Problem(Reason.WORKLOAD_UNKNOWN, "nobody has looked yet") if seen is None else seen.problem
    if seen is None or problem is not None:
        d.hold(Reason.WORKLOAD_UNKNOWN, f"the Deployments cannot be read: {problem.message if problem else ''}")
        return
    stable = seen.stable
    mine = stable.exists and stable.problem is None and not stable.autoscaler and not run.dry
    if mine and stable.replicas < run.capacity_floor and seen.write_problem is None:
        d.workload = ScaleDeployment(stable.name, stable.version, run.capacity_floor)


def copy_to_stable(d: Draft) -> None:
    """Brings the promoted template to stable, while canary surely has what the last stage says and nothing holds."""
    seen, run = known(d), d.run
    if seen is None or run is None or run.promoted_at is None or run.dry or copied(d):
        return
    if seen.write_problem is not None:
        d.hold(Reason.WORKLOAD_NOT_WRITTEN, seen.write_problem.message)
    if d.holds or d.paused or not d.status.weight.verified or has_new_template(d):
        return
    if seen.stable.problem is not None:
        d.hold(seen.stable.problem.reason, seen.stable.problem.message)
        return
    d.workload = _copy(seen, replicas=max(seen.stable.replicas, seen.candidate.replicas, run.capacity_floor))


def copy_serves(seen: ManagedWorkload, template: str) -> bool:
    """Whether the copy runs this template, completely."""
    return seen.stable.copied == template and seen.stable.rolled_out
